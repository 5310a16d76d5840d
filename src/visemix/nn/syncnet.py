"""Sync-expert (whether a mouth belongs to a sound): two towers, and the windows that they are trained and asked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.types import TensorStruct

FRAMES = 5  # of motion in a window: 0.2 s
NEAR = 2  # frames of offset from which on a pair counts as wrong: one off is hard to hear
FAR = 5  # frames: the largest of the deliberately small offsets
SHORTEST = FRAMES + 3  # frames in which every window has a wrong partner


class Block(nn.Module):
    """Convolution, batch norm, the input again where asked, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.BatchNorm1d(outputs)
        self.residual = residual

    def forward(self, x: Float[Tensor, "N C R"]) -> Float[Tensor, "N D S"]:
        """Activations, 0 or above."""
        y = self.norm(self.conv(x))
        return (y + x if self.residual else y).relu()


class Tower(nn.Sequential):
    """Thirteen convolutions from the rows of a window to one vector of length 1 without negative entries.

    Args:
        inputs: channels of a row.
        first: channels after the first convolution.
        dim: of the vector; the layers before have a quarter and a half of it.
        strides: of the two layers that may halve the rows. 10 rows need (2, 2), 5 rows (2, 1).
    """

    def __init__(self, inputs: int, first: int, dim: int, strides: tuple[int, int]) -> None:
        a, b = dim // 4, dim // 2
        super().__init__(
            Block(inputs, first),
            Block(first, a),
            *(Block(a, a, residual=True) for _ in range(2)),
            Block(a, b, stride=strides[0]),
            *(Block(b, b, residual=True) for _ in range(2)),
            Block(b, dim, stride=strides[1]),
            *(Block(dim, dim, residual=True) for _ in range(2)),
            Block(dim, dim),
            Block(dim, dim, padding=0),
            Block(dim, dim, 1, padding=0),
        )

    def forward(self, x: Float[Tensor, "N C R"]) -> Float[Tensor, "N D"]:
        """A vector of length 1 for each window, no entry below 0."""
        return F.normalize(super().forward(x).squeeze(-1), dim=-1)


class SyncExpert(nn.Module):
    """Cosine between a window of sound and a window of mouth: the probability that they belong together.

    Both vectors come out of a ReLU, so the cosine lies in [0, 1].

    Args:
        audio_dim: channels of a row of sound.
        mouth_dim: channels of a frame of the mouth.
        rows: rows of sound to a frame, 1 or 2.
        dim: length of the vectors.
    """

    def __init__(self, audio_dim: int, mouth_dim: int = 60, *, rows: int = 2, dim: int = 512) -> None:
        super().__init__()
        self.rows = rows
        self.audio = Tower(audio_dim, dim // 4, dim, (2, rows))
        self.mouth = Tower(mouth_dim, dim * 3 // 16, dim, (2, 1))

    def forward(self, sound: Float[Tensor, "N C R"], mouth: Float[Tensor, "N M 5"]) -> Float[Tensor, " N"]:
        """Cosines of N pairs of windows."""
        return (self.audio(sound) * self.mouth(mouth)).sum(-1)

    def windows(
        self, sound: Float[Tensor, "B R C"], mouth: Float[Tensor, "B T M"]
    ) -> tuple[Float[Tensor, "B W C r"], Float[Tensor, "B W M 5"]]:
        """Every window of B clips, without copying: R = `rows` · T rows of sound give W = T − 4 windows."""
        return sound.unfold(1, FRAMES * self.rows, self.rows), mouth.unfold(1, FRAMES, 1)

    def embed(
        self, sound: Float[Tensor, "B R C"], mouth: Float[Tensor, "B T M"]
    ) -> tuple[Float[Tensor, "B W D"], Float[Tensor, "B W D"]]:
        """The vectors of every window."""
        sounds, mouths = (windows.flatten(0, 1) for windows in self.windows(sound, mouth))
        shape = (len(mouth), -1)
        return self.audio(sounds).unflatten(0, shape), self.mouth(mouths).unflatten(0, shape)


@dataclass(frozen=True)
class Pairs(TensorStruct):
    """N pairs of windows: of which clip and from which frame on, and whether they belong together."""

    mouth_clip: Int[Tensor, " N"]
    mouth_start: Int[Tensor, " N"]
    audio_clip: Int[Tensor, " N"]
    audio_start: Int[Tensor, " N"]
    together: Bool[Tensor, " N"]


def draw_pairs(count: int, clips: int, frames: int, sampling: Literal["corrected", "official"] = "corrected") -> Pairs:
    """Half right pairs, half wrong ones, from torch's global generator.

    Of the wrong ones a quarter take the sound of another clip, three eighths that of another time of the same clip, and
    three eighths one that is 2 to 5 frames off. With one clip there is no other, and another time stands in.

    Args:
        frames: of every clip, at least `SHORTEST`.
        sampling: "official" has the authors' faults: the other clip's sound is replaced by the same clip's, so that no
            negative is of another speaker; another time may be one frame off, or none; the last window is never used.
    """
    starts = frames - FRAMES + 1 - (sampling == "official")
    own = torch.randint(clips, (count,))
    here = torch.randint(starts, (count,))
    nearest = NEAR if sampling == "corrected" else 1
    elsewhen = (
        here + torch.randint(nearest, starts - nearest + 1, (count,))
    ) % starts  # neither end of a circle is near
    anywhere = torch.randint(starts, (count,))
    step = torch.randint(NEAR, FAR + 1, (count,)) * (2 * torch.randint(2, (count,)) - 1)
    step = torch.where((here + step >= 0) & (here + step < starts), step, -step)
    off = torch.where((here + step >= 0) & (here + step < starts), here + step, elsewhen)
    together, kind = torch.rand(count) < 0.5, torch.rand(count)
    other = (kind < 0.25) & ~together
    when = torch.where(kind < 0.25, anywhere, torch.where(kind < 0.625, elsewhen, off))
    who = own
    if sampling == "corrected" and clips > 1:
        who = torch.where(other, (own + torch.randint(1, clips, (count,))) % clips, own)
    elif sampling == "corrected":
        when = torch.where(other, elsewhen, when)
    return Pairs(own, here, who, torch.where(together, here, when), together)


def offset_curve(
    sound: Float[Tensor, "W D"], mouth: Float[Tensor, "W D"], reach: int = 15
) -> Float[Tensor, " offsets"]:
    """Mean cosine with the sound moved by −reach … reach frames, over the windows that have a partner then.

    Its maximum says by how many frames the sound comes too late (positive) or too early.
    """
    scores = sound @ mouth.mT
    return torch.stack([scores.diagonal(-offset).mean() for offset in range(-reach, reach + 1)])


def auc(scores: Float[Tensor, " N"], right: Bool[Tensor, " N"]) -> Float[Tensor, ""]:
    """Share of (right, wrong) pairs in which the right one scores higher; equal scores count half.

    >>> auc(torch.tensor([0.9, 0.4, 0.6, 0.1]), torch.tensor([True, True, False, False]))
    tensor(0.7500)
    """
    better, worse = scores[right].unsqueeze(1), scores[~right]
    return ((better > worse).float() + 0.5 * (better == worse).float()).mean()
