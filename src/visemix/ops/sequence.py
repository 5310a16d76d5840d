"""Rows over time: resampling them, telling where they are, and saying who may look at whom."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def resample_rows(values: Float[Tensor, "B R C"], rows: int) -> Float[Tensor, "B {rows} C"]:
    """Linear interpolation along time; the first and the last row stay what they are (`align_corners`)."""
    return F.interpolate(values.mT, rows, mode="linear", align_corners=True).mT


def average_pairs(values: Float[Tensor, "B R C"]) -> Float[Tensor, "B half C"]:
    """Mean of rows 2 t and 2 t + 1. An odd last row stands for its missing partner too."""
    return _pairs(values).mean(2)


def join_pairs(values: Float[Tensor, "B R C"]) -> Float[Tensor, "B half D"]:
    """Rows 2 t and 2 t + 1 side by side. An odd last row stands for its missing partner too."""
    return _pairs(values).flatten(2)


def _pairs(values: Tensor) -> Tensor:
    if values.shape[1] % 2:
        values = torch.cat([values, values[:, -1:]], 1)
    return values.unflatten(1, (-1, 2))


def sinusoid(positions: Float[Tensor, "..."], dim: int) -> Float[Tensor, "... {dim}"]:
    """Sine and cosine of each position at wavelengths from 2π to 20 000π, interleaved (Vaswani et al. 2017, 3.5).

    Give positions in float64: at frame 90 000 (an hour) float32 has lost the fast wavelengths' phase.
    """
    even = torch.arange(0, dim, 2, device=positions.device, dtype=positions.dtype)
    angles = positions.unsqueeze(-1) * torch.exp(even * (-math.log(10_000.0) / dim))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :dim]


def alibi_slopes(heads: int) -> Float[Tensor, " H"]:
    """How fast each head forgets (Press et al. 2022): 1/4, 1/16, 1/64, 1/256 for four heads."""
    return 2.0 ** (-8.0 / heads * torch.arange(1, heads + 1))


def alibi(ages: Int[Tensor, "..."], heads: int, period: int) -> Float[Tensor, "H ..."]:
    """Penalty on attention scores for keys `ages` frames back: −slope · ⌊age / period⌋ (FaceFormer, eq. 4)."""
    slopes = alibi_slopes(heads).to(ages.device).view(-1, *[1] * ages.ndim)
    return -slopes * torch.div(ages, period, rounding_mode="floor")


def causal_mask(frames: int, context: int | None, device: torch.device | None = None) -> Bool[Tensor, "T T"]:
    """True where frame i may look at frame j: itself and those before it, at most `context` of them in all.

    >>> causal_mask(3, 2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    band = torch.ones(frames, frames, dtype=torch.bool, device=device).tril()
    return band if context is None else band.triu(1 - context)


def local_attention_mask(frames: int, past: int, ahead: int, device: torch.device | None = None) -> Bool[Tensor, "T T"]:
    """Mask, True where frame i may attend to frame j: max(i − past, 0) ≤ j < min(i + ahead, T); itself if `ahead` ≥ 1.

    GSmoothFace's eq. 4 with σ1 = `past`, σ2 = `ahead`, except that its bound T − 1 would leave the last frame no key.
    """
    near = torch.ones(frames, frames, dtype=torch.bool, device=device)
    return near.triu(-past).tril(ahead - 1)


def smooth(values: Float[Tensor, "B T C"], sigma: float, radius: int) -> Float[Tensor, "B T C"]:
    """Gaussian mean over time (sigma in frames); at the ends over the frames there are."""
    channels = values.shape[2]
    offsets = torch.arange(-radius, radius + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    there = F.conv1d(F.pad(torch.ones_like(values[:1, :, :1]).mT, (radius, radius)), kernel.view(1, 1, -1))
    summed = F.conv1d(F.pad(values.mT, (radius, radius)), kernel.expand(channels, 1, -1).contiguous(), groups=channels)
    return (summed / there).mT


def rechunk(
    pieces: Iterable[Tensor], size: int, past: int, ahead: int, whole: int = 1
) -> Iterator[tuple[Tensor, int, int]]:
    """A stream of (B, n, C) rows re-cut into chunks with context: (rows, first, last).

    `rows[:, first:last]`, at most `size` of them, are the next ones; before them stand up to `past` rows of what went
    before and after them up to `ahead` rows of what follows, fewer only where the stream begins or ends.
    Cuts lie at multiples of `whole`, which `size` and `past` must be too.
    """
    held, first = None, 0
    for piece in pieces:
        held = piece if held is None else torch.cat([held, piece], 1)
        while (ready := (held.shape[1] - ahead) // whole * whole) > first:
            last = min(first + size, ready)
            yield held[:, : last + ahead], first, last
            held, first = held[:, max(last - past, 0) :], min(last, past)
    while held is not None and held.shape[1] > first:
        last = min(first + size, held.shape[1])
        yield held[:, : last + ahead], first, last
        held, first = held[:, max(last - past, 0) :], min(last, past)
