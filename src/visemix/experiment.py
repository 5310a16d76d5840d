"""From an experiment's file to a complete config: every option of every part and stage, checked and written out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from visemix.audio import AUDIO
from visemix.config import compose, config_root, find_experiment, load_part, plain
from visemix.data import DATA
from visemix.face import FACE
from visemix.face.eyes import EYES
from visemix.motion import MOTION
from visemix.ops.checkpoint import pin_source
from visemix.ops.extras import NotInstalled
from visemix.ops.names import stays_below
from visemix.options import Natural, Seed, checked
from visemix.plugins import load_plugin_file
from visemix.registry import Registry
from visemix.render import RENDER
from visemix.terminal import printable
from visemix.training.logs import LOG
from visemix.training.modules import STAGES
from visemix.training.optim import StageOptions, stage_options
from visemix.types import VisemixError
from visemix.values import did_you_mean, quoted

log = logging.getLogger(__name__)

__all__ = ["REGISTRIES", "complete_config", "load_experiment"]

REGISTRIES: dict[str, Registry[Any]] = {
    "face": FACE,
    "audio": AUDIO,
    "motion": MOTION,
    "render": RENDER,
    "data": DATA,
    "log": LOG,
}


@dataclass
class General:
    """What an experiment may say beside its parts, and what holds where it does not."""

    name: str = "run"
    seed: Seed = 0
    eyes: str = EYES[0]
    fit: list[str] = field(default_factory=lambda: [stage for stage, module in STAGES.items() if not module.opt_in])
    load: dict[str, Any] = field(default_factory=dict)
    out: str = "runs"
    device: str = "auto"
    workers: Natural = 0
    plugins: list[str] = field(default_factory=list)


GENERAL = [option.name for option in fields(General)]
TRAINED_BY = [option.name for option in fields(StageOptions)]
STAGE_OPTIONS = {  # options of a data module that each stage sets for itself
    "window": "train.<stage>.window",
    "batch": "train.<stage>.batch",
    "workers": "workers",
    "frames": "fit",
    "seed": "seed",
}


def load_experiment(experiment: str | Path, overrides: Sequence[str] = ()) -> DictConfig:
    """The complete config of an experiment file under overrides, named after the file.

    Raises:
        VisemixError: as `compose` and `complete_config`.
    """
    path = find_experiment(experiment)
    _, found, inside = path.resolve().with_suffix("").as_posix().rpartition("/experiments/")
    name = inside if found else path.stem
    return complete_config({"name": name, **_compose_with_fallback(path, overrides)})


def _compose_with_fallback(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The experiment, composed; with its `fallback.audio` where the encoder it picks needs a package that is missing.
    An encoder that the overrides ask for is an order."""
    cfg = _point(path, overrides)
    other = _fallback(cfg)
    if other is None or any(override.startswith(("audio=", "use.audio=")) for override in overrides):
        return cfg
    try:
        AUDIO.build(cfg.get("audio") or {})
    except NotInstalled as error:
        log.warning("%s; this run hears audio=%s instead, and its config.yaml says so", error, other["name"])
        given = [f"audio.{key}={json.dumps(value)}" for key, value in other.items() if key != "name"]
        cfg = _point(path, [*overrides, f"audio={other['name']}", *given])
    return cfg


def _fallback(cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """Name and options of the encoder to take where the one that is picked cannot run here; None where none is named.

    Raises:
        VisemixError: it is no encoder, or the fallback is of something else.
    """
    given = cfg.get("fallback") or {}
    _check_known("an experiment's fallback", given if isinstance(given, Mapping) else [given], ["audio"])
    audio = given.get("audio")
    other = {"name": audio} if isinstance(audio, str) else audio
    if other is not None:
        AUDIO.check(other, "fallback.audio.")
    return None if other is None else dict(other)


def _point(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """An experiment as one run of it has it."""
    found = compose(path, overrides)
    return {
        str(key): plain(found[key]) if OmegaConf.is_config(found[key]) else found[key]
        for key in found
        if key != "sweep"
    }


def complete_config(cfg: Mapping[str, Any]) -> DictConfig:
    """The complete config: every option of every part and stage, checked and written out.

    Raises:
        VisemixError: an unknown key, part, stage or option.
    """
    if "metrics" in cfg:
        raise VisemixError(
            "metrics have no say in a run, which is the same whatever it is scored by: choose them where it is scored, "
            "visemix evaluate RUN --metrics psnr,fid --option fid.sha256=…"
        )
    _check_known("an experiment", cfg, [*GENERAL, *REGISTRIES, "train", "use", "sweep", "fallback"])
    given = {key: cfg[key] for key in GENERAL if key in cfg}
    full = checked(General, given | {"load": _sources(cfg.get("load"))}, "an experiment")
    _check_name(full["name"])
    for plugin in full["plugins"]:
        load_plugin_file(plugin)
    full |= _parts(cfg)
    _check_known("an experiment's fit", full["fit"], STAGES)
    _check_known("an experiment's eyes", [full["eyes"]], EYES)
    _check_known("an experiment's load", full["load"], STAGES)
    _fallback(cfg)
    return OmegaConf.create(full | {"train": _training(cfg.get("train") or load_part("train", "cpu"), full["fit"])})


def _parts(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of every part, but for those of the data that each stage sets for itself."""
    given = {group: cfg.get(group) or {} for group in REGISTRIES}
    for group, options in given.items():
        if not isinstance(options, Mapping):
            raise VisemixError(f"{group}: '{quoted(options)}' picks no part; give its name and options, by name")
    given["log"] = given["log"] or {"name": "csv"}
    for key, instead in STAGE_OPTIONS.items():
        if key in given["data"]:
            raise VisemixError(f"data.{key} is decided stage by stage; set {instead} instead")
    for group, registry in REGISTRIES.items():
        if "name" in given[group]:  # what else it has not is said by the registry
            options = [option.name for option in fields(registry.schema(given[group]["name"]))]
            own = {key for key in given[group] if key in TRAINED_BY}
            stage = group if group in STAGES else "<stage>"
            _check_known(f"{registry.kind} '{given[group]['name']}'", own, options, stage)
    full = {group: registry.full(given[group]) for group, registry in REGISTRIES.items()}
    full["data"] = {key: value for key, value in full["data"].items() if key not in STAGE_OPTIONS}
    return full


def _training(train: Any, fit: Sequence[str]) -> dict[str, Any]:
    """How each stage is trained that runs unasked, or is asked for."""
    if not isinstance(train, Mapping):
        raise VisemixError(f"train: '{quoted(train)}' says no stage's options; write train.motion.steps=3000, say")
    _check_known("an experiment's train", train, ["name", *STAGES])
    name = train.get("name", "cpu")
    _check_known("use.train", [name], [path.stem for path in (config_root() / "train").glob("*.yaml")])
    stages = {stage: vars(stage_options(stage, train.get(stage, {}))) for stage in STAGES}  # all are checked
    return {"name": name} | {
        stage: stages[stage] for stage, module in STAGES.items() if not module.opt_in or stage in fit
    }


def _sources(load: Any) -> dict[str, str]:
    """The sources of weights in `load`, without the stages that an experiment takes back by null; the library's own
    pinned."""
    if load is not None and not isinstance(load, Mapping):
        raise VisemixError(f"load={load} says no stage that is to come from there; write load.motion={load}, say")
    return {stage: pin_source(str(source)) for stage, source in (load or {}).items() if source is not None}


def _check_name(name: str) -> None:
    """Raises VisemixError where a run's name would not be a folder below that of all runs."""
    if printable(name) != name or not stays_below(name):
        raise VisemixError(f"name: '{quoted(name)}' names no folder below `out`; take words, with / between them")


def _check_known(owner: str, given: Iterable[Any], known: Iterable[str], stage: str = "<stage>") -> None:
    for key in given:
        if key not in known and key in TRAINED_BY:
            raise VisemixError(f"{owner} knows no '{key}': how a stage is trained is said by train.{stage}.{key}")
        if key not in known:
            raise VisemixError(
                f"{owner} knows no '{quoted(key)}'{did_you_mean(str(key), known)} (has: {', '.join(known)})"
            )
