"""One person's rest and amplitude, for any motion model."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.face.layout import lip_distance
from visemix.motion.base import MOTION
from visemix.motion.event_detector import EventCorrected, EventDetector
from visemix.options import Count, NotNegative, Share
from visemix.parts import SeparateWeights
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError

CENTIMETRES, MILLIMETRES = 10.0, 100.0  # in a decimetre
AROUND = 3  # frames to either side over which a mouth must be still
RARE = 0.02  # of the time: a rest that is seen for so long is believed by half


@MOTION.register("calibrated")
class Calibrated(EventCorrected):
    """Another model's motion x as scale · x + offset: how far one person's mouth goes, and about which middle. Where a
    small net hears that nobody speaks a second offset is added: where the person's mouth rests.

    The `motion` stage trains the base and the net; the `adapt` stage then finds the scale and the offsets, one for each
    channel, from some seconds of the person. So few numbers keep what the base has learnt of speech, where training
    all of it on so little does not. Before that they are 1 and 0.

    Args:
        base: the motion model, as under `motion` in an experiment.
        hidden, dropout: of the net.
        still: millimetres a frame by which lips that rest move, at most.
        start, sure: probability of a pause above which the second offset counts, and from which on it counts in full.
        lowest, highest: bounds of the scale.

    Raises:
        VisemixError: `still` is not above 0, or `lowest` and `highest` do not lie around 1.
    """

    separate_weights = MappingProxyType({"adapt": SeparateWeights(("calibration",))})

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        base: dict[str, Any],
        hidden: Count = 96,
        dropout: Share = 0.3,
        still: NotNegative = 0.3,
        start: NotNegative = 0.2,
        sure: NotNegative = 0.5,
        lowest: NotNegative = 0.6,
        highest: NotNegative = 1.6,
    ) -> None:
        super().__init__()
        if not 0 < lowest <= 1 <= highest:
            raise VisemixError(f"motion.lowest={lowest} and motion.highest={highest} must lie around 1, above 0")
        if still <= 0:
            raise VisemixError(f"motion.still={still} millimetres a frame must be above 0")
        self.base = MOTION.build(base, audio_dim, face)
        self.face, self.space = face, self.base.space
        self.still, self.lowest, self.highest = still, lowest, highest
        self.pause = EventDetector(audio_dim, hidden, dropout, start, sure)
        width = face.width(self.space)
        numbers = {"scale": torch.ones(()), "offset": torch.zeros(width), "rest": torch.zeros(width)}
        self.calibration = nn.ParameterDict(numbers)
        self.calibration.requires_grad_(False)  # but for the stage that trains it

    @property
    def detector(self) -> EventDetector:
        """The net that hears where nobody speaks."""
        return self.pause

    def corrected(self, motion: Motion, share: Float[Tensor, "B T 1"], subject: Subject) -> Motion:
        """scale · motion + offset + share · rest; landmarks are scaled about the subject's neutral face."""
        scale, offset, rest = (self.calibration[name] for name in ("scale", "offset", "rest"))
        return Motion(self._scaled(motion, subject, scale) + offset + share * rest, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """The base's losses, and `pause`: the detector's, for which lips that keep still are a pause."""
        pause = self.pause.loss(audio.values, self._still(self._opening(target, subject)))
        return self.base.loss(audio, subject, target) | {"pause": pause}

    def adapt(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """How far the motion's mean, its rest and the spread of its opening are from the person's, squared.

        Not how far every frame is: sound tells only a part of that, and a scale for it would be too small.
        """
        with torch.no_grad():
            base, pause = self.base(audio, subject), self.pause.share(audio.values)
        scale, offset, rest = (self.calibration[name] for name in ("scale", "offset", "rest"))
        made = Motion(self._scaled(base, subject, scale) + (offset + pause * rest).detach(), self.space)
        ours, theirs = self._opening(made, subject), self._opening(target, subject)
        off = self._scaled(base, subject, scale.detach()) - target.values
        still = self._still(theirs).to(pause)
        near = F.max_pool1d(still, 2 * AROUND + 1, stride=1, padding=AROUND)
        rests, moves = pause * still.unsqueeze(-1), pause * (1 - near).unsqueeze(-1)
        own = rests.mean() * _mean(off + offset.detach() + rest, rests).square()
        doubt = (RARE + moves.mean()) * rest.square()
        return {
            "middle": _mean(off + offset, 1 - pause).square().mean(),
            "rest": (own + doubt).mean(),
            "amplitude": (CENTIMETRES * ours.std() - CENTIMETRES * theirs.std()).square(),
        }

    def _opening(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T"]:
        """Opening of the mouth in each frame, decimetres."""
        return lip_distance(self.face.landmarks(motion, subject)).mean(-1)

    def _still(self, opening: Float[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
        speed = F.pad((MILLIMETRES * opening).diff(dim=1).abs(), (1, 0))
        around = F.avg_pool1d(speed, 2 * AROUND + 1, stride=1, padding=AROUND, count_include_pad=False)
        return around < self.still

    def _scaled(self, motion: Motion, subject: Subject, scale: Tensor) -> Float[Tensor, "B T D"]:
        neutral = self.face.shape(subject.identity).unsqueeze(1) if self.space is Space.LANDMARKS else 0.0
        return neutral + scale.clamp(self.lowest, self.highest) * (motion.values - neutral)


def _mean(values: Float[Tensor, "B T D"], weights: Float[Tensor, "B T 1"]) -> Float[Tensor, " D"]:
    """Weighted mean over the frames of a batch."""
    return (weights * values).sum((0, 1)) / weights.sum().clamp(min=1)
