"""A face model's picture: pose, normals, spherical-harmonics light, projection (Deep3DFaceRecon's conventions).

The rasteriser samples pixel centres, so all of this house agrees on `i + 0.5`. The official code uses projected
landmarks as array indices instead, which puts its render half a pixel off its own landmarks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from visemix.face.model import FaceModel
from visemix.ops.camera import project
from visemix.ops.raster import rasterise, rasterise_mask
from visemix.ops.rotation import matrix, pose_points
from visemix.types import Motion, Space, Subject, TensorStruct

AMBIENT = 0.8  # added to the constant coefficient of every colour: light = 0 is an evenly lit face
BAND_0 = math.pi / math.sqrt(4 * math.pi)
BAND_1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3 / (4 * math.pi))
BAND_2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5 / (12 * math.pi))


@dataclass(frozen=True)
class FacePicture(TensorStruct):
    """A drawn face and its masks, as `draw` gives them; no part is antialiased."""

    image: Float[Tensor, "B T 3 H W"]  # RGB in [0, 1], black where there is no mesh
    coverage: Float[Tensor, "B T 1 H W"]  # 1 where any of the mesh is seen
    skin: Float[Tensor, "B T 1 H W"]  # 1 inside the face skin, its mouth and eyes closed


def draw(
    face: FaceModel,
    expression: Float[Tensor, "B T E"],
    subject: Subject,
    size: tuple[int, int],
    overflow: Literal["clamp", "wrap"] = "clamp",
) -> FacePicture:
    """The subject's face with this expression, in its pose and light, as (H, W) pixels of the subject's camera.

    Differentiable in expression, identity, pose, light and albedo; the two masks carry no gradient. Colours above 1 are
    cut off; with `overflow` "wrap" they start again at black, as eight bits do, and the image carries no gradient.
    """
    batch, frames = expression.shape[:2]
    shape = face.vertices(subject.identity, expression)
    turned = normals(shape, face.triangles) @ matrix(subject.pose[..., :3]).mT
    colour = shade(subject.albedo, turned, subject.light)
    points = _pixels(pose_points(shape, subject.pose), subject).flatten(0, 1)
    seen = rasterise(points, face.triangles, colour.flatten(0, 1), size)
    closed = rasterise_mask(points, face.closed_skin, size)
    grid = (batch, frames)
    lit = seen.attributes
    return FacePicture(
        image=(lit.clamp(0, 1) if overflow == "clamp" else (255 * lit).floor() % 256 / 255).unflatten(0, grid),
        coverage=seen.coverage.unflatten(0, grid),
        skin=closed.unflatten(0, grid),
    )


def posed(face: FaceModel, expression: Float[Tensor, "B T E"], subject: Subject) -> Float[Tensor, "B T N 3"]:
    """The mesh in its head pose, decimetres; the camera is ten decimetres down the z axis."""
    return pose_points(face.vertices(subject.identity, expression), subject.pose)


def landmarks_2d(face: FaceModel, expression: Float[Tensor, "B T E"], subject: Subject) -> Float[Tensor, "B T 68 2"]:
    """The 68 points in the picture, in pixels of the subject's camera."""
    points = face.landmarks(Motion(expression, Space.EXPRESSION), subject)
    return _pixels(pose_points(points, subject.pose), subject)[..., :2]


def normals(vertices: Float[Tensor, "*b N 3"], triangles: Int[Tensor, "F 3"]) -> Float[Tensor, "*b N 3"]:
    """Unit vertex normals: the plain mean of the unit normals of the triangles around (not weighted by area)."""
    # coordinates as contiguous rows, all meshes side by side: four times the speed of indexing (N, 3) on a processor
    rows = vertices.reshape(-1, 3).T.contiguous()
    count = vertices.shape[-2]
    offset = torch.arange(rows.shape[1] // count, device=rows.device)[:, None] * count
    corners = [(corner + offset).flatten() for corner in triangles.T]
    a, b, c = (rows.index_select(1, ids) for ids in corners)
    (ux, uy, uz), (wx, wy, wz) = a - b, b - c
    facing = _unit(torch.stack([uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx]))
    total = torch.zeros_like(rows).scatter_add(1, torch.cat(corners).expand(3, -1), facing.repeat(1, 3))
    return _unit(total).T.reshape(vertices.shape)


def _unit(rows: Tensor) -> Tensor:
    return rows * rows.square().sum(0).clamp(min=1e-24).rsqrt()  # a triangle without area keeps its zero


def harmonics(normals: Float[Tensor, "*b N 3"]) -> Float[Tensor, "*b N 9"]:
    """The nine first spherical harmonics, scaled by the cosine lobe's response (Ramamoorthi & Hanrahan 2001).

    >>> harmonics(torch.tensor([[0.0, 0.0, 1.0]]))[0, :3]
    tensor([0.8862, -0.0000, 1.7725])
    """
    x, y, z = normals.unbind(-1)
    zonal = BAND_2 / (2 * math.sqrt(3)) * (3 * z * z - 1)
    first = [torch.full_like(x, BAND_0), -BAND_1 * y, BAND_1 * z, -BAND_1 * x]
    second = [BAND_2 * x * y, -BAND_2 * y * z, zonal, -BAND_2 * x * z, BAND_2 / 2 * (x * x - y * y)]
    return torch.stack(first + second, -1)


def shade(
    albedo: Float[Tensor, "B N 3"], normals: Float[Tensor, "B T N 3"], light: Float[Tensor, "B T 27"]
) -> Float[Tensor, "B T N 3"]:
    """Colour of each vertex under each frame's light; not clamped, so above 1 where the light is strong."""
    ambient = torch.zeros(9, device=light.device, dtype=light.dtype)
    ambient[0] = AMBIENT
    coefficients = light.unflatten(-1, (3, 9)) + ambient
    return albedo.unsqueeze(1) * (harmonics(normals) @ coefficients.mT)


def soft_light() -> Float[Tensor, "27"]:
    """Light from the front and a little from above: what shows the form of a face that has no light of its own."""
    one = torch.tensor([0.0, -0.12, 0.2, 0.06, 0.0, 0.0, 0.0, 0.0, 0.0])
    return one.repeat(3)


def _pixels(points: Float[Tensor, "B T N 3"], subject: Subject) -> Float[Tensor, "B T N 3"]:
    return project(points, subject.camera.unsqueeze(1).expand(-1, points.shape[1], 3))
