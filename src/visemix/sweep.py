"""Many runs from one file: a stage that several share is trained once, what fails is recorded, the rest goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from visemix.config import compose, points
from visemix.engines import ENGINES, Task, Work
from visemix.heldout import FOLDER, SCORES, evaluate_run, younger
from visemix.ops.store import write_text
from visemix.pipeline import WEIGHTS, plain, read_checkpoint, without_advice
from visemix.registry import nearest
from visemix.report.ablation import sweep_table, verdict_table, verdicts
from visemix.report.formats import WRITERS, markdown, write_tables
from visemix.report.quoted import ABLATED, Quoted
from visemix.report.results import Result, read_result
from visemix.run import complete, fit, folder_of, load_experiment
from visemix.training.modules import STAGES
from visemix.types import VisemixError

PLAINEST = {"audio": "mel", "motion": "regression", "render": "mesh"}  # for parts that have no say
SHARED = "stages"  # name of the runs that hold one trained stage each


@dataclass(frozen=True)
class Cell:
    """A point of the sweep: its whole run, and the shared runs that its stages are trained in."""

    row: str
    seed: int
    config: dict[str, Any]
    stages: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a point: its run's folder, or the sentence that says why there is none."""

    cell: Cell
    folder: Path | None
    reason: str = ""


def sweep(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    *,
    jobs: int = 1,
    engine: str = "local",
    progress: bool = True,
) -> list[Outcome]:
    """Train every point of an experiment's `sweep` that is missing, `jobs` at a time, and answer them in order.

    All points are checked before the first is trained. Each stage is trained in a run of its own under `stages/`,
    named by what can change it, so that points of this and other sweeps share it; a point's run joins them.

    Raises:
        VisemixError: an unknown engine or paper's table, or a point that is no valid config, said with its row.
    """
    if engine not in ENGINES:
        raise VisemixError(f"no engine '{engine}'{nearest(engine, ENGINES)} (have: {', '.join(ENGINES)})")
    _quoted(experiment)
    cells = plan(experiment, overrides)
    stages = {str(folder_of(OmegaConf.create(stage))): stage for cell in cells for stage in cell.stages}
    with _bar(progress) as shown:
        failed = _work(train, stages, "training", engine, jobs, shown)
        outcomes = [_join(cell, failed) for cell in cells]
        runs = {str(outcome.folder): {"run": str(outcome.folder)} for outcome in outcomes if outcome.folder}
        failed = _work(score, runs, "scoring", engine, jobs, shown)
    return [replace(one, reason=failed.get(str(one.folder), one.reason)) for one in outcomes]


def write_sweep(experiment: str | Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """The table of a sweep (`.md`, `.csv`, `.tex`, `.json`) beside its runs, and what became of each point.

    Where `sweep.quoted` names a paper's table, its rows stand below ours, and the Markdown says of each change whether
    it moves a number in the paper's direction.
    """
    rows: dict[str, list[Result]] = {one.cell.row: [] for one in outcomes}
    for one in outcomes:
        if one.folder is not None and not one.reason:
            rows[one.cell.row].append(read_result(one.folder / FOLDER / SCORES))
    name = str(outcomes[0].cell.config["name"])
    beside = Path(outcomes[0].cell.config["out"]) / name
    quoted = _quoted(experiment)
    table = sweep_table(name, rows, quoted)
    files = [beside / f"table{suffix}" for suffix in WRITERS]
    write_tables(files, table)
    failures = "".join(f"\n- {one.cell.row}, seed {one.cell.seed}: {one.reason}" for one in outcomes if one.reason)
    text = markdown(table)
    text += f"\n{verdict_table(verdicts(rows, quoted))}" if quoted else ""
    text += f"\nPoints that failed:\n{failures}\n" if failures else ""
    write_text(beside / "table.md", text)
    return files


def plan(experiment: str | Path, overrides: Sequence[str] = ()) -> list[Cell]:
    """Every point of a sweep as complete configs."""
    cells = []
    for point in points(compose(experiment, overrides)):
        try:
            cfg = load_experiment(experiment, [*point.overrides, *overrides])
        except VisemixError as error:
            raise VisemixError(f"point '{point.row}' of {experiment}: {error}") from error
        cells.append(Cell(point.row, int(cfg.seed), plain(cfg), tuple(plain(own) for own in stage_configs(cfg))))
    return cells


def stage_configs(cfg: DictConfig) -> list[DictConfig]:
    """For each part that a run trains, the config of a run that trains it alone.

    Stages that move the same part stay together. Parts that have no say in them are replaced by the plainest, so that
    equal stages of different points have equal configs.
    """
    together: dict[tuple[str, ...], list[str]] = {}
    for stage in cfg.fit:
        together.setdefault(parts_behind(stage, cfg), []).append(stage)
    whole, configs = plain(cfg), []
    for owned, stages in together.items():
        alone = whole | {part: {"name": name} for part, name in PLAINEST.items() if part not in owned}
        alone |= {"name": SHARED, "fit": stages}
        alone["train"] = {key: value for key, value in whole["train"].items() if key in ("name", *stages)}
        alone["load"] = {stage: source for stage, source in whole["load"].items() if parts_behind(stage, cfg) == owned}
        configs.append(complete(alone))
    return configs


def parts_behind(stage: str, cfg: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of the pipeline that have a say in what a stage learns: a motion model's hangs on the sound."""
    part = STAGES[stage].owns[-1].split(".")[0]
    listens = part == "motion" or cfg["render"].get("condition") == "audio"
    return ("audio", part) if listens else (part,)


def train(config: dict[str, Any]) -> str:
    """Train one shared run; what it says goes to `log.txt` in its folder. Answers why it failed, or nothing."""
    return _told(folder_of(OmegaConf.create(config)), lambda: fit(config))


def score(task: dict[str, Any]) -> str:
    """Score a point's run on what its data holds out, unless it was. Answers why it failed, or nothing."""
    run = Path(task["run"])
    if younger(run / FOLDER / SCORES, run / WEIGHTS):
        return ""
    return _told(run, lambda: evaluate_run(run, progress=False))


def _told(folder: Path, work: Callable[[], object]) -> str:
    """Do it with everything it says in `log.txt` of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            work()
        except Exception as error:  # noqa: BLE001 — one bad point never stops the others
            traceback.print_exc()
            return str(error) if isinstance(error, VisemixError) else f"{type(error).__name__}: {error}"
    return ""


def _work(work: Work, tasks: Mapping[str, Task], what: str, engine: str, jobs: int, shown: Progress) -> dict[str, str]:
    """Work off tasks by folder; answers why those failed that did."""
    bar = shown.add_task(what, total=len(tasks))
    names = {id(task): folder for folder, task in tasks.items()}
    failed = {}
    for task, reason in ENGINES[engine](work, list(tasks.values()), jobs):
        if reason:
            failed[names[id(task)]] = reason
        shown.advance(bar)
    return failed


def _quoted(experiment: str | Path) -> Quoted | None:
    name = (compose(experiment).get("sweep") or {}).get("quoted")
    if name is not None and name not in ABLATED:
        raise VisemixError(f"sweep.quoted: no table '{name}'{nearest(name, ABLATED)} (have: {', '.join(ABLATED)})")
    return ABLATED[name] if name else None


def _join(cell: Cell, failed: Mapping[str, str]) -> Outcome:
    """The run of a point, whose stages are taken from the shared runs; or what kept one of them from ending."""
    load = dict(cell.config["load"])
    for alone in cell.stages:
        folder = str(folder_of(OmegaConf.create(alone)))
        if folder in failed:
            return Outcome(cell, None, failed[folder])
        load |= dict.fromkeys(read_checkpoint(folder)[1]["trained"], folder)
    with without_advice():  # each stage's own run has given it
        return Outcome(cell, fit(cell.config | {"fit": [], "load": load}))


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)
