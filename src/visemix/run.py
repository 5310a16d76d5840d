"""What the commands do: from an experiment to a trained run, from a run and a sound to a video."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from omegaconf import DictConfig, OmegaConf
from pydantic import with_config

from visemix.config import signature
from visemix.data import DataModule
from visemix.experiment import REGISTRIES, complete_config, load_experiment
from visemix.ops.border import OPEN, fits, read_yaml
from visemix.ops.checkpoint import WEIGHTS, ModelConfig, PartConfig, read_checkpoint
from visemix.ops.locks import hold, sweep
from visemix.ops.state import seeded
from visemix.ops.store import write_text
from visemix.pipeline import SHOWN, TalkingFace
from visemix.training.fitting import RESUME, data_for, fit_stage, state_file
from visemix.training.joining import load_stages, resume_weights, stages_to_train
from visemix.training.optim import stage_options
from visemix.types import VisemixError

__all__ = ["REGISTRIES", "complete_config", "fit", "folder_of", "load_experiment"]

CONFIG = "config.yaml"  # in a run's folder


def folder_of(cfg: DictConfig) -> Path:
    """Where the run of a complete config lives."""
    return Path(cfg.out) / cfg.name / signature(cfg)


def fit(cfg: Mapping[str, Any], *, wait: bool = False) -> Path:
    """Train what `cfg.fit` lists and the run's folder lacks, in order, and answer the folder. Stages that the parts
    have nothing for (a sync-expert, a post-net) are passed over.

    In it: `config.yaml`, `metrics.csv`, `model.safetensors`, pictures in `samples/`, and `resume/` while a stage is
    under way. A run that was stopped goes on at the step it had stored last. `cfg.load` names for a stage the run (or
    the file) to take its weights from: to keep them, where the stage is not in `fit`, or to train on from there. With
    nothing in `fit`, the run joins what it loads.

    `wait` for another process that is at the same run, instead of refusing.

    Raises:
        VisemixError: an unknown part, option or key; no clip to train on; weights of other parts; a loss that is NaN;
            another process is at it.
    """
    cfg = complete_config(cfg)
    folder = folder_of(cfg)
    config = folder / CONFIG
    if config.is_file() and not config.stat().st_size:
        config.unlink()  # an older version's, on a full disk
    check_unedited(folder)
    with seeded(cfg.seed):
        model = TalkingFace.from_config(cfg)
        wanted = stages_to_train(cfg, model)
        tidy = config.is_file() and not (folder / RESUME).exists()
        if tidy and (folder / WEIGHTS).is_file() and {*wanted} <= {*_trained(folder)}:
            return folder
        with hold(folder, wait=wait):
            return _fit(cfg, model, wanted, folder)


def _trained(folder: Path) -> list[str]:
    return list(read_checkpoint(folder)[1]["trained"]) if (folder / WEIGHTS).is_file() else []


def _fit(cfg: DictConfig, model: TalkingFace, wanted: Sequence[str], folder: Path) -> Path:
    begun, trained = (folder / WEIGHTS).is_file(), _trained(folder)
    missing = [stage for stage in wanted if stage not in trained]
    if begun:
        resume_weights(model, folder)
    else:
        load_stages(model, cfg.load)
    data = {stage: data_for(cfg, model, stage) for stage in missing}  # no stage trains before all have their clips
    if missing or not begun or not (folder / CONFIG).is_file():
        write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.merge(cfg, {"plugins": []})))  # a run names no code
    if missing or not begun:
        _train(cfg, model, data, folder, trained, [stage for stage in cfg.load if stage not in wanted])
    shutil.rmtree(folder / RESUME, ignore_errors=True)
    sweep(folder)
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
    found = read_yaml(folder / CONFIG, wanted)
    fits(StoredConfig, found, folder / CONFIG, wanted)
    return OmegaConf.create(found)  # type: ignore[no-any-return]


def check_unedited(folder: Path) -> None:
    """Raises VisemixError where a run's `config.yaml` is no longer the one that its folder is named after."""
    path = folder / CONFIG
    if not path.is_file() or not re.fullmatch("[0-9a-f]{8}", folder.name):
        return
    if signature(stored_config(folder)) != folder.name:
        raise VisemixError(
            f"{path} was changed after the run was named after it, so nobody knows what was trained there; "
            f"undo the change, or delete {folder} and fit again"
        )
