"""Structural similarity of 8-bit pictures (Wang et al. 2004), made for speed on a CPU.

Reference: `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
data_range=255)`, which takes five passes in float64. kornia's agrees (`padding="valid"`) but is slower still here, and
torchmetrics averages over a border that it pads by reflection, which is another number (`benchmarks/metrics.py`).

With difference d = a − b and sum s = a + b the two factors of the index read 1 − μ_d² / (½(μ_s² + μ_d²) + C₁) and
1 − σ_d² / (½(σ_s² + σ_d²) + C₂). So four blurred maps do instead of five, nothing cancels where the pictures agree,
and float32 stays within 2e-7 of float64. Blurring is a product with a banded matrix, strip by strip to stay in cache.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

WINDOW = 11  # taps of the Gaussian
SIGMA = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
STRIP, BLOCK = 64, 32  # rows of a strip, columns of a block
MIDDLE = 256.0  # taken off the sum before squaring: 2 × 128


def ssim(
    a: UInt8[Tensor, "*b H W"], b: UInt8[Tensor, "*b H W"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*b"]:
    """Mean structural similarity of each pair of planes, over windows that lie wholly inside (5 px border left out).

    `dtype` is that of the arithmetic; the answer is float64. Raises `ValueError` for planes smaller than the window.

    >>> plane = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    >>> ssim(plane, plane)
    tensor(1., dtype=torch.float64)
    """
    height, width = a.shape[-2:]
    if a.shape != b.shape or min(height, width) < WINDOW:
        raise ValueError(f"pictures of {tuple(a.shape)} and {tuple(b.shape)}: need one shape, {WINDOW} px or more")
    planes = zip(a.reshape(-1, height, width), b.reshape(-1, height, width), strict=True)
    means = [_plane(one, other, dtype) for one, other in planes]
    return torch.stack(means).reshape(a.shape[:-2])


def _plane(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    if torch.equal(a, b):
        return torch.ones((), dtype=torch.float64, device=a.device)
    inner_h, inner_w = a.shape[0] - WINDOW + 1, a.shape[1] - WINDOW + 1
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for top in range(0, inner_h, STRIP):
        rows = slice(top, min(top + STRIP, inner_h) + WINDOW - 1)
        total += _strip(a[rows].to(dtype), b[rows].to(dtype))
    return total / (inner_h * inner_w)


def _strip(a: Tensor, b: Tensor) -> Tensor:
    maps = torch.empty(4, *a.shape, dtype=a.dtype, device=a.device)
    torch.sub(a, b, out=maps[0])
    torch.add(a, b, out=maps[1]).sub_(MIDDLE)
    torch.mul(maps[:2], maps[:2], out=maps[2:])
    d, s, dd, ss = _blur(maps)
    d2 = d * d
    variance_d = dd.sub_(d2)
    variance = ss.addcmul_(s, s, value=-1).add_(variance_d).mul_(0.5).add_(C2)
    s = s.add_(MIDDLE)
    power = s.mul_(s).add_(d2).mul_(0.5).add_(C1)
    luminance = d2.div_(power).neg_().add_(1)
    structure = variance_d.div_(variance).neg_().add_(1)
    return luminance.mul_(structure).sum(dtype=torch.float64)


def _blur(maps: Tensor) -> Tensor:
    """The windows' Gaussian-weighted means, of maps (4, H, W) → (4, H − 10, W − 10)."""
    reach = WINDOW - 1
    inner_h, inner_w = maps.shape[1] - reach, maps.shape[2] - reach
    rows = (_band(inner_h, maps.dtype, maps.device) @ maps).flatten(0, 1)
    out = torch.empty(len(rows), inner_w, dtype=maps.dtype, device=maps.device)
    for left in range(0, inner_w, BLOCK):
        columns = min(BLOCK, inner_w - left)
        band = _band(columns, maps.dtype, maps.device)
        torch.mm(rows[:, left : left + columns + reach], band.T, out=out[:, left : left + columns])
    return out.unflatten(0, (4, inner_h))


@lru_cache(maxsize=64)
def _band(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix (size, size + 10) that turns samples into weighted means."""
    offset = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (offset / SIGMA) ** 2)
    weights /= weights.sum()
    if dtype is torch.float32:  # on a grid of 2⁻²⁴ they add up to one exactly, else every variance is biased alike
        weights = np.round(weights * 2**24)
        weights[WINDOW // 2] += 2**24 - weights.sum()
        weights /= 2**24
    band = np.zeros((size, size + WINDOW - 1))
    for row in range(size):
        band[row, row : row + WINDOW] = weights
    return torch.from_numpy(band).to(device, dtype)
