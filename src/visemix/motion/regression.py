"""Plain regression from sound to motion: the baseline of the other motion models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion.base import MOTION, MotionModel
from visemix.motion.lm3d import LM3D, MOUTH_SIGMA, SIGMA, smooth_landmarks, smoothing_radius
from visemix.nn.wavenet import CONDITION, Condition, WaveNet, total_context
from visemix.ops.sequence import rechunk
from visemix.options import Count, NotNegative
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError

BLOCK = 256  # frames that are streamed together


@MOTION.register("regression")
class Regression(MotionModel):
    """A net from sound to motion, trained on the squared error. Knows no speaker's manner; any length, in one pass.

    Args:
        net: "gru", or "wavenet": the decoder of `flow_vae` with nothing to vary, as GeneFace's Table 5 compares it.
        hidden, layers: of the net.
        space: "expression" or "landmarks"; to the latter the subject's own shape is added.
        sigma, mouth_sigma: of a Gaussian over time at inference, in frames, as in `flow_vae`; 0 for none. None: what
            `flow_vae` has by default for landmarks, and none for expressions, which have no points (see `smooth`).
    """

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        net: Literal["gru", "wavenet"] = "gru",
        hidden: Count = 256,
        layers: Count = 2,
        space: Literal["expression", "landmarks"] = "expression",
        sigma: NotNegative | None = None,
        mouth_sigma: NotNegative | None = None,
    ) -> None:
        super().__init__()
        self.space, self.lm3d = Space(space), LM3D(face, "subject")
        usual = (SIGMA, MOUTH_SIGMA) if self.space is Space.LANDMARKS else (0.0, 0.0)
        self.sigma, self.mouth_sigma = (u if s is None else s for u, s in zip(usual, (sigma, mouth_sigma), strict=True))
        if self.space is Space.EXPRESSION and (self.sigma or self.mouth_sigma):
            raise VisemixError(
                f"motion.sigma={self.sigma} and motion.mouth_sigma={self.mouth_sigma} are of landmarks: set "
                "motion.space=landmarks, or wrap the regression in `smooth`"
            )
        self.radius = smoothing_radius(self.sigma, self.mouth_sigma)
        build = TemporalConv if net == "wavenet" else Recurrent
        self.net = build(audio_dim, hidden, layers)
        self.head = nn.Linear(hidden, face.width(self.space))

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """Motion (B, T, D) in `space`; to landmarks the subject's neutral shape is added."""
        return self._motion(self._rows(audio), subject)

    @torch.no_grad()
    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        pieces = (self.head(hidden) for hidden in self.net.stream(piece.values for piece in audio))
        for rows, first, last in rechunk(pieces, BLOCK, self.radius, self.radius):
            yield self._motion(rows, subject, first, last)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """Mean squared error over frames and channels, before smoothing: of landmarks in cm², of coefficients as they
        are."""
        truth = self.lm3d.pack(target, subject) if self.space is Space.LANDMARKS else target.values
        return {"motion": F.mse_loss(self._rows(audio), truth)}

    def _rows(self, audio: AudioFeatures) -> Tensor:
        """Coefficients, or landmarks in centimetres less the subject's shape, before smoothing."""
        return self.head(self.net(audio.values))  # type: ignore[no-any-return]

    def _motion(self, rows: Tensor, subject: Subject, first: int = 0, last: int | None = None) -> Motion:
        """Of the rows from `first` to `last`, the others being their surroundings."""
        if self.space is Space.EXPRESSION:
            return Motion(rows[:, first:last], self.space)
        smoothed = smooth_landmarks(rows, self.sigma, self.mouth_sigma)
        return self.lm3d.unpack(smoothed[:, first:last], subject)


class Recurrent(nn.Module):
    """GRU over audio features: a row depends on the past alone."""

    def __init__(self, audio_dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(audio_dim, hidden, layers, batch_first=True)

    def forward(self, audio: Tensor) -> Tensor:
        """Hidden rows (B, T, H) of the GRU, each from the sound up to its frame."""
        return self.rnn(audio)[0]

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same piece by piece; the GRU's state goes from each piece to the next."""
        state: Tensor | None = None
        for piece in pieces:
            hidden, state = self.rnn(piece, state)
            yield hidden


class TemporalConv(nn.Module):
    """WaveNet over audio features: a row depends on a few before and after it."""

    def __init__(self, audio_dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.condition = Condition(audio_dim)
        self.net = WaveNet(hidden, CONDITION, layers, 5)
        self.start = nn.Parameter(torch.zeros(hidden, 1))

    def forward(self, audio: Tensor) -> Tensor:
        """Hidden rows (B, T, H) of a WaveNet over one learnt vector, the sound its condition."""
        x = self.start.expand(len(audio), -1, audio.shape[1])
        return self.net(x, self.condition(audio.mT)).mT

    def stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same piece by piece, each computed with as many rows around it as it depends on."""
        for rows, first, last in rechunk(pieces, BLOCK, *total_context(self.net.context, self.condition.context)):
            yield self(rows)[:, first:last]
