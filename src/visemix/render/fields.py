"""Radiance fields of a head: density and colour at a point, for a driven face."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.ops.encoding import positional_encoding, spherical_harmonics
from visemix.ops.hashgrid import HashGrid
from visemix.ops.inverse_warp import inverse_warp
from visemix.ops.planes import read_planes

SKIP = 4  # vanilla: the input comes in again after this layer
THIN = 2.0  # an untrained field's density, per decimetre, is e to the power of minus this: light goes through
SOFT, REACH = 0.04, 0.3  # of half a box (6 mm, 4 cm): how near a point goes with a landmark, how far it goes with any


@dataclass(frozen=True)
class FrameCondition:
    """Condition of a `GridField` for F frames, computed once for all of their points."""

    offset: Float[Tensor, "F 1 W"]
    blends: Float[Tensor, "F 3 R R K"]
    moves: Float[Tensor, "F N 3"]  # of the landmarks, with N = 0 where the points do not go with them
    spots: Float[Tensor, "F N 3"]

    def at_frame(self, frame: int) -> FrameCondition:
        """The condition of one frame alone (F = 1)."""
        one = slice(frame, frame + 1)
        return FrameCondition(self.offset[one], self.blends[one], self.moves[one], self.spots[one])


@dataclass(frozen=True)
class FieldOutput:
    """Density and colour at F × R × S places: frames, rays, samples."""

    density: Float[Tensor, "F R S"]  # per decimetre
    colour: Float[Tensor, "F R S 3"]  # RGB in [0, 1]
    driven: Float[Tensor, "F R S A"] | None = None  # in training: what landmarks have changed; nothing, where all are 0


class VanillaField(nn.Module):
    """NeRF's network as AD-NeRF and GeneFace print it: 8 + 3 layers, 595 844 parameters at a condition of 64.

    σ's last layer reads the eighth layer, and so do the three of the colour, with the direction. NeRF's ReLU of it lets
    no gradient through where there is no density: a field that begins without any, or is once pushed out of the
    picture, never comes back. So all of space begins with the same thin fog, `start` in the unit of the places, and σ
    is a softplus (Barron et al. 2021, Mip-NeRF), but for `relu`, with which it can still die on its way.
    """

    def __init__(self, condition: int, *, width: int = 256, start: float = math.exp(-THIN), relu: bool = False) -> None:
        super().__init__()
        inside, outside = 63 + condition, 27
        widths = [inside] + [width] * (SKIP) + [width + inside] + [width] * (7 - SKIP - 1)
        self.trunk = nn.ModuleList(nn.Linear(w, width) for w in widths)
        self.density = nn.Linear(width, 1)
        nn.init.zeros_(self.density.weight)
        self.activation = F.relu if relu else F.softplus
        nn.init.constant_(self.density.bias, start if relu else math.log(math.expm1(start)))
        half = width // 2
        self.view = nn.ModuleList([nn.Linear(width + outside, half), nn.Linear(half, half), nn.Linear(half, half)])
        self.colour = nn.Linear(half, 3)

    def forward(
        self,
        points: Float[Tensor, "F R S 3"],
        directions: Float[Tensor, "F R 3"],
        condition: Float[Tensor, "F R C"] | Float[Tensor, "F 1 C"],
    ) -> FieldOutput:
        """Density and colour at places; the condition is one a ray, or one a frame."""
        frames, rays, samples = points.shape[:3]
        driven = condition[:, :, None].expand(frames, rays, samples, -1)
        start = torch.cat([positional_encoding(points, 10), driven], -1)
        x = start
        for index, layer in enumerate(self.trunk):
            x = F.relu(layer(x))
            if index == SKIP:
                x = torch.cat([start, x], -1)
        seen_from = positional_encoding(directions, 4)[:, :, None].expand(-1, -1, samples, -1)
        y = torch.cat([x, seen_from], -1)
        for layer in self.view:
            y = F.relu(layer(y))
        return FieldOutput(self.activation(self.density(x)).squeeze(-1).float(), self.colour(y).sigmoid().float())


class PlaneTables(nn.Module):
    """Planes of features at several resolutions, read side by side. They learn faster than the networks behind them."""

    lr_scale = 5.0

    def __init__(self, planes: int, levels: list[int], channels: int, spread: float = 1e-3) -> None:
        super().__init__()
        self.tables = nn.ParameterList(
            nn.Parameter(spread * torch.randn(planes, side, side, channels)) for side in levels
        )
        self.dim = planes * channels * len(levels)

    def forward(self, places: Float[Tensor, "N P 2"]) -> Float[Tensor, "N D"]:
        """Features of places in [-1, 1]², one on each plane; D = planes · channels · levels."""
        return concat_features(self.tables, places)


def concat_features(tables: Iterable[Float[Tensor, "P R R C"]], places: Float[Tensor, "N P 2"]) -> Float[Tensor, "N D"]:
    """Features of N places on each of P planes, of all tables and planes side by side."""
    return torch.cat([plane for table in tables for plane in read_planes(table, places).unbind(1)], -1)


def project_to_planes(points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 2"]:
    """Places (·, 3, 2) of points on the planes xy, xz and yz."""
    x, y, z = points.unbind(-1)
    return torch.stack([x, x, y, y, z, z]).unflatten(0, (2, 3)).movedim((0, 1), (-1, -2))


class TriplaneEncoding(nn.Module):
    """Features of a place in [-1, 1]³ from three planes at several resolutions.

    In place of a volume of hashed cells: a look-up costs a processor a tenth of the time (see `ops.planes`).
    """

    def __init__(self, levels: list[int], channels: int) -> None:
        super().__init__()
        self.tables = PlaneTables(3, levels, channels)
        self.dim = self.tables.dim

    def forward(self, points: Float[Tensor, "N 3"]) -> Float[Tensor, "N D"]:
        """Features of points in [-1, 1]³."""
        return self.tables(project_to_planes(points))


def make_encoding(name: str, levels: list[int], channels: int, backend: str) -> nn.Module:
    """Encoding of points by name: "planes", or "hash" with RAD-NeRF's own sizes."""
    return TriplaneEncoding(levels, channels) if name == "planes" else HashGrid(3, backend=backend)


class BlendedPlanes(nn.Module):
    """Features of a place in [-1, 1]³ from planes that the landmarks blend, as a mesh is blended from expressions.

    A linear map of what drives the field weighs `count` sets of planes, whose sum is read (Gao et al. 2022, with planes
    for their hash tables). A mouth that opens is there after a tenth of the steps that bent coordinates alone take.
    """

    def __init__(self, condition: int, count: int, side: int, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(condition, count)
        self.sets = PlaneTables(3 * count, [side], channels, spread=0.1)
        self.dim = 3 * channels

    def blend(self, condition: Float[Tensor, "F C"]) -> Float[Tensor, "F 3 R R K"]:
        """Each frame's three planes (xy, xz, yz): the sum of all sets, weighed by the condition."""
        weights = self.weigh(condition)
        sets = self.sets.tables[0].unflatten(0, (weights.shape[1], 3))
        return torch.einsum("fk,kpyxc->fpyxc", weights, sets)

    def forward(self, points: Float[Tensor, "F M 3"], blends: Float[Tensor, "F 3 R R K"]) -> Float[Tensor, "F M D"]:
        """Features of each frame's points in [-1, 1]³, read from that frame's planes."""
        return torch.stack(
            [concat_features([blend], project_to_planes(some)) for blend, some in zip(blends, points, strict=True)]
        )


class GridField(nn.Module):
    """Features of the place, of where the landmarks have moved it to (RAD-NeRF), and of what they make there.

    The place is taken back first to where it was before the landmarks moved, where `condition` says behind its numbers
    how far they moved and where they are now (in [-1, 1]³): what is then left to learn from pictures is little.

    What differs from frame to frame, and from ray to ray, enters the networks as an offset that is worked out once.
    """

    def __init__(
        self, condition: int, encoding: nn.Module, width: int, ambient: int, channels: int, shapes: int
    ) -> None:
        super().__init__()
        dim = int(encoding.dim)  # type: ignore[arg-type]
        self.encoding = encoding
        self.shapes = BlendedPlanes(condition, shapes, ambient, channels // 2)
        self.place = nn.Linear(dim, width // 2, bias=False)
        self.driven = nn.Linear(condition, width // 2)
        self.moved = nn.Linear(width // 2, 2, bias=False)
        self.ambient = PlaneTables(1, [ambient], channels, spread=0.1)
        self.body = nn.Sequential(
            nn.Linear(dim + channels + self.shapes.dim, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, 1 + width // 2),
        )
        self.view = nn.Linear(9, width // 2)
        self.colour = nn.Linear(width // 2, 3)

    def encode_condition(self, condition: Float[Tensor, "F C"]) -> FrameCondition:
        """Conditions of F frames; behind the codes come the landmarks' moves and spots, 3 N numbers each."""
        codes, landmarks = condition.tensor_split([self.driven.in_features], 1)
        moves, spots = landmarks.view(len(codes), 2, landmarks.shape[1] // 6, 3).unbind(1)
        return FrameCondition(self.driven(codes)[:, None], self.shapes.blend(codes), moves, spots)

    def get_density(
        self, points: Float[Tensor, "F M 3"], condition: FrameCondition
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Density (F, M), features for the colour (F, M, ·) and, in training, what is driven (F, M, ·)."""
        frames, count = points.shape[:2]
        if condition.spots.shape[1]:
            points = inverse_warp(points, condition.spots, condition.moves, soft=SOFT, reach=REACH)
        features = self.encoding(points.flatten(0, 1)).view(frames, count, -1)
        hidden = (self.place(features) + condition.offset).relu_()
        ambient = torch.tanh(self.moved(hidden).float())
        surroundings = self.ambient(ambient.view(-1, 1, 2)).view(frames, count, -1)
        shaped = self.shapes(points, condition.blends)
        out = self.body(torch.cat([features, surroundings.to(features), shaped.to(features)], -1))
        density = (out[..., 0].float() - THIN).clamp(-15, 12).exp()
        return density, out[..., 1:], torch.cat([ambient, shaped], -1) if self.training else None

    def forward(
        self,
        points: Float[Tensor, "F R S 3"],
        directions: Float[Tensor, "F R 3"],
        condition: FrameCondition,
    ) -> FieldOutput:
        """Density and colour at points in [-1, 1]³; `driven` in training only."""
        grid = points.shape[1:3]
        density, features, driven = self.get_density(points.flatten(1, 2), condition)
        view = self.view(spherical_harmonics(directions))[:, :, None]
        colour = self.colour((features.unflatten(1, grid) + view).relu_()).float().sigmoid()
        return FieldOutput(density.unflatten(1, grid), colour, None if driven is None else driven.unflatten(1, grid))
