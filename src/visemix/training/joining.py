"""Weights from other runs: what may be taken over from where, and what must be trained before what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visemix.audio.base import key_of, meaning
from visemix.parts import Names
from visemix.pipeline import SHOWN, TalkingFace, names_of, read_checkpoint
from visemix.training.modules import STAGES
from visemix.training.stage import learnt, moved, owner, present
from visemix.types import VisemixError

Heard = tuple[str, str, dict[str, Any]]  # a stage, where it comes from, and what it was trained to hear


def to_train(cfg: Mapping[str, Any], model: TalkingFace) -> list[str]:
    """The stages of `cfg.fit` that the model has something for, in order.

    Raises:
        VisemixError: there is none, or one builds on what nobody trained.
    """
    wanted = [stage for stage in present(model) if stage in cfg["fit"]]
    if cfg["fit"] and not wanted:
        raise VisemixError(f"nothing in the {' and '.join(cfg['fit'])} stage can be trained; leave it out of `fit`")
    _refuse_gaps(model, wanted, [*cfg["load"]])
    return wanted


def _refuse_gaps(model: TalkingFace, wanted: list[str], loaded: list[str]) -> None:
    """A stage that builds on another one must not build on nothing."""
    there = present(model)
    for stage in wanted:
        for need in STAGES[stage].needs:
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


def take_up(model: TalkingFace, folder: Path) -> None:
    """All the weights of a run that has some of its stages trained."""
    weights, notes = _read(model, folder)
    model.join(weights, folder, notes["config"])
    _remember_who(model, "render", notes)


def take_over(model: TalkingFace, load: Mapping[str, str]) -> None:
    """Stage by stage, in the order in which they train, the weights that training it moves, from the run or checkpoint
    that `load` names for it; with what learnt from sound comes the recogniser that it heard through.

    Raises:
        VisemixError: no such run, one of another face model, without the stage, or with parts of other sizes; or one
            whose stage hears otherwise than the encoder that this model has when all is joined.
    """
    unheard: list[Heard] = []  # who has not met the encoder yet that comes with what it was trained for
    settled = False
    for stage in (stage for stage in STAGES if stage in load):
        weights, notes = _join(model, stage, load[stage])
        if "motion" in moved(stage):  # brings the encoder
            settled = True
            _compare(model, unheard)
        elif hears(stage, model) and STAGES[stage].within != "audio":
            unheard.append((stage, load[stage], _key(weights, notes)))
        if settled:
            _compare(model, unheard)
    _compare(model, unheard)


def hears(stage: str, model: TalkingFace) -> bool:
    """Whether a stage learns from sound."""
    return stage != "render" or model.listening


def _join(model: TalkingFace, stage: str, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
    weights, notes = _read(model, source)
    known = learnt(notes)
    if stage not in known:
        raise VisemixError(f"{source} holds no trained {stage} stage (trained: {', '.join(known)})")
    of = {*moved(stage)}
    if hears(stage, model):
        of.add("recogniser")
        ours = meaning(model.audio.carry(model.config["audio"]))
        _refuse_other(stage, source, meaning(notes["config"]["audio"]), ours)
    model.join(weights, source, notes["config"], lambda weight, names: owner(weight, names) in of)
    _remember_who(model, stage, notes)
    return weights, notes


def _read(model: TalkingFace, source: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    weights, notes = read_checkpoint(source)
    if notes["face"] != model.face.name:
        raise VisemixError(f"{source} was trained with face model '{notes['face']}', this run has '{model.face.name}'")
    return weights, notes


def _remember_who(model: TalkingFace, stage: str, notes: Mapping[str, Any]) -> None:
    if stage == "render" and SHOWN in notes:
        model.notes[SHOWN] = notes[SHOWN]


def _key(weights: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint's encoder hears, as `AudioEncoder.key` says it of a built one."""
    names: Names = names_of(notes["config"])
    audio = {names.bare(name): tensor for name, tensor in weights.items() if name.startswith("audio.")}
    return key_of(notes["config"]["audio"], audio)


def _compare(model: TalkingFace, unheard: list[Heard]) -> None:
    """Whoever is `unheard` must have been trained with this encoder; then it is not any more."""
    ours = model.audio.key() if unheard else {}
    while unheard:
        stage, source, theirs = unheard.pop()
        _refuse_other(stage, source, theirs, ours)


def _refuse_other(stage: str, source: str, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    if theirs != ours:
        raise VisemixError(f"the {stage} stage in {source} hears {_words(theirs)}, this run {_words(ours)}")


def _words(options: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{key}={value}" for key, value in options.items() if key != "name")
    return f"'{options['name']}' ({rest})" if rest else f"'{options['name']}'"
