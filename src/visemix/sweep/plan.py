"""The points of a sweep, and the runs that train their stages: what points share is one run, trained once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from visemix.config import compose, points
from visemix.face.eyes import EYES
from visemix.pipeline import PARTS, WEIGHTS, TalkingFace, plain, without_advice
from visemix.run import complete, data_for, folder_of, load_experiment, of_person, to_train
from visemix.training.modules import STAGES
from visemix.training.stage import moved, owner
from visemix.types import VisemixError

PLAINEST = {"audio": "mel", "motion": "regression", "render": "mesh"}  # for parts that have no say
SHARED = "stages"  # name of the runs that hold one trained stage each
EXPERT = {  # options of a motion model that its sync-expert hangs on
    "flow_vae": ("name", "compat", "halves", "identity", "sampling", "sync_dim", "sync_windows"),
}


@dataclass(frozen=True)
class Cell:
    """A point of the sweep: its whole run, and the runs, one for each stage and in order, that train it."""

    row: str
    seed: int
    config: dict[str, Any]
    stages: tuple[dict[str, Any], ...]
    reason: str = ""  # why its parts cannot be trained together, which then nobody tries


@dataclass(frozen=True)
class Anatomy:
    """What a built model says about its training."""

    stages: tuple[str, ...]
    depth: Mapping[str, int]  # of wrappers around the weights of each stage
    listens: bool  # whether the renderer hears the sound itself
    reason: str = ""


def plan(
    experiment: str | Path, overrides: Sequence[str] = (), *, with_data: bool = False, progress: bool = False
) -> list[Cell]:
    """Every point of a sweep as complete configs.

    Each point's parts are built once, and `with_data` its clips are looked for, so that what does not fit together or
    is not there is known before anything is trained.

    Raises:
        VisemixError: a point that is no valid config, said with its row; or none that can be trained.
    """
    cells: list[Cell] = []
    known: dict[str, Anatomy] = {}
    found = points(compose(experiment, overrides))
    for point in track(found, "planning", console=Console(stderr=True), transient=True, disable=not progress):
        try:
            cfg = load_experiment(experiment, [*point.overrides, *overrides])
        except VisemixError as error:
            raise VisemixError(f"point '{point.row}' of {experiment}: {error}") from error
        if cfg.log.name == "wandb" and cfg.log.group is None:
            cfg.log.group = cfg.name
        model = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, [*PARTS, "fit", "load", "data"]))
        if model not in known:
            known[model] = anatomy(cfg, with_data=with_data)
        stages = stage_configs(cfg, known[model])
        cells.append(Cell(point.row, int(cfg.seed), plain(cfg), stages, known[model].reason))
    if all(cell.reason for cell in cells):
        raise VisemixError(f"no point of {experiment} can be trained; the first, '{cells[0].row}': {cells[0].reason}")
    return cells


def anatomy(cfg: DictConfig, *, with_data: bool = False) -> Anatomy:
    """Which stages a run has, found by building its parts, and `with_data` what each is trained on."""
    try:
        with without_advice():  # each stage's own run gives it
            model = TalkingFace.from_config(cfg)
        stages = to_train(cfg, model)
        for stage in stages if with_data else ():
            data_for(cfg, model, stage)
    except VisemixError as error:
        return Anatomy((), {}, False, str(error))
    weights = [name for name, _ in model.named_parameters() if name.startswith("motion.")]
    depth = {
        stage: min((_wrappers(name) for name in weights if owner(name) in _behind(stage)), default=0)
        for stage in stages
    }
    return Anatomy(tuple(stages), depth, model.listening)


def _behind(stage: str) -> set[str]:
    """The stages whose weights it trains or builds on."""
    return {trained for each in (stage, *STAGES[stage].needs) for trained in moved(each)}


def stage_configs(cfg: DictConfig, about: Anatomy) -> tuple[dict[str, Any], ...]:
    """For each stage of a run, in order, the config of a run that trains it alone, over those before it.

    Whatever has no say in a stage is replaced by the plainest, so that equal stages of different points have equal
    configs: the other parts, wrappers around the motion model, the data and lengths of other stages.
    """
    whole, order = plain(cfg), list(STAGES)
    sources, configs = dict(whole["load"]), []
    for stage in about.stages:
        parts = parts_behind(stage, about.listens)
        alone = whole | {part: {"name": name} for part, name in PLAINEST.items() if part not in parts}
        if "motion" in parts:
            depth = 0 if "render" in parts else about.depth[stage]  # pictures are of what the outermost says
            alone["motion"] = _unwrapped(whole["motion"], depth, stage)
        before = [s for s in order[: order.index(stage) + 1] if s in sources]
        alone |= {
            "name": SHARED,
            "fit": [stage],
            "eyes": EYES[0] if stage != "joint" else whole["eyes"],
            "data": _data_behind(stage, whole["data"]),
            "train": {key: value for key, value in whole["train"].items() if key in ("name", stage)},
            "load": {s: sources[s] for s in before if parts_behind(s, about.listens) <= parts},
        }
        config = complete(alone)
        configs.append(plain(config))
        sources[stage] = str(folder_of(config))
    return tuple(configs)


def listing(cells: Sequence[Cell]) -> str:
    """What a sweep would train, a line for each run: its stages' first, then the points'."""
    of: dict[str, tuple[str, list[Cell]]] = {}
    for cell in cells:
        for run in cell.stages:
            of.setdefault(str(folder_of(OmegaConf.create(run))), (run["fit"][0], []))[1].append(cell)
    lines = []
    for folder, (trained, behind) in of.items():
        there = "there" if (Path(folder) / WEIGHTS).is_file() else "to train"
        rows = list(dict.fromkeys(cell.row for cell in behind))
        lines.append(f"{there:8}  {trained:8}  {folder}  seed {behind[0].seed}, for {', '.join(rows)}")
    refused = {cell.row: cell.reason for cell in cells if cell.reason}
    lines += [f"cannot be trained: {row}: {reason}" for row, reason in refused.items()]
    return "\n".join([*lines, f"{len(cells)} points, {len(of)} stages to train or there"])


def parts_behind(stage: str, listens: bool = False) -> set[str]:
    """The parts of the pipeline that have a say in what a stage learns: a motion model's hangs on the sound."""
    parts = {part.split(".")[0] for one in moved(stage) for part in STAGES[one].owns}
    return parts | {"audio"} if "motion" in parts or listens else parts


def _unwrapped(motion: dict[str, Any], depth: int, stage: str) -> dict[str, Any]:
    for _ in range(depth):
        motion = motion["base"]
    if stage == "sync" and motion["name"] in EXPERT:
        return {key: value for key, value in motion.items() if key in EXPERT[motion["name"]]}
    return motion


def _data_behind(stage: str, data: dict[str, Any]) -> dict[str, Any]:
    if STAGES[stage].personal:
        return of_person(data)
    return data if stage == "postnet" or "target" not in data else data | {"target": None}


def _wrappers(weight: str) -> int:
    """
    >>> _wrappers("motion.base.base.head.weight")
    2
    """
    found = re.match(r"motion\.((?:base\.)*)", weight)
    return found[1].count("base.") if found else 0
