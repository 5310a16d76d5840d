"""Many runs from one file: a stage that several share is trained once, what fails is recorded, the rest goes on."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from visemix.config import compose, find_experiment
from visemix.engines import ENGINES, Run, Task, Work
from visemix.heldout import FOLDER, FOREIGN, SCORES, evaluate_run, evaluate_speech, read_config
from visemix.ops.store import write_text, younger
from visemix.pipeline import WEIGHTS, without_advice
from visemix.plan import Cell, plan
from visemix.registry import nearest
from visemix.report.ablation import sweep_page, sweep_table, verdict_table, verdicts
from visemix.report.formats import WRITERS, markdown, write_tables
from visemix.report.quoted import ABLATED, Quoted
from visemix.report.results import Result, read_result, with_foreign
from visemix.run import fit, folder_of
from visemix.training.logs import publish
from visemix.types import VisemixError

log = logging.getLogger(__name__)

MARK = "experiment.txt"  # beside a sweep's tables: the file that they come from


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

    All points and their clips are checked before the first is trained. Each stage is trained in a run of its own under
    `stages/`, named by what can change it, so that points of this and other sweeps share it; a point's run joins them.
    Then each is scored on what its data holds out, and on foreign speech where `sweep.ood` names a folder of clips.

    Raises:
        VisemixError: an unknown engine or paper's table, a point that is no valid config, said with its row, or another
            experiment's sweep of the same name.
    """
    if engine not in ENGINES:
        raise VisemixError(f"no engine '{engine}'{nearest(engine, ENGINES)} (have: {', '.join(ENGINES)})")
    _quoted(experiment)
    cells = plan(experiment, overrides, with_data=True)
    _claim(experiment, cells[0])
    for cell in cells:
        if cell.reason:
            log.warning("%s, seed %d, cannot be trained: %s; the others go on", cell.row, cell.seed, cell.reason)
    speech = (compose(experiment, overrides).get("sweep") or {}).get("ood")
    with _bar(progress) as shown, ENGINES[engine](jobs) as run:
        failed = _train_all(cells, run, shown)
        outcomes = [_join(cell, failed) for cell in cells]
        runs: dict[str, Task] = {str(o.folder): {"run": str(o.folder), "speech": speech} for o in outcomes if o.folder}
        failed = _work(score, runs, run, shown, shown.add_task("scoring", total=len(runs)))
    return [replace(one, reason=failed.get(str(one.folder), one.reason)) for one in outcomes]


def write_sweep(experiment: str | Path, outcomes: Sequence[Outcome]) -> list[Path]:
    """The table of a sweep beside its runs (headlines as `.md`, `.tex`, all metrics as `.csv`, `.json`) and a page
    (`report.html`); in the Markdown and on the page also what became of each point.

    Where `sweep.quoted` names a paper's table, its rows stand below ours, and it is said of each change whether it
    moves a number in the paper's direction.
    """
    rows: dict[str, list[Result]] = {one.cell.row: [] for one in outcomes}
    for one in outcomes:
        if one.folder is not None and not one.reason:
            rows[one.cell.row].append(_result(one.folder))
    name = str(outcomes[0].cell.config["name"])
    beside = _beside(outcomes[0].cell)
    quoted = _quoted(experiment)
    whole, table = (sweep_table(name, rows, quoted, short=short) for short in (False, True))
    files = [beside / f"table{suffix}" for suffix in WRITERS]
    write_tables([path for path in files if path.suffix != ".tex"], whole)
    write_tables([beside / "table.tex"], table)
    found = verdicts(rows, quoted) if quoted else []
    failures = [f"{one.cell.row}, seed {one.cell.seed}: {one.reason}" for one in outcomes if one.reason]
    text = markdown(table) + (f"\n{verdict_table(found)}" if quoted else "")
    text += "\nPoints that failed:\n\n" + "".join(f"- {line}\n" for line in failures) if failures else ""
    write_text(beside / "table.md", text)
    write_text(beside / "report.html", sweep_page(table, found, failures))
    return [*files, beside / "report.html"]


def train(config: dict[str, Any]) -> str:
    """Train one shared run; what it says goes to `log.txt` in its folder. Answers why it failed, or nothing."""
    return _told(folder_of(OmegaConf.create(config)), lambda: fit(config))


def score(task: dict[str, Any]) -> str:
    """Score a point's run on what its data holds out, and on foreign speech, unless it was. Answers why it failed."""
    run, speech = Path(task["run"]), task["speech"]
    scores = [run / FOLDER / SCORES, *([run / FOREIGN / SCORES] if speech else [])]
    if all(younger(path, run / WEIGHTS) for path in scores):
        return ""

    def work() -> None:
        result = evaluate_run(run, progress=False)
        if speech:
            evaluate_speech(run, speech, progress=False)
        cfg = read_config(run)
        publish(
            cfg.log, run, f"{cfg.name}/{run.name}", result["summary"], sorted((run / FOLDER / "fake").glob("*.mp4"))
        )

    return _told(run, work)


def _train_all(cells: Sequence[Cell], run: Run, shown: Progress) -> dict[str, str]:
    """Train the stages of all points, those that others build on first; answers why those failed that did."""
    runs = {str(folder_of(OmegaConf.create(stage))): stage for cell in cells for stage in cell.stages}
    bar = shown.add_task("training", total=len(runs))
    failed: dict[str, str] = {}
    done: set[str] = set()
    while len(done) < len(runs):
        due = {name: task for name, task in runs.items() if name not in done and not _built_on(task, runs) - done}
        done |= {*due}
        for name, task in due.items():
            if lost := _built_on(task, runs) & {*failed}:
                failed[name] = failed[lost.pop()]
        shown.advance(bar, sum(name in failed for name in due))
        failed |= _work(train, {name: task for name, task in due.items() if name not in failed}, run, shown, bar)
    return failed


def _built_on(task: Task, runs: Mapping[str, Task]) -> set[str]:
    return {str(source) for source in task["load"].values()} & {*runs}


def _told(folder: Path, work: Callable[[], object]) -> str:
    """Do it with everything it says in `log.txt` of the folder; answers why it failed, or nothing."""
    reason = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.txt").open("a") as text, redirect_stdout(text), redirect_stderr(text):
            try:
                work()
            except Exception as error:  # noqa: BLE001 — one bad point never stops the others
                reason = _said(error)
                traceback.print_exc()
    except OSError as error:  # the log cannot be written
        reason = reason or _said(error)
    return reason


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; make room, and the same command goes on from there"
    return str(error) if isinstance(error, VisemixError) else f"{type(error).__name__}: {error}"


def _work(work: Work, tasks: Mapping[str, Task], run: Run, shown: Progress, bar: Any) -> dict[str, str]:
    """Work off tasks by folder; answers why those failed that did."""
    names = {id(task): folder for folder, task in tasks.items()}
    failed = {}
    for task, reason in run(work, list(tasks.values())):
        if reason:
            failed[names[id(task)]] = reason
        shown.advance(bar)
    return failed


def _quoted(experiment: str | Path) -> Quoted | None:
    name = (compose(experiment).get("sweep") or {}).get("quoted")
    if name is not None and name not in ABLATED:
        raise VisemixError(f"sweep.quoted: no table '{name}'{nearest(name, ABLATED)} (have: {', '.join(ABLATED)})")
    return ABLATED[name] if name else None


def _claim(experiment: str | Path, cell: Cell) -> None:
    """Mark the folder of the sweep's tables with its file; refuse one that another experiment's sweep has marked."""
    beside, ours = _beside(cell), find_experiment(experiment).resolve()
    mark = beside / MARK
    if mark.is_file():
        theirs = (beside / mark.read_text(encoding="utf-8").strip()).resolve()
        if theirs.is_file() and theirs.read_bytes() != ours.read_bytes():  # a copy in another checkout is the same
            raise VisemixError(
                f"two experiments are called '{cell.config['name']}': {theirs.name} in {theirs.parent} has its tables "
                f"in {beside}; give {experiment} another `name`, or another `out`"
            )
    write_text(mark, os.path.relpath(ours, beside.resolve()) + "\n")


def _beside(cell: Cell) -> Path:
    return Path(cell.config["out"]) / str(cell.config["name"])


def _join(cell: Cell, failed: Mapping[str, str]) -> Outcome:
    """The run of a point, whose stages are taken from the shared runs; or what kept one of them from ending."""
    if cell.reason:
        return Outcome(cell, None, cell.reason)
    load = dict(cell.config["load"])
    for alone in cell.stages:
        folder = str(folder_of(OmegaConf.create(alone)))
        if folder in failed:
            return Outcome(cell, None, failed[folder])
        load |= dict.fromkeys(alone["fit"], folder)
    try:
        with without_advice():  # each stage's own run has given it
            return Outcome(cell, fit(cell.config | {"fit": [], "load": load}))
    except Exception as error:  # noqa: BLE001 — a run that cannot be joined never stops the others
        return Outcome(cell, None, _said(error))


def _result(run: Path) -> Result:
    """A run's scores, those of foreign speech among them."""
    held, foreign = run / FOLDER / SCORES, run / FOREIGN / SCORES
    return with_foreign(read_result(held), read_result(foreign)) if foreign.is_file() else read_result(held)


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)
