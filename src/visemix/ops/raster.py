"""Triangles → pixels, differentiable in vertex positions and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from visemix.ops import raster_pytorch3d, raster_torch
from visemix.ops.backends import choose_backend
from visemix.types import VisemixError


@dataclass(frozen=True)
class Raster:
    """What each pixel of the picture sees: the nearest triangle at the pixel's centre."""

    attributes: Float[Tensor, "B C H W"]  # interpolated perspective-correctly; 0 where nothing is hit
    coverage: Float[Tensor, "B 1 H W"]  # 1 where a triangle is hit, 0 elsewhere (not antialiased, no gradient)
    depth: Float[Tensor, "B 1 H W"]  # in the unit of the points; 0 where nothing is hit
    triangle: Int[Tensor, "B H W"]  # id of the triangle, -1 where nothing is hit


def rasterise(
    points: Float[Tensor, "B N 3"],
    triangles: Int[Tensor, "F 3"],
    attributes: Float[Tensor, "B N C"],
    size: tuple[int, int],
    *,
    backend: Literal["auto", "torch", "pytorch3d"] = "auto",
) -> Raster:
    """Draw a mesh whose `points` are (x, y, depth) as `ops.camera.project` gives them, into `size` = (H, W).

    Both sides of a triangle are drawn. A triangle with a corner at or behind the camera (depth ≤ 0), or without area,
    is left out. Where triangles meet in one depth, the lower id is seen. Gradients reach `points` and `attributes`
    through the interpolation inside each triangle; the outline, which a picture without antialiasing does not move
    smoothly, has none.
    """
    _check(points)
    draw = (
        raster_pytorch3d.draw
        if choose_backend(backend, "pytorch3d", points.device) == "pytorch3d"
        else raster_torch.draw
    )
    values, depth, triangle = draw(points, triangles, attributes.to(points.dtype), size)
    coverage = (triangle >= 0).to(points.dtype).unsqueeze(1)
    return Raster(values, coverage, depth, triangle)


@torch.no_grad()
def rasterise_mask(
    points: Float[Tensor, "B N 3"], triangles: Int[Tensor, "F 3"], size: tuple[int, int]
) -> Float[Tensor, "B 1 H W"]:
    """The `coverage` of `rasterise` alone, at half its cost: 1 where the mesh is, 0 elsewhere, no gradient."""
    _check(points)
    return raster_torch.rasterise_mask(points, triangles, size)


def _check(points: Tensor) -> None:
    if points.dtype not in (torch.float32, torch.float64):
        raise VisemixError(f"{points.dtype} is too coarse for the positions of pixels; project points in float32")
