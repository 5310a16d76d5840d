"""A volume of features at many resolutions, its cells hashed into tables (instant-ngp, Müller et al. 2022, eq. 4).

For GPUs. On a processor a look-up costs ten times as much as one in `ops.planes`.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.ops.backends import choose_backend

PRIMES = (1, 2_654_435_761, 805_459_861)
GRANULARITY = 256  # tiny-cuda-nn's kernels take as many points as a multiple of this, and read on where there are fewer


class HashGrid(nn.Module):
    """Features of places in [-1, 1]^D: `levels` grids from `base` to `finest` cells a side, `channels` numbers each.

    A level with more than 2^`log2_size` corners shares them by hash. `backend` "tinycudann" computes the same from the
    same table, on a CUDA device.
    """

    lr_scale = 5.0

    def __init__(
        self,
        dims: int,
        *,
        levels: int = 16,
        channels: int = 2,
        base: int = 16,
        finest: int = 2048,
        log2_size: int = 16,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.dims, self.channels, self.backend = dims, channels, backend
        growth = (finest / base) ** (1 / max(1, levels - 1))
        self.scales = [base * growth**level - 1 for level in range(levels)]
        self.sides = [math.ceil(scale) + 1 for scale in self.scales]
        self.sizes = [min(2**log2_size, -(-(side**dims) // 8) * 8) for side in self.sides]
        self.dim = levels * channels
        self.table = nn.Parameter(1e-4 * (2 * torch.rand(sum(self.sizes), channels) - 1))
        self._fast: Any = None
        self._config = {
            "otype": "HashGrid",
            "n_levels": levels,
            "n_features_per_level": channels,
            "log2_hashmap_size": log2_size,
            "base_resolution": base,
            "per_level_scale": growth,
        }

    def forward(self, points: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Features of the points, level beside level, the coarsest first; outside [-1, 1]^D those of the border."""
        unit = (points.float().clamp(-1, 1) + 1) / 2
        if choose_backend(self.backend, "tinycudann", points.device) == "tinycudann":
            return self._tinycudann(unit)
        start, found = 0, []
        for scale, side, size in zip(self.scales, self.sides, self.sizes, strict=True):
            found.append(self._level(unit, self.table[start : start + size], scale, side))
            start += size
        return torch.cat(found, -1)

    def _level(self, unit: Tensor, table: Tensor, scale: float, side: int) -> Float[Tensor, "N C"]:
        spot = unit * scale + 0.5
        corner = spot.detach().floor()
        part = spot - corner
        cell = corner.long()
        rows, shares = [], []
        for offset in product((0, 1), repeat=self.dims):
            at = cell + torch.tensor(offset, device=cell.device)
            rows.append(self._row(at, side, len(table)))
            near = torch.tensor(offset, device=cell.device, dtype=part.dtype)
            shares.append((near * part + (1 - near) * (1 - part)).prod(-1))
        return F.embedding_bag(torch.stack(rows, -1), table, per_sample_weights=torch.stack(shares, -1), mode="sum")

    def _row(self, at: Tensor, side: int, size: int) -> Tensor:
        if side**self.dims <= size:
            strides = torch.tensor([side**k for k in range(self.dims)], device=at.device)
            return (at * strides).sum(-1) % size
        mixed = at[:, 0] * PRIMES[0]
        for axis in range(1, self.dims):
            mixed = mixed ^ (at[:, axis] * PRIMES[axis])
        return (mixed & 0xFFFFFFFF) % size

    def _tinycudann(self, unit: Tensor) -> Tensor:
        if self._fast is None:
            import tinycudann as tcnn

            self._fast = [tcnn.Encoding(self.dims, self._config, dtype=torch.float32)]  # a list: no module of ours
        module = self._fast[0].native_tcnn_module
        padded = F.pad(unit, (0, 0, 0, -len(unit) % GRANULARITY)).contiguous()  # a table of ours passes its wrapper by
        return _Native.apply(module, padded, self.table.flatten())[: len(unit), : self.dim]


class _Native(torch.autograd.Function):
    """tiny-cuda-nn's kernels on a table that is ours."""

    @staticmethod
    def forward(ctx: Any, module: Any, unit: Tensor, table: Tensor) -> Tensor:
        ctx.native, out = module.fwd(unit, table)
        ctx.module = module
        ctx.save_for_backward(unit, table, out)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        unit, table, out = ctx.saved_tensors
        to_unit, to_table = ctx.module.bwd(ctx.native, unit, table, out, grad.contiguous())
        return None, to_unit, to_table
