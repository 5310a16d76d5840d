"""Weights from other runs: what may be taken over from where, and what must be trained before what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visemix.audio.base import feature_config, feature_key_of
from visemix.ops.budget import building
from visemix.parts import WeightNames
from visemix.pipeline import SHOWN, TalkingFace, read_checkpoint, weight_names
from visemix.training.modules import STAGES
from visemix.training.ownership import applicable_stages, trained_stages
from visemix.training.stage import owning_stage, stages_trained_by
from visemix.types import VisemixError

EncoderRequirement = tuple[str, str, dict[str, Any]]  # a stage, where it comes from, and what it was trained to hear


def stages_to_train(cfg: Mapping[str, Any], model: TalkingFace) -> list[str]:
    """The stages of `cfg.fit` that the model has something for, in order.

    Raises:
        VisemixError: there is none, or one builds on what nobody trained.
    """
    wanted = [stage for stage in applicable_stages(model) if stage in cfg["fit"]]
    if cfg["fit"] and not wanted:
        raise VisemixError(f"nothing in the {' and '.join(cfg['fit'])} stage can be trained; leave it out of `fit`")
    _check_required_stages(model, wanted, [*cfg["load"]])
    return wanted


def _check_required_stages(model: TalkingFace, wanted: list[str], loaded: list[str]) -> None:
    """A stage that builds on another one must not build on nothing."""
    there = applicable_stages(model)
    for stage in wanted:
        for need in STAGES[stage].requires:
            if need in there and need not in [*wanted, *loaded]:
                raise VisemixError(
                    f"the {stage} stage builds on the {need} stage, which nobody trained: "
                    f"put it in fit, or name a run in load.{need}"
                )
    if "sync" in wanted and any(parameter.requires_grad for parameter in model.audio.parameters()):
        name = model.config["audio"]["name"]
        raise VisemixError(
            f"the sync-expert hears audio '{name}', which would learn on after it: freeze it "
            "(audio.trainable=false, or audio.learned=false for mel), or leave the expert out"
        )


def resume_weights(model: TalkingFace, folder: Path) -> None:
    """All the weights of a run that has some of its stages trained."""
    weights, notes = _read(model, folder)
    model.load_weights(weights, folder, notes["config"])
    _note_person(model, "render", notes)


def load_stages(model: TalkingFace, load: Mapping[str, str]) -> None:
    """Stage by stage, in the order in which they train, the weights that training it moves, from the run or checkpoint
    that `load` names for it; with what learnt from sound comes the recogniser that it heard through.

    Raises:
        VisemixError: no such run, one of another face model, without the stage, or with parts of other sizes; or one
            whose stage hears otherwise than the encoder that this model has when all is joined.
    """
    unchecked: list[EncoderRequirement] = []  # who has not met the encoder yet that comes with what it was trained for
    settled = False
    for stage in (stage for stage in STAGES if stage in load):
        weights, notes = _load_stage(model, stage, load[stage])
        if "motion" in stages_trained_by(stage):  # brings the encoder
            settled = True
            _check_features(model, unchecked)
        elif learns_from_sound(stage, model) and STAGES[stage].host_part != "audio":
            unchecked.append((stage, load[stage], _feature_key(weights, notes)))
        if settled:
            _check_features(model, unchecked)
    _check_features(model, unchecked)


def learns_from_sound(stage: str, model: TalkingFace) -> bool:
    """Whether a stage learns from sound."""
    return stage != "render" or model.audio_driven


def _load_stage(model: TalkingFace, stage: str, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    weights, notes = _read(model, source)
    known = trained_stages(notes)
    if stage not in known:
        raise VisemixError(f"{source} holds no trained {stage} stage (trained: {', '.join(known)})")
    of = {*stages_trained_by(stage)}
    if learns_from_sound(stage, model):
        of.add("recogniser")
        here = feature_config(model.audio.checkpoint_config(model.config["audio"]))
        _require_equal(stage, source, feature_config(notes["config"]["audio"]), here)
    model.load_weights(weights, source, notes["config"], lambda weight, names: owning_stage(weight, names) in of)
    _note_person(model, stage, notes)
    return weights, notes


def _read(model: TalkingFace, source: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    weights, notes = read_checkpoint(source)
    if notes["face"] != model.face.name:
        raise VisemixError(f"{source} was trained with face model '{notes['face']}', this run has '{model.face.name}'")
    with building(source):
        weight_names(notes["config"])
        feature_config(notes["config"]["audio"])
    return weights, notes


def _note_person(model: TalkingFace, stage: str, notes: Mapping[str, Any]) -> None:
    if stage == "render" and SHOWN in notes:
        model.notes[SHOWN] = notes[SHOWN]


def _feature_key(weights: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint's encoder hears, as `AudioEncoder.feature_key` says it of a built one."""
    names: WeightNames = weight_names(notes["config"])
    audio = {names.unwrapped(name): tensor for name, tensor in weights.items() if name.startswith("audio.")}
    return feature_key_of(notes["config"]["audio"], audio)


def _check_features(model: TalkingFace, unchecked: list[EncoderRequirement]) -> None:
    """Whoever is `unchecked` must have been trained with this encoder; then it is not any more."""
    here = model.audio.feature_key() if unchecked else {}
    while unchecked:
        stage, source, there = unchecked.pop()
        _require_equal(stage, source, there, here)


def _require_equal(stage: str, source: str, there: dict[str, Any], here: dict[str, Any]) -> None:
    if there != here:
        raise VisemixError(f"the {stage} stage in {source} hears {_words(there)}, this run {_words(here)}")


def _words(options: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key}={value}" for key, value in options.items() if key != "name")
    return f"'{options['name']}' ({rest})" if rest else f"'{options['name']}'"
