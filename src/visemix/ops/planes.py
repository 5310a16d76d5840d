"""Feature planes: vectors on a square grid, read between its points."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def read_planes(tables: Float[Tensor, "P R R C"], places: Float[Tensor, "N P 2"]) -> Float[Tensor, "N P C"]:
    """Bilinear features of N points in each of P planes; places in [-1, 1], corner to corner, clamped.

    The channels of a grid point lie together in memory, and four points are summed as a bag: on a processor two to five
    times as fast as `grid_sample`, whose channels lie apart. Differentiable, once, in tables and places.

    >>> plane = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).view(1, 2, 2, 1)
    >>> read_planes(plane, torch.tensor([[[1.0, -1.0]], [[0.0, 0.0]]])).flatten()
    tensor([1.0000, 1.5000])
    """
    count, side, _, channels = tables.shape
    half = 0.5 * (side - 1)
    x_and_y = places.permute(2, 1, 0).float().contiguous()  # plane by plane
    spot = x_and_y.clamp(-1, 1).mul(half).add_(half)
    corner = spot.detach().floor().clamp_(max=side - 2)
    first = torch.add(corner[0], corner[1], alpha=side).int()
    first += torch.arange(count, device=first.device, dtype=torch.int32)[:, None] * side**2
    flat = tables.reshape(-1, channels).float()
    found = _Bilinear.apply(flat, (spot - corner).view(2, -1), first.view(-1), side)
    return found.view(count, len(places), channels).transpose(0, 1)


class _Bilinear(torch.autograd.Function):
    """The four rows around a point, blended. Adding rows up by hand halves the time of torch's own backward."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, part: Tensor, first: Tensor, side: int) -> Tensor:
        ctx.save_for_backward(table, part, first)
        ctx.side = side
        return _bags(table, _corners(first, side), _bilinear_weights(*part))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        table, part, first = ctx.saved_tensors
        corners, (x, y) = _corners(first, ctx.side), part
        to_table = to_part = None
        if ctx.needs_input_grad[0]:
            to_table = torch.zeros_like(table)
            for rows, share in zip(corners.long().unbind(-1), _bilinear_weights(x, y).unbind(-1), strict=True):
                to_table.index_add_(0, rows, share[:, None] * grad)
        if ctx.needs_input_grad[1]:
            slopes = (torch.stack([y - 1, 1 - y, -y, y], -1), torch.stack([x - 1, -x, 1 - x, x], -1))
            to_part = torch.stack([(_bags(table, corners, slope) * grad).sum(-1) for slope in slopes])
        return to_table, to_part, None, None


def _corners(first: Int[Tensor, " N"], side: int) -> Int[Tensor, "N 4"]:
    return torch.stack([first, first + 1, first + side, first + side + 1], -1)


def _bilinear_weights(x: Tensor, y: Tensor) -> Float[Tensor, "N 4"]:
    u, v = 1 - x, 1 - y
    return torch.stack([u * v, x * v, u * y, x * y], -1)


def _bags(table: Tensor, rows: Int[Tensor, "N 4"], shares: Float[Tensor, "N 4"]) -> Float[Tensor, "N C"]:
    return F.embedding_bag(rows, table, per_sample_weights=shares, mode="sum")
