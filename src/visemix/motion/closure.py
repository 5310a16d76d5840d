"""Lips that meet where the sound says so, for any motion model."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.face import FaceModel
from visemix.face.layout import lip_distance
from visemix.motion.base import MOTION
from visemix.motion.event_detector import EventCorrected, EventDetector
from visemix.options import Count, NotNegative, Share
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError

MILLIMETRES = 100.0  # in a decimetre
RIDGE = 0.02  # weight of the face's mean squared movement, beside the squared gap


@MOTION.register("closure")
class Closure(EventCorrected):
    """Another model's motion, with the lips brought together where a small net hears that they touch.

    A mean over all that may be done to a sound leaves lips apart that nearly always meet: p, b and m last two or three
    frames, and open vowels are never far. Whether they meet can be heard; so it is learnt by itself, as a probability,
    and the lips are moved by as much as they are apart, by the least movement of the whole face that does it.

    Args:
        base: the motion model, as under `motion` in an experiment.
        hidden, dropout: of the net.
        near: millimetres by which true lips may be further apart (at the widest of three places) than those of the face
            at rest and still touch: the corpus' p, b and m are 0.3 to 0.7, its f and v 0.8 to 1.8.
        start, sure: probability above which lips are drawn together, and from which on they meet.

    Raises:
        VisemixError: `near` is not above 0.
    """

    _shut: Tensor

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        base: dict[str, Any],
        hidden: Count = 96,
        dropout: Share = 0.3,
        near: NotNegative = 0.75,
        start: NotNegative = 0.15,
        sure: NotNegative = 0.4,
    ) -> None:
        super().__init__()
        if near <= 0:
            raise VisemixError(f"motion.near={near} millimetres must be above 0")
        self.base = MOTION.build(base, audio_dim, face)
        self.face, self.space = face, self.base.space
        self.near = near
        self.touch = EventDetector(audio_dim, hidden, dropout, start, sure)
        points = face.expression[face.landmark_ids].double()  # (68, 3, E)
        shut = _least(face.expression.double(), lip_distance(points.permute(2, 0, 1)).mT)
        moved = points.flatten(0, 1) @ shut if self.space is Space.LANDMARKS else shut
        self.register_buffer("_shut", moved.float(), persistent=False)

    @property
    def detector(self) -> EventDetector:
        """The net that hears where lips touch."""
        return self.touch

    def corrected(self, motion: Motion, share: Float[Tensor, "B T 1"], subject: Subject) -> Motion:
        """Lips brought together by a share of their distance."""
        return Motion(motion.values - (share * self._apart(motion, subject)) @ self._shut.mT, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """The base's losses, and `closure`: the detector's, by the frames in which the target's lips touch."""
        closure = self.touch.loss(audio.values, self._touching(target, subject))
        return self.base.loss(audio, subject, target) | {"closure": closure}

    def _touching(self, target: Motion, subject: Subject) -> Bool[Tensor, "B T"]:
        """Frames in which the lips touch, measured from the face at rest: on some faces lips that touch are millimetres
        apart."""
        rest = target.values.new_zeros(len(target.values), 1, self.face.width(Space.EXPRESSION))
        motions = (target, Motion(rest, Space.EXPRESSION))
        true, still = (lip_distance(self.face.landmarks(motion, subject)) for motion in motions)
        return (true - still).amax(-1) * MILLIMETRES < self.near

    def _apart(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T 3"]:
        """Gap from the lower lip up to the upper at three places, decimetres, 0 where they overlap."""
        return lip_distance(self.face.landmarks(motion, subject)).clamp(min=0)


def _least(basis: Float[Tensor, "N 3 E"], lips: Float[Tensor, "3 E"]) -> Float[Tensor, "E 3"]:
    """Expression per decimetre of lip distance, with the least movement of all vertices: ridge least squares."""
    flat = basis.flatten(0, 1)
    width = flat.shape[-1]
    mass = RIDGE * flat.mT @ flat / len(basis) + 1e-6 * torch.eye(width, dtype=basis.dtype)
    return torch.linalg.solve(lips.mT @ lips + mass, lips.mT)
