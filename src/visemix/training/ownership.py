"""Which stages a model has, a checkpoint holds, and a part has a say in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visemix.pipeline import TalkingFace
from visemix.training.stage import STAGES, owning_stage, stages_trained_by


def trained_stages(notes: Mapping[str, Any]) -> list[str]:
    """The stages whose weights a checkpoint holds trained; where it does not say, all."""
    return [*notes.get("trained", STAGES), *notes.get("loaded", [])]


def applicable_stages(model: TalkingFace) -> list[str]:
    """The stages that a model has something to train for, in order."""
    names = model.names
    owners = {owning_stage(name, names) for name, parameter in model.named_parameters()}
    return [stage for stage in STAGES if owners & {*stages_trained_by(stage)}]


def parts_affecting(stage: str, audio_driven: bool = False) -> set[str]:
    """The parts of the pipeline that have a say in what a stage learns: a motion model's hangs on the sound."""
    trained = {part for one in stages_trained_by(stage) for part in (*STAGES[one].parts, STAGES[one].host_part) if part}
    return trained | {"audio"} if "motion" in trained or audio_driven else trained
