"""What the commands do: from an experiment to a trained run, from a run and a sound to a video."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NotRequired

from omegaconf import DictConfig, OmegaConf
from pydantic import with_config

from visemix.audio import AUDIO
from visemix.config import compose, config_root, find_experiment, load_part, plain, signature
from visemix.data import DATA, DataModule
from visemix.face import FACE
from visemix.face.eyes import EYES
from visemix.motion import MOTION
from visemix.ops.border import OPEN, fits, read_yaml
from visemix.ops.checkpoint import WEIGHTS, ModelConfig, PartConfig, pin_source, read_checkpoint
from visemix.ops.extras import NotInstalled
from visemix.ops.state import seeded
from visemix.pipeline import SHOWN, TalkingFace
from visemix.plugins import load_plugin_file
from visemix.registry import Registry
from visemix.render import RENDER
from visemix.schema import did_you_mean
from visemix.text import printable
from visemix.training.fitting import data_for, fit_stage, state_file
from visemix.training.joining import load_stages, resume_weights, stages_to_train
from visemix.training.logs import LOG
from visemix.training.modules import STAGES
from visemix.training.optim import StageOptions, stage_options
from visemix.types import VisemixError

log = logging.getLogger(__name__)

__all__ = ["REGISTRIES", "complete_config", "fit", "folder_of", "load_experiment"]

REGISTRIES: dict[str, Registry[Any]] = {
    "face": FACE,
    "audio": AUDIO,
    "motion": MOTION,
    "render": RENDER,
    "data": DATA,
    "log": LOG,
}
GENERAL_DEFAULTS: dict[str, Any] = {  # what an experiment may say beside its parts, and what holds where it does not
    "name": "run",
    "seed": 0,
    "eyes": EYES[0],
    "fit": [stage for stage, module in STAGES.items() if not module.opt_in],
    "load": {},
    "out": "runs",
    "device": "auto",
    "workers": 0,
    "plugins": [],
}
TRAINED_BY = [field.name for field in fields(StageOptions)]
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
    cfg: dict[str, Any] = plain(compose(path, overrides))
    other = (cfg.get("fallback") or {}).get("audio")
    other, options = (other.get("name"), other) if isinstance(other, dict) else (other, {})
    if other is None or any(override.startswith(("audio=", "use.audio=")) for override in overrides):
        return cfg
    try:
        AUDIO.build(cfg["audio"])
    except NotInstalled as error:
        log.warning("%s; this run hears audio=%s instead, and its config.yaml says so", error, other)
        given = [f"audio.{key}={json.dumps(value)}" for key, value in options.items() if key != "name"]
        cfg = plain(compose(path, [*overrides, f"audio={other}", *given]))
    return cfg


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
    known = [*GENERAL_DEFAULTS, *REGISTRIES, "train", "use", "sweep", "fallback"]
    _check_known("an experiment", cfg, known)
    full = {key: cfg.get(key, default) for key, default in GENERAL_DEFAULTS.items()}
    _check_name(full["name"])
    full["load"] = _sources(full["load"])
    for plugin in full["plugins"]:
        load_plugin_file(plugin)
    full |= _parts(cfg)
    _check_known("an experiment's fit", full["fit"], STAGES)
    _check_known("an experiment's eyes", [full["eyes"]], EYES)
    _check_known("an experiment's fallback", cfg.get("fallback") or {}, ["audio"])
    _check_known("an experiment's load", full["load"], STAGES)
    if other := (cfg.get("fallback") or {}).get("audio"):
        AUDIO.check(other if isinstance(other, Mapping) else {"name": other})
    return OmegaConf.create(full | {"train": _training(cfg.get("train") or load_part("train", "cpu"), full["fit"])})


def _parts(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of every part, but for those of the data that each stage sets for itself."""
    given = {group: cfg.get(group) or {} for group in REGISTRIES}
    given["log"] = given["log"] or {"name": "csv"}
    for key, instead in STAGE_OPTIONS.items():
        if key in given["data"]:
            raise VisemixError(f"data.{key} is decided stage by stage; set {instead} instead")
    for group, registry in REGISTRIES.items():
        if "name" in given[group]:  # what else it has not is said by the registry
            options = [field.name for field in fields(registry.schema(given[group]["name"]))]
            own = {key for key in given[group] if key in TRAINED_BY}
            stage = group if group in STAGES else "<stage>"
            _check_known(f"{registry.kind} '{given[group]['name']}'", own, options, stage)
    full = {group: registry.full(given[group]) for group, registry in REGISTRIES.items()}
    full["data"] = {key: value for key, value in full["data"].items() if key not in STAGE_OPTIONS}
    return full


def _training(train: Mapping[str, Any], fit: Sequence[str]) -> dict[str, Any]:
    """How each stage is trained that runs unasked, or is asked for."""
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


def _check_name(name: Any) -> None:
    """A run's name is where it lies below `out`, and never outside."""
    if not isinstance(name, str) or printable(name) != name or {*re.split(r"[/\\]", name)} & {"", ".", ".."}:
        raise VisemixError(f"name={name} is no name of a run: its folder lies below `out`, as in name=mine or name=a/b")


def folder_of(cfg: DictConfig) -> Path:
    """Where the run of a complete config lives."""
    return Path(cfg.out) / cfg.name / signature(cfg)


def fit(cfg: Mapping[str, Any]) -> Path:
    """Train what `cfg.fit` lists and the run's folder lacks, in order, and answer the folder. Stages that the parts
    have nothing for (a sync-expert, a post-net) are passed over.

    In it: `config.yaml`, `metrics.csv`, `model.safetensors`, pictures in `samples/`, and `resume/` while a stage is
    under way. A run that was stopped goes on at the step it had stored last. `cfg.load` names for a stage the run (or
    the file) to take its weights from: to keep them, where the stage is not in `fit`, or to train on from there. With
    nothing in `fit`, the run joins what it loads.

    Raises:
        VisemixError: an unknown part, option or key; no clip to train on; weights of other parts; a loss that is NaN.
    """
    cfg = complete_config(cfg)
    with seeded(cfg.seed):
        return _fit(cfg)


def _fit(cfg: DictConfig) -> Path:
    folder = folder_of(cfg)
    begun = (folder / WEIGHTS).is_file()
    check_unedited(folder)
    trained = list(read_checkpoint(folder)[1]["trained"]) if begun else []
    if begun and {*cfg.fit} <= {*trained}:
        return folder
    model = TalkingFace.from_config(cfg)
    wanted = stages_to_train(cfg, model)
    missing = [stage for stage in wanted if stage not in trained]
    if begun and not missing:
        return folder
    if begun:
        resume_weights(model, folder)
    else:
        load_stages(model, cfg.load)
    data = {stage: data_for(cfg, model, stage) for stage in missing}  # no stage trains before all have their clips
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.merge(cfg, {"plugins": []}), folder / "config.yaml")  # a run names no code
    _train(cfg, model, data, folder, trained, [stage for stage in cfg.load if stage not in wanted])
    shutil.rmtree(folder / "resume", ignore_errors=True)
    return folder


def _train(
    cfg: DictConfig,
    model: TalkingFace,
    data: Mapping[str, DataModule],
    folder: Path,
    trained: Sequence[str],
    loaded: Sequence[str],
) -> None:
    """Each stage on its data, the weights kept after every one; without any, the weights as they are."""
    done = list(trained)
    if not data:
        model.save(folder / WEIGHTS, trained=[], loaded=loaded, **model.notes)
    for stage, shown in data.items():
        options = stage_options(stage, cfg.train[stage])
        about = {"seed": cfg.seed, "device": cfg.device, "log": cfg.log, "run": f"{cfg.name}/{folder.name}"}
        fit_stage(model, stage, options, shown, folder, **about)
        done.append(stage)
        if stage == "render" and model.render.person_specific:
            model.notes[SHOWN] = shown.speakers
        model.save(folder / WEIGHTS, trained=done, loaded=loaded, **model.notes)
        state_file(folder, stage).unlink(missing_ok=True)


@with_config(OPEN)
class StoredConfig(ModelConfig):
    """What readers of a run's `config.yaml` rely on; other keys may be anything."""

    name: str
    fit: list[str]
    data: NotRequired[PartConfig]
    log: NotRequired[PartConfig]
    train: NotRequired[dict[str, Any]]
    seed: NotRequired[int]
    load: NotRequired[dict[str, str]]


def stored_config(folder: Path) -> DictConfig:
    """A run's `config.yaml`, which is data: it refers to nothing outside it.

    Raises:
        VisemixError: it cannot be read, or is none of ours.
    """
    wanted = "give a run folder that `visemix fit` printed"
    found = read_yaml(folder / "config.yaml", wanted)
    fits(StoredConfig, found, folder / "config.yaml", wanted)
    return OmegaConf.create(found)  # type: ignore[no-any-return]


def check_unedited(folder: Path) -> None:
    """Raises VisemixError where a run's `config.yaml` is no longer the one that its folder is named after."""
    path = folder / "config.yaml"
    if not path.is_file() or not re.fullmatch("[0-9a-f]{8}", folder.name):
        return
    if signature(stored_config(folder)) != folder.name:
        raise VisemixError(
            f"{path} was changed after the run was named after it, so nobody knows what was trained there; "
            f"undo the change, or delete {folder} and fit again"
        )


def _check_known(owner: str, given: Iterable[str], known: Iterable[str], stage: str = "<stage>") -> None:
    for key in given:
        if key not in known and key in TRAINED_BY:
            raise VisemixError(f"{owner} knows no '{key}': how a stage is trained is said by train.{stage}.{key}")
        if key not in known:
            raise VisemixError(f"{owner} knows no '{key}'{did_you_mean(key, known)} (has: {', '.join(known)})")
