"""Less jitter, for any motion model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from visemix.face import FaceModel
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.ops.sequence import rechunk, smooth
from visemix.options import NotNegative
from visemix.parts import Wrapper
from visemix.types import AudioFeatures, Losses, Motion, Subject, VisemixError


@MOTION.register("smooth")
class Smooth(MotionModel, Wrapper):
    """Another model's motion, averaged over time under a Gaussian.

    The base is trained by its own loss: scored through the filter, jitter would cost it nothing.

    Args:
        base: the motion model, as under `motion` in an experiment.
        sigma: standard deviation in frames. Consonants close the lips for two or three frames; keep it at about one.

    Raises:
        VisemixError: `sigma` is not above 0.
    """

    base: MotionModel

    def __init__(self, audio_dim: int, face: FaceModel, *, base: dict[str, Any], sigma: NotNegative = 1.0) -> None:
        super().__init__()
        if sigma <= 0:
            raise VisemixError(f"motion.sigma={sigma} must be above 0; without smoothing, use the base by itself")
        self.base = MOTION.build(base, audio_dim, face)
        self.space, self.sigma, self.radius = self.base.space, sigma, math.ceil(3 * sigma)

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """The base's motion, smoothed."""
        return Motion(smooth(self.base(audio, subject).values, self.sigma, self.radius), self.space)

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        """The motion that the base draws for this seed, smoothed."""
        return Motion(smooth(self.base.draw(audio, subject, seed).values, self.sigma, self.radius), self.space)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, 3 sigma later than the base's, equal to one pass over all of it."""
        motion = (piece.values for piece in stream(self.base, audio, subject))
        for rows, first, last in rechunk(motion, 256, self.radius, self.radius):
            with torch.no_grad():
                values = smooth(rows, self.sigma, self.radius)[:, first:last]
            yield Motion(values, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """The base's losses, of its motion before smoothing."""
        return self.base.loss(audio, subject, target)
