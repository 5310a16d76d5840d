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


def matrix_to_euler(rotation: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Rotation matrix → Euler XYZ (radians), the y angle within ±π/2: the inverse of `matrix`.

    Where the head looks straight sideways (y = ±π/2) only the sum or difference of x and z is determined, and the
    gradient is not finite.

    >>> matrix_to_euler(matrix(torch.tensor([0.1, -0.2, 0.3])))
    tensor([ 0.1000, -0.2000,  0.3000])
    """
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.atan2(-rotation[..., 2, 0], rotation[..., 2, 1:].norm(dim=-1))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([x, y, z], -1)


def quaternions_to_matrix(quaternions: Float[Tensor, "4 n"]) -> Float[Tensor, "3 3 n"]:
    """Quaternions of any length, real part first → rotation matrices; the first axes are the coordinates.

    >>> quaternions_to_matrix(torch.tensor([[2.0], [0.0], [0.0], [2.0]])).squeeze().round()
    tensor([[ 0., -1.,  0.],
            [ 1.,  0.,  0.],
            [ 0.,  0.,  1.]])
    """
    w, x, y, z = quaternions * quaternions.square().sum(0).clamp(min=1e-12).rsqrt()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row) for row in rows])


def pose_points(points: Float[Tensor, "*b N 3"], pose: Float[Tensor, "*b 6"]) -> Float[Tensor, "*b N 3"]:
    """Points of the face's own frame, turned and moved by a head pose (angles, then translation in decimetres)."""
    with torch.autocast(points.device.type, enabled=False):  # bfloat16 would be half a pixel off
        return points @ matrix(pose[..., :3]).mT + pose[..., None, 3:]


def euler_jacobian(angles: Float[Tensor, "*b 3"], turned: Float[Tensor, "*b N 3"]) -> Float[Tensor, "*b N 3 3"]:
    """How turned points R·p move with the three angles (last axis): d(R·p)/d(angle) = axis × R·p."""
    none, one = torch.zeros_like(angles[..., 0]), torch.ones_like(angles[..., 0])
    around_y = torch.stack([-angles[..., 2].sin(), angles[..., 2].cos(), none], -1)
    around_z = torch.stack([none, none, one], -1)
    axes = torch.stack([matrix(angles)[..., :, 0], around_y, around_z], -2)
    return torch.linalg.cross(axes.unsqueeze(-3), turned.unsqueeze(-2)).mT
