"""Detection of events (lips that touch, a pause) in the sound, and motion models that correct motion by it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import tee

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.motion.base import MotionModel, stream
from visemix.ops.sequence import rechunk
from visemix.parts import Wrapper
from visemix.types import AudioFeatures, Motion, Subject, VisemixError

BLOCK = 256  # frames that are heard together in a stream
INITIAL_LOGIT = -3.0  # logit before anything was learnt: one that knows nothing changes nothing


class EventDetector(nn.Sequential):
    """Probability of an event (lips touch, a pause) in each frame, by a small convolutional net over audio features.

    Args:
        audio_dim: width of the features.
        hidden, dropout: of the net.
        start, sure: probability above which it counts, and from which on it counts in full.

    Raises:
        VisemixError: `start` is not below `sure`.
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
        nn.init.constant_(self[-1].bias, INITIAL_LOGIT)  # type: ignore[arg-type]
        self.start, self.sure = start, sure

    def loss(self, features: Float[Tensor, "B T C"], happens: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
        """Binary cross-entropy of its probabilities against what happens."""
        return F.binary_cross_entropy_with_logits(self._logits(features), happens.to(features.dtype))

    def share(self, features: Float[Tensor, "B T C"]) -> Float[Tensor, "B T 1"]:
        """How far the event counts in each frame: 0 up to a probability of `start`, 1 from `sure` on."""
        found = (self._logits(features).sigmoid() - self.start) / (self.sure - self.start)
        return found.clamp(0, 1).unsqueeze(-1)

    @torch.no_grad()
    def stream_beside(
        self, motion: Iterable[Motion], audio: Iterable[AudioFeatures]
    ) -> Iterator[tuple[Motion, Float[Tensor, "B T 1"]]]:
        """(motion, share) of each piece of a streamed motion, a share for every frame."""
        blocked = rechunk((piece.values for piece in audio), BLOCK, self.reach, self.reach)
        shares: list[Tensor] = []
        for piece in motion:
            frames = piece.values.shape[1]
            while sum(share.shape[1] for share in shares) < frames:
                rows, first, last = next(blocked)
                shares.append(self.share(rows)[:, first:last])
            held = torch.cat(shares, 1)
            yield piece, held[:, :frames]
            shares = [held[:, frames:]]

    def _logits(self, features: Float[Tensor, "B T C"]) -> Float[Tensor, "B T"]:
        return self(features.mT)[:, 0]  # type: ignore[no-any-return]


class EventCorrected(MotionModel, Wrapper):
    """A motion model that corrects another one's motion where an event is detected in the sound."""

    base: MotionModel

    @property
    @abstractmethod
    def detector(self) -> EventDetector:
        """The net that detects the event."""

    @abstractmethod
    def corrected(self, motion: Motion, share: Float[Tensor, "B T 1"], subject: Subject) -> Motion:
        """The base's motion, corrected as far as the event counts in each frame (`share`, 0 to 1)."""

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """The base's motion, corrected as far as the detector says in each frame."""
        return self.corrected(self.base(audio, subject), self.detector.share(audio.values), subject)

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        """The motion that the base draws for this seed, corrected as far as the detector says."""
        return self.corrected(self.base.draw(audio, subject, seed), self.detector.share(audio.values), subject)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound."""
        for_base, for_cue = tee(audio)
        for piece, share in self.detector.stream_beside(stream(self.base, for_base, subject), for_cue):
            with torch.no_grad():
                motion = self.corrected(piece, share, subject)
            yield motion
