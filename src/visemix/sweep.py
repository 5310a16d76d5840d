"""Many runs from one file: a stage that several share is trained once, what fails is recorded, the rest goes on."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from visemix.config import compose, points
from visemix.engines import ENGINES
from visemix.pipeline import plain
from visemix.registry import nearest
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
        VisemixError: an unknown engine, or a point that is no valid config, said with its row.
    """
    if engine not in ENGINES:
        raise VisemixError(f"no engine '{engine}'{nearest(engine, ENGINES)} (have: {', '.join(ENGINES)})")
    cells = plan(experiment, overrides)
    tasks = {str(folder_of(OmegaConf.create(stage))): stage for cell in cells for stage in cell.stages}
    failed: dict[str, str] = {}
    with _bar(progress) as shown:
        bar = shown.add_task("training", total=len(tasks))
        for task, reason in ENGINES[engine](train, list(tasks.values()), jobs):
            if reason:
                failed[str(folder_of(OmegaConf.create(task)))] = reason
            shown.advance(bar)
    return [_join(cell, failed) for cell in cells]


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
        together.setdefault(STAGES[stage].owns, []).append(stage)
    whole, configs = plain(cfg), []
    for owned, stages in together.items():
        alone = whole | {part: {"name": name} for part, name in PLAINEST.items() if part not in owned}
        alone |= {"name": SHARED, "fit": stages}
        alone["train"] = {key: value for key, value in whole["train"].items() if key in ("name", *stages)}
        alone["load"] = {stage: source for stage, source in whole["load"].items() if STAGES[stage].owns == owned}
        configs.append(complete(alone))
    return configs


def train(config: dict[str, Any]) -> str:
    """Train one shared run; what it says goes to `log.txt` in its folder. Answers why it failed, or nothing."""
    folder = folder_of(OmegaConf.create(config))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            fit(config)
        except Exception as error:  # noqa: BLE001 — one bad point never stops the others
            traceback.print_exc()
            return str(error) if isinstance(error, VisemixError) else f"{type(error).__name__}: {error}"
    return ""


def _join(cell: Cell, failed: Mapping[str, str]) -> Outcome:
    """The run of a point, whose stages are taken from the shared runs; or what kept one of them from ending."""
    load = dict(cell.config["load"])
    for alone in cell.stages:
        folder = str(folder_of(OmegaConf.create(alone)))
        if folder in failed:
            return Outcome(cell, None, failed[folder])
        load |= dict.fromkeys(alone["fit"], folder)
    return Outcome(cell, fit(cell.config | {"fit": [], "load": load}))


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)
