"""The plainest motion model: what the others have to beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion.base import MOTION, MotionModel
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject


@MOTION.register("regression")
class Regression(MotionModel):
    """A recurrent net from sound to motion, trained on the squared error. Knows no speaker; any length, in one pass.

    Args:
        hidden, layers: of the GRU.
        space: "expression" or "landmarks".
    """

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        hidden: int = 256,
        layers: int = 2,
        space: Literal["expression", "landmarks"] = "expression",
    ) -> None:
        super().__init__()
        self.space = Space(space)
        self.rnn = nn.GRU(audio_dim, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, face.width(self.space))

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        hidden, _ = self.rnn(audio.values)
        return Motion(self.head(hidden), self.space)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        state: Tensor | None = None
        for piece in audio:
            with torch.no_grad():
                hidden, state = self.rnn(piece.values, state)
                values = self.head(hidden)
            yield Motion(values, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        return {"motion": F.mse_loss(self(audio, subject).values, target.values)}
