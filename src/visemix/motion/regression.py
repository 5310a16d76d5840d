"""Plain regression from sound to motion: the baseline of the other motion models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion.base import MOTION, MotionModel
from visemix.nn.wavenet import CONDITION, Condition, WaveNet, total_context
from visemix.ops.sequence import rechunk
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject

BLOCK = 256  # frames that are streamed together


@MOTION.register("regression")
class Regression(MotionModel):
    """A net from sound to motion, trained on the squared error. Knows no speaker's manner; any length, in one pass.

    Args:
        net: "gru", or "wavenet": the decoder of `flow_vae` with nothing to vary, as GeneFace's Table 5 compares it.
        hidden, layers: of the net.
        space: "expression" or "landmarks"; to the latter the subject's own shape is added.
    """

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        net: Literal["gru", "wavenet"] = "gru",
        hidden: int = 256,
        layers: int = 2,
        space: Literal["expression", "landmarks"] = "expression",
    ) -> None:
        super().__init__()
        self.space, self.face = Space(space), face
        build = TemporalConv if net == "wavenet" else Recurrent
        self.net = build(audio_dim, hidden, layers)
        self.head = nn.Linear(hidden, face.width(self.space))

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """Motion (B, T, D) in `space`; to landmarks the subject's neutral shape is added."""
        return self._motion(self.net(audio.values), subject)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        pieces = self.net.stream(piece.values for piece in audio)
        while True:
            with torch.no_grad():
                hidden = next(pieces, None)
                if hidden is None:
                    return
                motion = self._motion(hidden, subject)
            yield motion

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """Mean squared error over frames and channels."""
        return {"motion": F.mse_loss(self(audio, subject).values, target.values)}

    def _motion(self, hidden: Tensor, subject: Subject) -> Motion:
        values = self.head(hidden)
        if self.space is Space.LANDMARKS:
            values = values + self.face.shape(subject.identity).unsqueeze(1)
        return Motion(values, self.space)


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
