"""Many runs from one file: a stage that several share is trained once, what fails is recorded, the rest goes on."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from visemix.config import compose, find_experiment, plain, sweep_settings
from visemix.evaluation.heldout import FOLDER, OOD_FOLDER, SCORES, evaluate_run, evaluate_speech, read_config
from visemix.evaluation.result import Result, read_result
from visemix.metrics import METRICS
from visemix.ops.checkpoint import WEIGHTS
from visemix.ops.locks import hold
from visemix.ops.progress import Console
from visemix.ops.store import is_newer, write_text
from visemix.plugins import load_plugin_file
from visemix.report.ablation import Rows, summary, sweep_table, verdict_table, verdicts
from visemix.report.ablation_page import sweep_page
from visemix.report.formats import WRITERS, markdown, write_tables
from visemix.report.quoted import ABLATED, Quoted
from visemix.report.results import with_ood
from visemix.report.sources import relocate_videos
from visemix.run import complete_config, fit, folder_of
from visemix.sweep.engines import ENGINES, Submit, Task, Work
from visemix.sweep.plan import Cell, plan
from visemix.training.departures import report
from visemix.training.logs import publish
from visemix.types import VisemixError
from visemix.values import did_you_mean

log = logging.getLogger(__name__)

DIED = "its process died (out of memory?); the same command goes on from there"
MARK = "experiment.txt"  # beside a sweep's tables: the file that they come from


@dataclass(frozen=True)
class Outcome:
    """What became of a point: its run's folder and config, or the sentence that says why there is none."""

    cell: Cell
    folder: Path | None
    reason: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


def sweep(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    *,
    jobs: int = 1,
    engine: str = "local",
    progress: bool = True,
    plugins: Sequence[str | Path] = (),
) -> list[Outcome]:
    """Train every point of an experiment's `sweep` that is missing, `jobs` at a time, and answer them in order.

    All points and their clips are checked before the first is trained. Each stage is trained in a run of its own under
    `stages/`, named by what can change it, so that points of this and other sweeps share it; a point's run joins them.
    Then each is scored on what its data holds out, and on foreign speech where `sweep.ood` names a folder of clips.
    `plugins` are Python files that register further parts and metrics; a point that lacks one of these is scored again.

    Raises:
        VisemixError: an unknown engine or paper's table, a point that is no valid config, said with its row, or another
            experiment's sweep of the same name; another process sweeps it.
    """
    if engine not in ENGINES:
        raise VisemixError(f"no engine '{engine}'{did_you_mean(engine, ENGINES)} (have: {', '.join(ENGINES)})")
    for plugin in plugins:
        load_plugin_file(plugin)
    _quoted(experiment)
    cells = plan(experiment, overrides, with_data=True, progress=progress)
    with hold(_table_folder(cells[0])):
        _claim(experiment, cells[0])
        for cell in cells:
            if cell.reason:
                log.warning("%s, seed %d, cannot be trained: %s; the others go on", cell.row, cell.seed, cell.reason)
        speech = sweep_settings(compose(experiment, overrides)).ood
        stages = {str(folder_of(OmegaConf.create(stage))): stage for cell in cells for stage in cell.stages}
        with _bar(progress) as shown, ENGINES[engine](jobs) as submit:
            failed = _run_tasks(partial(train, plugins=plugins), stages, submit, shown, "training")
            outcomes = [_outcome(cell, failed) for cell in cells]
            runs = {str(one.folder): {"config": one.config, "speech": speech} for one in outcomes if one.folder}
            failed = _run_tasks(partial(score, plugins=plugins), runs, submit, shown, "scoring")
    return [replace(one, reason=failed.get(str(one.folder), one.reason)) for one in outcomes]


def write_sweep(experiment: str | Path, outcomes: Sequence[Outcome]) -> tuple[list[Path], list[str]]:
    """The table of a sweep beside its runs (headlines as `.md`, `.tex`, all metrics as `.csv`, `.json`) and a page
    (`report.html`); in the Markdown and on the page also what became of each point.

    Where `sweep.quoted` names a paper's table, its rows stand below ours, and it is said of each change whether it
    moves a number in the paper's direction. Under the table stands in what the first row departs from the papers.

    Returns:
        The files, the table as Markdown first, and how many of the paper's directions the sweep has, in sentences.
    """
    rows = _rows(outcomes)
    name = str(outcomes[0].cell.config["name"])
    beside = _table_folder(outcomes[0].cell)
    quoted = _quoted(experiment)
    whole, table = (sweep_table(name, rows, quoted, short=short) for short in (False, True))
    files = [beside / f"table{suffix}" for suffix in WRITERS]
    write_tables([path for path in files if path.suffix != ".tex"], whole)
    write_tables([beside / "table.tex"], table)
    found = verdicts(rows, quoted) if quoted else []
    failures = [f"{one.cell.row}, seed {one.cell.seed}: {one.reason}" for one in outcomes if one.reason]
    text = markdown(table) + (f"\n{verdict_table(found)}" if quoted else "")
    departures = report(outcomes[0].cell.config)
    text += "\nThe first row {}\n\n{}\n".format(departures[0], "\n".join(departures[1:])) if departures else ""
    text += "\nPoints that failed:\n\n" + "".join(f"- {line}\n" for line in failures) if failures else ""
    write_text(beside / "table.md", text)
    write_text(beside / "report.html", sweep_page(table, rows, found, failures, departures))
    return [*files, beside / "report.html"], summary(found) if found else []


def _rows(outcomes: Sequence[Outcome]) -> Rows:
    """Row → seed → scores, of the points that ended."""
    rows: dict[str, dict[int, Result]] = {one.cell.row: {} for one in outcomes}
    for one in outcomes:
        if one.folder is not None and not one.reason:
            rows[one.cell.row][one.cell.seed] = _result(one.folder)
    return rows


def train(config: dict[str, Any], plugins: Sequence[str | Path] = ()) -> str:
    """Train one shared run; what it says goes to `log.txt` in its folder. Answers why it failed, or nothing."""
    folder = folder_of(OmegaConf.create(config))

    def work() -> None:
        for plugin in plugins:
            load_plugin_file(plugin)
        fit(config, wait=True)  # a sweep that shares it may be at it

    return _run_logged(folder, work)


def score(task: dict[str, Any], plugins: Sequence[str | Path] = ()) -> str:
    """Join the stages of a point's run and score it on what its data holds out, and on foreign speech, unless that was
    done. Answers why it failed."""
    run, speech = folder_of(OmegaConf.create(task["config"])), task["speech"]

    def work() -> None:
        for plugin in plugins:
            load_plugin_file(plugin)
        fit(task["config"], wait=True)
        brought = [*task["config"]["plugins"], *plugins]
        held, foreign = (_is_scored(run, folder, plugins) for folder in (FOLDER, OOD_FOLDER))
        if held and (foreign or not speech):
            return
        result = evaluate_run(run, progress=False, plugins=brought)
        if speech:
            evaluate_speech(run, speech, progress=False, plugins=brought)
        cfg, videos = read_config(run), sorted((run / FOLDER / "fake").glob("*.mp4"))
        publish(cfg.log, run, f"{cfg.name}/{run.name}", result.to_json()["summary"], videos)

    return _run_logged(run, work)


def _is_scored(run: Path, folder: str, plugins: Sequence[str | Path]) -> bool:
    """Whether a run's scores are as young as its weights, and hold what plug-ins measure."""
    path = run / folder / SCORES
    if not is_newer(path, run / WEIGHTS):
        return False
    wanted = METRICS.names() if folder == FOLDER else METRICS.without_truth()
    return not plugins or {*wanted} <= {*read_result(path).summary}


def _run_tasks(work: Work, tasks: Mapping[str, Task], submit: Submit, shown: Progress, title: str) -> dict[str, str]:
    """Work off tasks by folder, each as soon as those are done whose folders it loads; answers why those failed that
    did, and with them what is built on them."""
    bar = shown.add_task(title, total=len(tasks))
    sources = {folder: {*task.get("load", {}).values()} & {*tasks} for folder, task in tasks.items()}
    order = TopologicalSorter(sources)
    order.prepare()
    running: dict[Future[str | None], str] = {}
    failed: dict[str, str] = {}
    while order.is_active():
        for folder in order.get_ready():
            lost = sources[folder] & {*failed}
            answer = _settled(failed[lost.pop()]) if lost else submit(work, tasks[folder])
            running[answer] = folder
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            folder, reason = running.pop(done), done.result()
            if reason != "":
                failed[folder] = DIED if reason is None else reason
            order.done(folder)
            shown.advance(bar)
    return failed


def _settled(answer: str) -> Future[str | None]:
    """A future that has its result already."""
    future: Future[str | None] = Future()
    future.set_result(answer)
    return future


def _run_logged(folder: Path, work: Callable[[], object]) -> str:
    """Run a task with its output in `log.txt` of the folder; answers why it failed, or nothing."""
    reason = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / "log.txt").open("a", encoding="utf-8", errors="backslashreplace")
        with log as text, redirect_stdout(text), redirect_stderr(text):
            try:
                work()
            except Exception as error:  # noqa: BLE001 — one bad point never stops the others
                reason = _error_text(error)
                traceback.print_exc()
    except OSError as error:  # the log cannot be written
        reason = reason or _error_text(error)
    return reason


def _error_text(error: Exception) -> str:
    if os.strerror(errno.ENOSPC) in str(error):  # whoever wraps it, the system's words are in it
        return "the disk is full; make room, and the same command goes on from there"
    return str(error) if isinstance(error, VisemixError) else f"{type(error).__name__}: {error}"


def _quoted(experiment: str | Path) -> Quoted | None:
    name = sweep_settings(compose(experiment)).quoted
    if name is not None and name not in ABLATED:
        raise VisemixError(f"sweep.quoted: no table '{name}'{did_you_mean(name, ABLATED)} (have: {', '.join(ABLATED)})")
    return ABLATED[name] if name else None


def _claim(experiment: str | Path, cell: Cell) -> None:
    """Mark the folder of the sweep's tables with its file; refuse one that another experiment's sweep has marked."""
    beside, ours = _table_folder(cell), find_experiment(experiment).resolve()
    mark = beside / MARK
    if mark.is_file():
        theirs = (beside / mark.read_text(encoding="utf-8").strip()).resolve()
        if theirs.is_file() and theirs.read_bytes() != ours.read_bytes():  # a copy in another checkout is the same
            raise VisemixError(
                f"two experiments are called '{cell.config['name']}': {theirs.name} in {theirs.parent} has its tables "
                f"in {beside}; give {experiment} another `name`, or another `out`"
            )
    write_text(mark, os.path.relpath(ours, beside.resolve()) + "\n")


def _table_folder(cell: Cell) -> Path:
    return Path(cell.config["out"]) / str(cell.config["name"])


def _outcome(cell: Cell, failed: Mapping[str, str]) -> Outcome:
    """Where a point's run will be; or what keeps it from being."""
    lost = [failed[folder] for folder in _trained(cell).values() if folder in failed]
    if cell.reason or lost:
        return Outcome(cell, None, cell.reason or lost[0])
    joined = _joined(cell)
    return Outcome(cell, folder_of(joined), config=plain(joined))


def _joined(cell: Cell) -> DictConfig:
    """The config of a point's run, whose stages are taken from the runs that train them."""
    return complete_config(cell.config | {"fit": [], "load": dict(cell.config["load"]) | _trained(cell)})


def _trained(cell: Cell) -> dict[str, str]:
    """Stage → the folder of the run that trains it."""
    return {stage: str(folder_of(OmegaConf.create(alone))) for alone in cell.stages for stage in alone["fit"]}


def _result(run: Path) -> Result:
    """A run's scores, those of foreign speech among them."""
    held, foreign = relocate_videos(read_result(run / FOLDER / SCORES), run), run / OOD_FOLDER / SCORES
    return with_ood(held, read_result(foreign)) if foreign.is_file() else held


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)
