"""Rotations: `R = Rz · Ry · Rx` from Euler XYZ angles in radians, for row vectors `p · Rᵀ + t`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def matrix(angles: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Euler XYZ (radians) → rotation matrix `Rz · Ry · Rx`."""
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def pose_points(points: Float[Tensor, "*b N 3"], pose: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b N 3"]:
    """Points of the face's own frame, turned and moved by a head pose (angles, then translation in decimetres)."""
    return points @ matrix(pose[..., :3]).mT + pose[..., None, 3:]
