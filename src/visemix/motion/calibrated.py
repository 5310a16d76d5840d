"""One person's rest and amplitude, for any motion model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from visemix.face import FaceModel
from visemix.face.layout import lip_distance
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError

CENTIMETRES = 10.0  # in a decimetre


@MOTION.register("calibrated")
class Calibrated(MotionModel):
    """Another model's motion x as scale · x + offset: how far one person's mouth goes, and about which rest.

    The `motion` stage trains the base; the `adapt` stage then finds the scale and the offsets, one for each channel,
    from some seconds of the person. So few numbers keep what the base has learnt of speech, where training all of it on
    so little does not. Before that they are 1 and 0.

    Args:
        base: the motion model, as under `motion` in an experiment.
        lowest, highest: bounds of the scale.
    """

    def __init__(
        self, audio_dim: int, face: FaceModel, *, base: dict[str, Any], lowest: float = 0.6, highest: float = 1.6
    ) -> None:
        super().__init__()
        if not 0 < lowest <= 1 <= highest:
            raise VisemixError(f"motion.lowest={lowest} and motion.highest={highest} must lie around 1, above 0")
        self.base = MOTION.build(base, audio_dim, face)
        self.face, self.space, self.lowest, self.highest = face, self.base.space, lowest, highest
        numbers = {"scale": torch.ones(()), "offset": torch.zeros(face.width(self.space))}
        self.calibration = nn.ParameterDict(numbers)
        self.calibration.requires_grad_(False)  # but for the stage that trains it

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        return self._of_person(self.base(audio, subject), subject, self.calibration["scale"])

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        return self._of_person(self.base.draw(audio, subject, seed), subject, self.calibration["scale"])

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, as the base's comes."""
        for piece in stream(self.base, audio, subject):
            with torch.no_grad():
                motion = self._of_person(piece, subject, self.calibration["scale"])
            yield motion

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        return self.base.loss(audio, subject, target)

    def adapt(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """How far the motion's mean and the spread of its opening are from the person's, squared.

        Not how far every frame is: sound tells only a part of that, and a scale for it would be too small.
        """
        with torch.no_grad():
            base = self.base(audio, subject)
        scale = self.calibration["scale"]
        spreads = [
            CENTIMETRES * lip_distance(self.face.landmarks(motion, subject)).mean(-1).std()
            for motion in (self._of_person(base, subject, scale), target)
        ]
        made = self._of_person(base, subject, scale.detach()).values
        return {
            "rest": (made - target.values).mean((0, 1)).square().mean(),
            "amplitude": (spreads[0] - spreads[1]).square(),
        }

    def _of_person(self, motion: Motion, subject: Subject, scale: Tensor) -> Motion:
        still = self.face.shape(subject.identity).unsqueeze(1) if self.space is Space.LANDMARKS else 0.0
        moved = scale.clamp(self.lowest, self.highest) * (motion.values - still)
        return Motion(still + moved + self.calibration["offset"], self.space)
