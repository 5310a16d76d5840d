"""What a small net hears in the sound, for motion models that act on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import tee

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.motion.base import MotionModel, stream
from visemix.ops.sequence import blocks
from visemix.parts import Wrapper
from visemix.types import AudioFeatures, Motion, Subject, VisemixError

BLOCK = 256  # frames that are heard together in a stream
UNHEARD = -3.0  # logit before anything was learnt: one that knows nothing changes nothing


class Cue(nn.Sequential):
    """How likely something is to happen in each frame, as a small net hears it in the frames around.

    Args:
        audio_dim: width of the features.
        hidden, dropout: of the net.
        start, sure: probability above which it counts, and from which on it counts in full.
    """

    reach = 3  # frames to either side that are heard

    def __init__(self, audio_dim: int, hidden: int, dropout: float, start: float, sure: float) -> None:
        if not 0 <= start < sure <= 1:
            raise VisemixError(f"motion.start={start} must lie below motion.sure={sure}, both in [0, 1]")
        super().__init__(
            nn.Conv1d(audio_dim, hidden, 5, padding=2),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(hidden, hidden, 3, padding=1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(hidden, 1, 1),
        )
        nn.init.constant_(self[-1].bias, UNHEARD)  # type: ignore[arg-type]
        self.start, self.sure = start, sure

    def loss(self, heard: Float[Tensor, "B T C"], happens: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        return F.binary_cross_entropy_with_logits(self._logits(heard), happens.to(heard.dtype))

    def share(self, heard: Float[Tensor, "B T C"]) -> Float[Tensor, "B T 1"]:
        """How far it counts, from 0 to 1."""
        found = (self._logits(heard).sigmoid() - self.start) / (self.sure - self.start)
        return found.clamp(0, 1).unsqueeze(-1)

    @torch.no_grad()
    def beside(
        self, motion: Iterable[Motion], audio: Iterable[AudioFeatures]
    ) -> Iterator[tuple[Motion, Float[Tensor, "B T 1"]]]:
        """Each piece of a streamed motion, with the share of every one of its frames."""
        heard = blocks((piece.values for piece in audio), BLOCK, self.reach, self.reach)
        shares: list[Tensor] = []
        for piece in motion:
            frames = piece.values.shape[1]
            while sum(share.shape[1] for share in shares) < frames:
                rows, first, last = next(heard)
                shares.append(self.share(rows)[:, first:last])
            held = torch.cat(shares, 1)
            yield piece, held[:, :frames]
            shares = [held[:, frames:]]

    def _logits(self, heard: Float[Tensor, "B T C"]) -> Float[Tensor, "B T"]:
        return self(heard.mT)[:, 0]  # type: ignore[no-any-return]


class Cued(MotionModel, Wrapper):
    """Another model's motion, changed where a small net hears something."""

    base: MotionModel

    @property
    @abstractmethod
    def cue(self) -> Cue: ...

    @abstractmethod
    def changed(self, motion: Motion, share: Float[Tensor, "B T 1"], subject: Subject) -> Motion:
        """The base's motion, where the cue counts so far."""

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        return self.changed(self.base(audio, subject), self.cue.share(audio.values), subject)

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        return self.changed(self.base.draw(audio, subject, seed), self.cue.share(audio.values), subject)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        for_base, for_cue = tee(audio)
        for piece, share in self.cue.beside(stream(self.base, for_base, subject), for_cue):
            with torch.no_grad():
                motion = self.changed(piece, share, subject)
            yield motion
