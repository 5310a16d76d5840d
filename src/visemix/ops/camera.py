"""The one camera: a pinhole ten decimetres in front of the origin (Deep3DFaceRecon), y down in the picture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

DISTANCE = 10.0  # decimetres from the camera to the origin
FOCAL = 1015 / 224  # focal length as a multiple of the picture's side


def square_camera(size: int) -> Float[Tensor, "3"]:
    """Focal length and centre, in pixels, of a square picture of `size` pixels."""
    return torch.tensor([FOCAL * size, size / 2, size / 2])


def project(points: Float[Tensor, "*b N 3"], camera: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b N 3"]:
    """Posed points (decimetres) → (x, y, depth): pixels, y down, pixel centres at i + 0.5; depth in decimetres.

    >>> project(torch.zeros(1, 3), square_camera(224))
    tensor([[112., 112.,  10.]])
    """
    depth = DISTANCE - points[..., 2]
    focal, centre_x, centre_y = camera.unsqueeze(-2).unbind(-1)
    x = centre_x + focal * points[..., 0] / depth
    y = centre_y - focal * points[..., 1] / depth
    return torch.stack([x, y, depth], -1)
