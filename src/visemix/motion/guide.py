"""The sync-expert as a motion model brings it: trained on clips, then frozen and used as a loss."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion.lm3d import LM3D, Identity, mouth
from visemix.nn.latent import MEMORY
from visemix.nn.syncnet import FRAMES, SHORTEST, SyncExpert, auc, draw_pairs, offset_curve
from visemix.types import AudioFeatures, Losses, Motion, Subject, VisemixError

REACH = 15  # frames of offset to either side that are looked for


class SyncGuide(nn.Module):
    """Tells whether mouth and sound belong together (GeneFace, 3.1). Frozen, but for the stage that trains it.

    Args:
        audio_dim: channels of a row of features, one row a frame.
        halves: rows of 50 Hz sound that lie side by side in one row of features, 1 or 2.
        identity: what of the subject's shape the mouth carries, see `LM3D`.
        sampling: of wrong pairs, see `draw_pairs`.
        dim: length of the expert's vectors.
        windows: pairs of windows that are drawn for one loss.

    Raises:
        VisemixError: `halves` is not 1 or 2, or does not divide `audio_dim`.
    """

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        halves: int = 1,
        identity: Identity = "subject",
        sampling: Literal["corrected", "official"] = "corrected",
        dim: int = 512,
        windows: int = 1024,
    ) -> None:
        super().__init__()
        if halves not in (1, 2) or audio_dim % halves:
            raise VisemixError(
                f"motion.halves={halves}: features of {audio_dim} channels have 1 or 2 rows side by side"
            )
        self.halves, self.sampling, self.count = halves, sampling, windows
        self.lm3d = LM3D(face, identity)
        self.expert = SyncExpert(audio_dim // halves, rows=halves, dim=dim).requires_grad_(False).eval()

    def training_loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """Its own training loss: binary cross-entropy over drawn pairs of windows."""
        scores, right = self._pairs(audio, subject, target)
        return {"sync": F.binary_cross_entropy(scores, right.float())}

    @torch.no_grad()
    def measure(self, audio: AudioFeatures, subject: Subject, target: Motion) -> dict[str, Tensor]:
        """`accuracy` at a threshold of 0.5, `auc` (area under the ROC curve), and `offset_found`: how often the true
        offset is."""
        scores, right = self._pairs(audio, subject, target)
        found = (self.offset_curves(audio, subject, target).argmax(-1) == REACH).float().mean()
        return {"accuracy": ((scores > 0.5) == right).float().mean(), "auc": auc(scores, right), "offset_found": found}

    def loss(self, audio: AudioFeatures, subject: Subject, motion: Motion) -> Float[Tensor, ""]:
        """−log of the score of right pairs: what a motion is guided by (eq. 3). Draws from torch's global generator."""
        sounds, mouths = self._windows(audio, subject, motion)
        batch, windows = mouths.shape[:2]
        picks = torch.randperm(batch * windows, device=mouths.device)[: self.count]
        clips, starts = picks // windows, picks % windows
        scores = self.expert(sounds[clips, starts], mouths[clips, starts])
        return F.binary_cross_entropy(scores, torch.ones_like(scores))

    def offset_curves(self, audio: AudioFeatures, subject: Subject, motion: Motion) -> Float[Tensor, "B offsets"]:
        """Mean score of each clip with the sound moved by −15 … 15 frames; in sync the 16th is the largest."""
        sounds, mouths = self.expert.embed(*self._rows(audio, subject, motion))
        reach = min(REACH, mouths.shape[1] - 1)
        curves = torch.stack([offset_curve(s, m, reach) for s, m in zip(sounds, mouths, strict=True)])
        return F.pad(curves, (REACH - reach, REACH - reach), value=0.0)

    def _pairs(self, audio: AudioFeatures, subject: Subject, target: Motion) -> tuple[Tensor, Tensor]:
        sounds, mouths = self._windows(audio, subject, target)
        frames = mouths.shape[1] + FRAMES - 1
        if frames < SHORTEST:
            raise VisemixError(
                f"windows of {frames} frames are too short for a sync-expert; it wants {SHORTEST} or more"
            )
        pairs = draw_pairs(self.count, len(mouths), frames, self.sampling).to(mouths.device)
        scores = self.expert(sounds[pairs.audio_clip, pairs.audio_start], mouths[pairs.mouth_clip, pairs.mouth_start])
        return scores, pairs.together

    def _windows(self, audio: AudioFeatures, subject: Subject, motion: Motion) -> tuple[Tensor, Tensor]:
        return self.expert.windows(*self._rows(audio, subject, motion))

    def _rows(self, audio: AudioFeatures, subject: Subject, motion: Motion) -> tuple[Tensor, Tensor]:
        if motion.values.shape[1] < FRAMES:
            raise VisemixError(
                f"{motion.values.shape[1]} frames are fewer than the {FRAMES} that a sync-expert sees at once"
            )
        sound = split_halves(audio.values, self.halves)
        return sound, mouth(self.lm3d.pack(motion, subject))


class DelayedWeight(nn.Module):
    """Loss weight of the guidance: 0 until motions are good enough to be judged, then constant.

    Args:
        start: "always": from the first step. "average": once the running mean of the training loss is at `threshold`;
            both are buffers, so a resumed run goes on as it was. "validation": once the loss of any validation batch
            is, and that is not kept (the authors' way).
    """

    on: Tensor
    average: Tensor

    def __init__(self, weight: float, start: Literal["always", "average", "validation"], threshold: float) -> None:
        super().__init__()
        self.weight, self.start, self.threshold = weight, start, threshold
        self.register_buffer("on", torch.tensor(start == "always"), persistent=start == "average")
        self.register_buffer("average", torch.tensor(torch.nan), persistent=start == "average")

    @property
    def running(self) -> bool:
        """Whether the guidance counts yet."""
        return bool(self.on)

    def forward(self, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The weighted loss, after the decision whether it counts by now."""
        seen = loss.detach()
        if self.start == "average" and self.training:
            before = torch.where(self.average.isnan(), seen, self.average)
            self.average.copy_(MEMORY * before + (1 - MEMORY) * seen)
            self.on |= self.average <= self.threshold
        if self.start == "validation" and not self.training:
            self.on |= seen <= self.threshold
        return self.weight * self.on * loss


def split_halves(values: Float[Tensor, "B T C"], halves: int) -> Float[Tensor, "B R c"]:
    """Rows that lie side by side in the channels laid out in time: R = T · halves, c = C / halves.

    >>> split_halves(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[1.],
             [2.],
             [3.],
             [4.]]])
    """
    return values.unflatten(-1, (halves, -1)).flatten(1, 2)
