"""The one camera: a pinhole ten decimetres in front of the origin (Deep3DFaceRecon), y down in the picture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

DISTANCE = 10.0  # decimetres from the camera to the origin
FOCAL = 1015 / 224  # focal length as a multiple of the picture's side: a field of view of 12.59°


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


def similarity_transform(motion: Float[Tensor, "4"]) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3 1"]]:
    """Matrix and shift of space that move the picture by a 2D similarity and keep every depth.

    `motion` is as in `types.Subject.torso`.

    >>> turn, shift = similarity_transform(torch.tensor([0.0, 0.0, 0.1, 0.0]))
    >>> (turn @ torch.zeros(3, 1) + shift).T  # a tenth of the distance to the right
    tensor([[1., 0., 0.]])
    """
    none, one = torch.zeros_like(motion[0]), torch.ones_like(motion[0])
    along, up = motion[0].exp() * motion[1].cos(), motion[0].exp() * motion[1].sin()
    rows = [[along, -up, -motion[2]], [up, along, -motion[3]], [none, none, one]]
    shift = DISTANCE * torch.stack([motion[2], motion[3], none])
    return torch.stack([torch.stack(row) for row in rows]), shift[:, None]


def project_jacobian(points: Float[Tensor, "*b N 3"], focal: float | Tensor) -> Float[Tensor, "*b N 2 3"]:
    """How the pixels (x, y) of posed points move with them: the derivative of `project`, pixels per decimetre."""
    inverse = 1 / (DISTANCE - points[..., 2])
    none = torch.zeros_like(inverse)
    across = torch.stack([inverse, none, points[..., 0] * inverse**2], -1)
    down = torch.stack([none, -inverse, -points[..., 1] * inverse**2], -1)
    return focal * torch.stack([across, down], -2)


def unproject(seen: Float[Tensor, "*b N 3"], camera: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b N 3"]:
    """(x, y, depth) as `project` gives them → posed points in decimetres: its inverse.

    >>> unproject(torch.tensor([[112.0, 112.0, 10.0]]), square_camera(224))
    tensor([[0., 0., 0.]])
    """
    focal, centre_x, centre_y = camera.unsqueeze(-2).unbind(-1)
    x, y, depth = seen.unbind(-1)
    return torch.stack([(x - centre_x) * depth / focal, (centre_y - y) * depth / focal, DISTANCE - depth], -1)
