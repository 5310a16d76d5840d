"""Rays through a box, and what is seen along them (Max 1995; NeRF, Mildenhall et al. 2020, section 4 and 5.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visemix.ops.backends import choose_backend
from visemix.ops.camera import DISTANCE
from visemix.ops.rotation import matrix


def camera_rays(
    pixels: Float[Tensor, "F M 2"], pose: Float[Tensor, "F 6"], camera: Float[Tensor, "F 3"]
) -> tuple[Float[Tensor, "F 3"], Float[Tensor, "F M 3"]]:
    """The camera's place and the unit directions of rays through points (x, y) of the picture, in the head's frame.

    `ops.camera.project` of `pose_points` takes any point of a ray back to its pixel: the head stands still, and the
    camera moves around it. Decimetres.
    """
    focal, centre = camera[:, :1], camera[:, 1:]
    across = (pixels - centre[:, None]) / focal[:, None]
    towards = torch.stack([across[..., 0], -across[..., 1], -torch.ones_like(across[..., 0])], -1)
    with torch.autocast(pose.device.type, enabled=False):  # bfloat16 would look a pixel beside
        rotation = matrix(pose[:, :3])
        place = pose.new_tensor([0.0, 0.0, DISTANCE]) - pose[:, 3:]
        directions = towards @ rotation
        return (place[:, None] @ rotation)[:, 0], directions / directions.norm(dim=-1, keepdim=True)


def ray_box_intersection(
    origins: Float[Tensor, "*b 3"],
    directions: Float[Tensor, "*b 3"],
    low: Float[Tensor, "3"],
    high: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Where rays enter a box and leave it; both equal for a ray that misses it. Never behind the origin."""
    inverse = 1 / torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
    one, other = (low - origins) * inverse, (high - origins) * inverse
    near = torch.minimum(one, other).amax(-1).clamp(min=0)
    return near, torch.maximum(torch.maximum(one, other).amin(-1), near)


def render_weights(
    density: Float[Tensor, "*b S"], length: Float[Tensor, "*b S"], backend: str = "torch"
) -> Float[Tensor, "*b S"]:
    """Volume-rendering weight of each of S intervals along a ray, exact for a density that is constant in each.

    `density` per decimetre, `length` in decimetres. The sum is the ray's opacity. `backend` "nerfacc" lets that package
    do it; for equally many samples on every ray it takes the same steps, so "auto" is "torch".

    >>> render_weights(torch.tensor([0.0, 100.0, 100.0]), torch.ones(3)).round()
    tensor([0., 1., 0.])
    """
    if choose_backend(backend, "nerfacc", "cpu") == "nerfacc":
        from nerfacc import render_weight_from_density

        ends = length.cumsum(-1)
        return render_weight_from_density(ends - length, ends, density)[0]
    depth = density * length
    before = F.pad(depth[..., :-1].cumsum(-1), (1, 0))  # never a difference: behind a wall it would be rounding
    return torch.exp(-before) * -torch.expm1(-depth)


def importance_sampling(
    mass: Float[Tensor, "R S"],
    near: Float[Tensor, " R"],
    far: Float[Tensor, " R"],
    count: int,
    generator: torch.Generator | None = None,
    *,
    jitter: bool = False,
) -> tuple[Float[Tensor, "R count"], Float[Tensor, "R count"]]:
    """Places and lengths of `count` samples a ray, of equal mass each (inverse-transform sampling of `mass`).

    Args:
        mass: how much is worth looking at in each of S equal parts of [near, far], on any scale, above 0.
        jitter: draw the places at random inside the samples' stretches (training) instead of in their middle.

    The stretches leave no gap between the first place with mass and the last, so compositing over them is exact for
    what is constant in each.
    """
    total = mass.cumsum(-1)
    share = torch.nn.functional.pad(total / total[:, -1:], (1, 0))
    bounds = torch.arange(count + 1, device=mass.device, dtype=mass.dtype) / count
    shape = (len(mass), count)
    within = torch.rand(shape, generator=generator, device=mass.device) if jitter else mass.new_full(shape, 0.5)
    wanted = torch.cat([bounds.expand(len(mass), -1), bounds[:-1] + within / count], -1)
    wanted = wanted.clamp(max=1 - 1e-6)  # the end of the mass, not of the ray
    bins = mass.shape[-1]
    at = torch.searchsorted(share, wanted, right=True).clamp(1, bins)
    below, above = share.gather(-1, at - 1), share.gather(-1, at)
    part = ((wanted - below) / (above - below).clamp(min=1e-9)).clamp(0, 1)
    places = near[:, None] + (far - near)[:, None] * (at - 1 + part) / bins
    edges, middle = places.split([count + 1, count], -1)
    return middle, edges.diff(dim=-1)


def cross_entropy(opacity: Float[Tensor, "*b"], wanted: Float[Tensor, "*b"], weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of opacities against what they should be, in float32 whatever the precision around it."""
    with torch.autocast(opacity.device.type, enabled=False):
        return F.binary_cross_entropy(opacity.float().clamp(1e-4, 1 - 1e-4), wanted, weight)


def entropy(opacity: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Binary entropy of opacities, in bits: low where a ray is either opaque or clear."""
    sure = opacity.clamp(1e-5, 1 - 1e-5)
    return -(sure * sure.log2() + (1 - sure) * (1 - sure).log2())
