"""Triangles → pixels, differentiable in vertex positions and attributes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


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
) -> Raster:
    """Draw a mesh whose `points` are (x, y, depth) as `ops.camera.project` gives them, into `size` = (H, W)."""
    height, width = size
    out = []
    for p, a in zip(points, attributes, strict=True):
        out.append(_one(p, triangles, a, height, width))
    return Raster(*(torch.stack(parts) for parts in zip(*out, strict=True)))


def _one(p: Tensor, triangles: Tensor, a: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    corners = p[triangles]  # (F, 3, 3)
    with torch.no_grad():
        xy = corners[..., :2]
        low = (xy.amin(1) - 0.5).ceil().long().clamp(min=0)
        high = (xy.amax(1) - 0.5).floor().long()
        high = torch.minimum(high, torch.tensor([width - 1, height - 1]))
        span = (high - low + 1).clamp(min=0)
        count = span.prod(1)
        face = torch.repeat_interleave(torch.arange(len(triangles)), count)
        k = torch.arange(len(face)) - torch.repeat_interleave(count.cumsum(0) - count, count)
        px = low[face, 0] + k % span[face, 0].clamp(min=1)
        py = low[face, 1] + k // span[face, 0].clamp(min=1)
        w = _barycentric(xy[face], torch.stack([px + 0.5, py + 0.5], -1))
        inside = (w >= 0).all(-1)
        face, px, py, w = face[inside], px[inside], py[inside], w[inside]
        inverse = (w / corners[face, :, 2]).sum(-1)
        pixel = py * width + px
        best = torch.zeros(height * width).scatter_reduce(0, pixel, inverse, "amax")
        won = inverse >= best[pixel]
        triangle = torch.full((height * width,), -1).scatter(0, pixel[won], face[won])
    hit = (triangle >= 0).nonzero()[:, 0]
    corner = corners[triangle[hit]]
    centre = torch.stack([hit % width + 0.5, hit // width + 0.5], -1)
    w = _barycentric(corner[..., :2], centre) / corner[..., 2]
    depth = 1 / w.sum(-1)
    values = (w * depth[:, None])[:, :, None] * a[triangles[triangle[hit]]]
    image = p.new_zeros(height * width, a.shape[1]).index_put((hit,), values.sum(1))
    z = p.new_zeros(height * width).index_put((hit,), depth)
    covered = (triangle >= 0).to(p.dtype)
    grid = (height, width)
    return image.T.unflatten(1, grid), covered.view(1, *grid), z.view(1, *grid), triangle.view(grid)


def _barycentric(corners: Tensor, at: Tensor) -> Tensor:
    (ax, ay), (bx, by), (cx, cy) = (c.unbind(-1) for c in corners.unbind(-2))
    x, y = at.unbind(-1)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    wa = (bx - x) * (cy - y) - (cx - x) * (by - y)
    wb = (cx - x) * (ay - y) - (ax - x) * (cy - y)
    safe = torch.where(area.abs() < 1e-12, torch.ones_like(area), area)
    wa, wb = wa / safe, wb / safe
    flat = area.abs() < 1e-12
    return torch.stack([wa, wb, 1 - wa - wb], -1).masked_fill(flat[..., None], -1)
