"""What drawing one frame costs: a mesh of BFM's size over 60 % of the picture, forward, and forward + backward.

`simple` is the same z-buffer written the obvious way: element by element indexing, comparisons as masks, two passes for
the nearest triangle. PyTorch3D joins where it is installed (on a processor it takes ten seconds and more a frame).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from _report import measure, report
from scipy.spatial import Delaunay
from torch import Tensor

from visemix.ops.backends import available
from visemix.ops.camera import project, square_camera
from visemix.ops.raster import rasterise, rasterise_mask
from visemix.ops.rotation import pose_points

VERTICES, RIM = 35_709, 627  # a disc of V vertices, R of them on its rim, has 2 V - R - 2 triangles: 70 789
POSE = torch.tensor([0.1, 0.25, 0.05, 0.0, 0.0, 0.0])


def wavy_ellipsoid() -> tuple[Tensor, Tensor]:
    """The front half of an ellipsoid with waves on it, decimetres: a sunflower's points on a disc, bent."""
    k = torch.arange(VERTICES - RIM, dtype=torch.float64)
    radius, turn = 0.997 * ((k + 0.5) / len(k)).sqrt(), k * math.pi * (3 - 5**0.5)
    rim = torch.arange(RIM, dtype=torch.float64) * (2 * math.pi / RIM)
    radius, turn = torch.cat([radius, torch.ones(RIM)]), torch.cat([turn, rim])
    disc = torch.stack([turn.cos(), turn.sin()], -1)
    triangles = torch.from_numpy(Delaunay(radius[:, None] * disc).simplices).long()
    x, y = ((radius * math.pi / 2).sin()[:, None] * disc).T
    z = (radius * math.pi / 2).cos()
    wave = 1 + 0.02 * (9 * x).sin() * (7 * y).cos()
    points = torch.stack([0.905 * x * wave, 1.11 * y * wave, 0.9 * z * wave - 0.4], -1)
    return points.float(), triangles


def simple(points: Tensor, triangles: Tensor, attributes: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) of one item."""
    height, width = size
    corners = points[triangles]
    xy, z = corners[..., :2], corners[..., 2]
    last = torch.tensor([width - 1, height - 1])
    low = (xy.amin(1) - 0.5).ceil().long().clamp(min=0)
    span = ((xy.amax(1) - 0.5).floor().long().minimum(last) - low + 1).clamp(min=0)
    count = span.prod(1)
    face = torch.arange(len(triangles)).repeat_interleave(count)
    k = torch.arange(len(face)) - (count.cumsum(0) - count)[face]
    at = low[face] + torch.stack([k % span[face, 0], k // span[face, 0]], -1)
    weight = weights(xy[face], at + 0.5) / z[face]
    inside = (weight >= 0).all(1)
    face, at, near = face[inside], at[inside], weight[inside].sum(1)
    pixel = at[:, 1] * width + at[:, 0]
    best = torch.zeros(height * width).scatter_reduce(0, pixel, near.detach(), "amax")
    won = near >= best[pixel]
    face, pixel, at = face[won], pixel[won], at[won]
    weight = weights(xy[face], at + 0.5) / z[face]
    weight = weight / weight.sum(1, keepdim=True)
    values = (weight[..., None] * attributes[triangles[face]]).sum(1)
    return torch.zeros(height * width, values.shape[1]).index_put((pixel,), values).T.unflatten(1, size)


def weights(corners: Tensor, at: Tensor) -> Tensor:
    (ax, ay), (bx, by), (cx, cy) = (corner.unbind(1) for corner in (corners - at[:, None]).unbind(1))
    area = torch.stack([bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay], 1)
    return area / area.sum(1, keepdim=True)


def backward(form: Callable[[Tensor, Tensor], Tensor], points: Tensor, colours: Tensor) -> None:
    form(points, colours).sum().backward()  # type: ignore[no-untyped-call]


def compare(side: int, mesh: Tensor, triangles: Tensor) -> list[dict[str, Any]]:
    """Rows of the table for a picture of `side` pixels."""
    size = (side, side)
    points = project(pose_points(mesh, POSE), square_camera(side))[None]
    colours = ((mesh - mesh.amin(0)) / (mesh.amax(0) - mesh.amin(0)))[None]
    moving, tinted = points.clone().requires_grad_(), colours.clone().requires_grad_()
    forms: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "simple": lambda p, a: simple(p[0], triangles, a[0], size)[None],
        "torch": lambda p, a: rasterise(p, triangles, a, size, backend="torch").attributes,
    }
    if available("pytorch3d"):
        forms["pytorch3d"] = lambda p, a: rasterise(p, triangles, a, size, backend="pytorch3d").attributes
    pictures = {name: form(points, colours) for name, form in forms.items()}
    for picture in pictures.values():  # rounding may give a pixel on a seam to the neighbour
        assert ((picture - pictures["torch"]).abs() > 1e-3).float().mean() < 1e-3
    variants: dict[str, Callable[[], object]] = {}
    for name, form in forms.items():
        variants[f"{name}, forward"] = partial(form, points, colours)
        variants[f"{name}, forward + backward"] = partial(backward, form, moving, tinted)
    variants["torch, coverage only"] = lambda: rasterise_mask(points, triangles, size)
    samples = measure(variants, rounds=3 if "pytorch3d" in forms else 15, warmup=1)
    share = rasterise_mask(points, triangles, size).mean().item()
    rows = []
    for name, sample in samples.items():
        ratio = sample.over(samples["torch, forward"])
        rows.append({"size": side, "covered": share, "form": name, **sample.row(), "× torch forward": ratio})
    return rows


def main() -> None:
    mesh, triangles = wavy_ellipsoid()
    rows = [row for side in (256, 512) for row in compare(side, mesh, triangles)]
    report("raster", rows, vertices=len(mesh), triangles=len(triangles), channels=3, pose=POSE.tolist(), seed=None)


if __name__ == "__main__":
    main()
