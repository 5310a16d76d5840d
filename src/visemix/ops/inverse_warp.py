"""Inverse warp of a space that moves with a few spots in it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


@torch.no_grad()
def inverse_warp(
    points: Float[Tensor, "F M 3"],
    spots: Float[Tensor, "F N 3"],
    moves: Float[Tensor, "F N 3"],
    *,
    soft: float,
    reach: float,
) -> Float[Tensor, "F M 3"]:
    """The points before the deformation that moved each of `spots` by `moves` to where it is now.

    A point is carried by the mean of the moves, weighed by (r² + soft²)⁻² at a distance r (Shepard 1968), against
    standing still with a weight of reach⁻⁴: within `soft` of a spot it goes with that one, beyond `reach` hardly at
    all. One step, and no exact inverse. Nothing to learn, so no gradient.

    >>> points, spot = torch.tensor([[[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]]), torch.zeros(1, 1, 3)
    >>> inverse_warp(points, spot, torch.tensor([[[0.0, -0.5, 0.0]]]), soft=0.1, reach=1.0).round(decimals=2)
    tensor([[[0.0000, 0.5000, 0.0000],
             [9.0000, 0.0000, 0.0000]]])
    """
    squares = spots.square().sum(-1, keepdim=True) + soft**2
    one, own = torch.ones_like(spots[..., :1]), points.square().sum(-1, keepdim=True)
    apart = torch.cat([points, own, torch.ones_like(own)], -1) @ torch.cat([-2 * spots, one, squares], -1).mT
    weights = apart.clamp_(min=soft**2).pow_(-2)
    carried = weights @ torch.cat([moves, one], -1)
    return points - carried[..., :3] / (carried[..., 3:] + reach**-4)
