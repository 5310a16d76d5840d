"""The points of a sweep, and the runs that train their stages: what points share is one run, trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from visemix.config import compose, plain, sweep_points
from visemix.experiment import complete_config, load_experiment
from visemix.face.eyes import EYES
from visemix.motion import MOTION
from visemix.ops.checkpoint import WEIGHTS
from visemix.ops.progress import Console
from visemix.parts import without_advice
from visemix.pipeline import PARTS, TalkingFace
from visemix.run import folder_of
from visemix.training.fitting import data_for, kind_of
from visemix.training.joining import stages_to_train
from visemix.training.modules import STAGES
from visemix.training.ownership import parts_affecting
from visemix.training.stage import owning_stage, stages_trained_by
from visemix.types import VisemixError

SHARED = "stages"  # name of the runs that hold one trained stage each


@dataclass(frozen=True)
class Cell:
    """A point of the sweep: its whole run, and the runs, one for each stage and in order, that train it."""

    row: str
    seed: int
    config: dict[str, Any]
    stages: tuple[dict[str, Any], ...]
    reason: str = ""  # why its parts cannot be trained together, which then nobody tries


@dataclass(frozen=True)
class ModelStages:
    """Stages of a model that can be trained, how deep in wrappers each is, and whether sound drives the renderer; or
    why not."""

    stages: tuple[str, ...]
    depth: Mapping[str, int]  # of wrappers around the weights of each stage
    audio_driven: bool  # whether the renderer hears the sound itself
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
    known: dict[str, ModelStages] = {}
    found = sweep_points(compose(experiment, overrides))
    for point in track(found, "planning", console=Console(stderr=True), transient=True, disable=not progress):
        try:
            cfg = load_experiment(experiment, [*point.overrides, *overrides])
        except VisemixError as error:
            raise VisemixError(f"point '{point.row}' of {experiment}: {error}") from error
        if cfg.log.name == "wandb" and cfg.log.group is None:
            cfg.log.group = cfg.name
        model = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, [*PARTS, "fit", "load", "data"]))
        if model not in known:
            known[model] = model_stages(cfg, with_data=with_data)
        stages = stage_configs(cfg, known[model])
        cells.append(Cell(point.row, int(cfg.seed), plain(cfg), stages, known[model].reason))
    if all(cell.reason for cell in cells):
        raise VisemixError(f"no point of {experiment} can be trained; the first, '{cells[0].row}': {cells[0].reason}")
    return cells


def model_stages(cfg: DictConfig, *, with_data: bool = False) -> ModelStages:
    """Which stages a run has, found by building its parts, and `with_data` what each is trained on."""
    try:
        with without_advice():  # each stage's own run gives it
            model = TalkingFace.from_config(cfg)
        stages = stages_to_train(cfg, model)
        for stage in stages if with_data else ():
            data_for(cfg, model, stage)
    except VisemixError as error:
        return ModelStages((), {}, False, str(error))
    weights = _motion_weights(model)
    depth = {
        s: min((around for around, trained in weights if trained in _stages_affecting(s)), default=0) for s in stages
    }
    return ModelStages(tuple(stages), depth, model.audio_driven)


def _motion_weights(model: TalkingFace) -> list[tuple[int, str | None]]:
    """Of each weight of the motion model, the number of wrappers around it, and the stage that trains it."""
    names = model.names
    weights = [f"motion.{name}" for name, _ in model.motion.named_parameters()]
    return [(place.wrappers, owning_stage(name, names)) for name in weights if (place := names.location_of(name))]


def _stages_affecting(stage: str) -> set[str]:
    """The stages whose weights it trains or builds on."""
    return {trained for each in (stage, *STAGES[stage].requires) for trained in stages_trained_by(each)}


def stage_configs(cfg: DictConfig, found: ModelStages) -> tuple[dict[str, Any], ...]:
    """For each stage of a run, in order, the config of a run that trains it alone, over those before it.

    Whatever has no say in a stage is replaced by the plainest, so that equal stages of different points have equal
    configs: the other parts, wrappers around the motion model, the data and lengths of other stages.
    """
    sources: dict[str, str] = plain(cfg.load)
    configs = []
    for stage in found.stages:
        config = complete_config(_alone(stage, plain(cfg), found, sources))
        configs.append(plain(config))
        sources[stage] = str(folder_of(config))
    return tuple(configs)


def _alone(stage: str, whole: dict[str, Any], found: ModelStages, sources: Mapping[str, str]) -> dict[str, Any]:
    """The config of a run that trains one stage, over the `sources` of others."""
    parts = parts_affecting(stage, found.audio_driven)
    saying = {part: whole[part] for part in parts}
    if "motion" in parts and "render" not in parts:  # pictures are of what the outermost says
        saying["motion"] = _unwrapped(whole["motion"], found.depth[stage], stage)
    plainest = {part: {"name": registry.plainest} for part, registry in PARTS.items() if registry.plainest}
    return {
        **whole,
        **plainest,
        **saying,
        "name": SHARED,
        "fit": [stage],
        "eyes": EYES[0] if stage != "joint" else whole["eyes"],
        "data": _data_affecting(stage, whole["data"]),
        "train": {key: value for key, value in whole["train"].items() if key in ("name", stage)},
        "load": {
            s: sources[s] for s in _up_to(stage) if s in sources and parts_affecting(s, found.audio_driven) <= parts
        },
    }


def _up_to(stage: str) -> list[str]:
    """The stages before this one, and it."""
    order = list(STAGES)
    return order[: order.index(stage) + 1]


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


def _unwrapped(motion: dict[str, Any], depth: int, stage: str) -> dict[str, Any]:
    """What is inside so many wrappers; of its options those that have a say in the stage, where it knows which."""
    for _ in range(depth):
        (motion,) = (dict(inner) for inner in MOTION.kind_of(motion["name"]).inner_parts(motion).values())
    held = MOTION.kind_of(motion["name"]).separate_weights.get(stage)
    if held is None or held.options is None:
        return motion
    return {key: value for key, value in motion.items() if key in ("name", *held.options)}


def _data_affecting(stage: str, data: dict[str, Any]) -> dict[str, Any]:
    module = STAGES[stage]
    if module.person_specific:
        return kind_of(data).person_config(data)
    return data if module.paired else kind_of(data).shared_config(data)
