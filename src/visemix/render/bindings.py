"""Where Gaussians sit: on the triangles of a face model, more of them where a face says most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visemix.face import FaceModel, layout
from visemix.face.topology import parts
from visemix.ops.rotation import matrix
from visemix.types import VisemixError

INNER_SHARE = 0.18  # of the Gaussians: for what no skin belongs to, teeth, tongue and eyeballs
FACING = -0.2  # cosine to the front: what looks further back is never seen from there
# Around these landmarks, within so many decimetres, Gaussians are so many times as dense.
DENSITY_REGIONS = (
    (layout.MOUTH, 0.35, 4.0),
    (slice(layout.LEFT_EYE.start, layout.RIGHT_EYE.stop), 0.25, 4.0),
    (slice(layout.LEFT_BROW.start, layout.RIGHT_BROW.stop), 0.15, 2.0),
    (layout.NOSE, 0.2, 1.5),
)


class Bindings(nn.Module):
    """`count` places on a face model's triangles, drawn by `seed`, and the frames that the triangles give them.

    A frame's axes are an edge of the triangle, its normal, and what is square to both; its unit is the square root of
    twice the area, so that what is said in it grows with the triangle.
    """

    corners: Int[Tensor, "3 M"]  # of each place's triangle, as numbers of `vertices`
    weights: Float[Tensor, "3 M"]  # barycentric coordinates
    spread: Float[Tensor, " M"]  # radius of the disc that a place has to itself, in units of its frame
    lower: Bool[Tensor, " M"]  # whether it is below the nose
    on_skin: Bool[Tensor, " M"]  # whether the triangle is one of the face's skin
    vertices: Int[Tensor, " V"]  # those of the face model that any of them needs

    def __init__(self, face: FaceModel, count: int, seed: int = 0) -> None:
        super().__init__()
        self._known = len(face.mean)
        surface = Surface.from_face(face)
        triangle, weights, spread = surface.sample_points(count, np.random.default_rng(seed))
        lower = face.lower.numpy()[surface.triangles[triangle]].all(1)
        vertices, corners = np.unique(surface.triangles[triangle].T, return_inverse=True)
        self.register_buffer("corners", torch.from_numpy(corners.reshape(3, -1)))
        self.register_buffer("weights", torch.from_numpy(weights.T.copy()).float())
        self.register_buffer("spread", torch.from_numpy(spread).float())
        self.register_buffer("lower", torch.from_numpy(lower))
        self.register_buffer("on_skin", torch.from_numpy(surface.skin[triangle]))
        self.register_buffer("vertices", torch.from_numpy(vertices))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        vertices, corners = (state_dict.get(prefix + name) for name in ("vertices", "corners"))
        for name, numbers, below in (("vertices", vertices, self._known), ("corners", corners, len(self.vertices))):
            if numbers is not None and numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < below:
                raise VisemixError(f"the weights say of '{prefix}{name}' what the face model does not have")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(
        self, vertices: Float[Tensor, "V 3"], pose: Float[Tensor, "6"]
    ) -> tuple[Float[Tensor, "3 M"], Float[Tensor, "3 3 M"], Float[Tensor, " M"]]:
        """Origins (decimetres) and axes (the first index counts coordinates, the second axes) of the places on a mesh
        that is given in the face's own frame and is seen under a head pose; and their units (decimetres)."""
        a, b, c = self._corners(vertices, pose)
        along, aside = b - a, c - a
        normal = torch.linalg.cross(along, aside, dim=0)
        area = normal.square().sum(0).clamp(min=1e-18).sqrt()
        normal = normal / area
        along = along / along.square().sum(0).clamp(min=1e-18).sqrt()
        axes = torch.stack([along, torch.linalg.cross(normal, along, dim=0), normal], 1)
        return self._between(a, b, c), axes, area.sqrt()

    def origins(self, vertices: Float[Tensor, "V 3"], pose: Float[Tensor, "6"]) -> Float[Tensor, "3 M"]:
        """Origins (decimetres) of the places alone, as `forward` gives them."""
        return self._between(*self._corners(vertices, pose))

    def _corners(self, vertices: Float[Tensor, "V 3"], pose: Float[Tensor, "6"]) -> list[Float[Tensor, "3 M"]]:
        # coordinates as rows: taking elements out of one contiguous row is the only gather at memory speed
        placed = matrix(pose[:3]) @ vertices.mT + pose[3:, None]
        return [placed.index_select(1, ids) for ids in self.corners]

    def _between(self, a: Tensor, b: Tensor, c: Tensor) -> Float[Tensor, "3 M"]:
        return a * self.weights[0] + b * self.weights[1] + c * self.weights[2]


@dataclass(frozen=True)
class Surface:
    """The triangles that Gaussians may sit on; what looks back is never seen, and is left out."""

    triangles: Int[np.ndarray, "F 3"]
    skin: Bool[np.ndarray, " F"]  # of the face
    twice: Float[np.ndarray, " F"]  # twice the area of the mean face's triangles, square decimetres
    weight: Float[np.ndarray, " F"]  # how likely a place is to lie there; adds up to 1

    @staticmethod
    def from_face(face: FaceModel) -> Surface:
        """A face model's. One without teeth and mouth (BFM) closes its mouth by a membrane between the lips."""
        triangles, skin, points = face.triangles.numpy(), face.skin.numpy(), face.mean.numpy().astype(float)
        inner = inner_triangles(face)
        if not inner.any():
            hole = face.hole.numpy()
            triangles = np.concatenate([triangles, hole])
            skin, inner = (
                np.concatenate([flag, np.full(len(hole), new)]) for flag, new in ((skin, False), (inner, True))
            )
        a, b, c = (points[ids] for ids in triangles.T)
        normal = np.cross(b - a, c - a)
        twice = np.linalg.norm(normal, axis=1)
        weight = twice * _density(face, (a + b + c) / 3) * (normal[:, 2] > FACING * twice)
        for part, share in ((inner, INNER_SHARE), (~inner, 1 - INNER_SHARE)):
            total = weight[part].sum()
            weight[part] *= share / total if total else 0
        return Surface(triangles, skin, twice, weight / weight.sum())

    def sample_points(
        self, count: int, generator: np.random.Generator
    ) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, "M 3"], Float[np.ndarray, " M"]]:
        """Triangles and barycentric coordinates of `count` places, and their spreads in units of their triangles."""
        chosen = generator.choice(len(self.triangles), count, p=self.weight)
        area = self.twice[chosen] / 2
        radius = np.sqrt(area / (math.pi * count * self.weight[chosen]))
        return chosen, generator.dirichlet(np.ones(3), count), radius / np.sqrt(2 * area)


def inner_triangles(face: FaceModel) -> Bool[np.ndarray, " F"]:
    """Which triangles belong to parts without skin: eyeballs, teeth, tongue."""
    part = parts(face.triangles.numpy(), len(face.mean))
    skin = np.unique(part[face.triangles[face.skin].numpy().flatten()])
    return ~np.isin(part[face.triangles[:, 0].numpy()], skin)


def _density(face: FaceModel, centres: Float[np.ndarray, "F 3"]) -> Float[np.ndarray, " F"]:
    landmarks = face.mean[face.landmark_ids].numpy()
    density = np.ones(len(centres))
    for where, radius, factor in DENSITY_REGIONS:
        near = np.linalg.norm(centres[:, None] - landmarks[where], axis=-1).min(1) < radius
        density = np.maximum(density, np.where(near, factor, 1.0))
    return density
