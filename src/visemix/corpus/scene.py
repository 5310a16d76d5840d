"""A synthetic speaker in front of a camera: head, hair, clothes and room as one mesh, drawn frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from visemix.corpus.cast import Person
from visemix.corpus.patterns import backdrop, cloth, strands
from visemix.corpus.wardrobe import Mesh, comb, dress
from visemix.face import FaceModel
from visemix.face.shading import normals, shade
from visemix.ops.camera import project, square_camera
from visemix.ops.raster import rasterise
from visemix.ops.rotation import matrix, pose_points
from visemix.types import Label

PLACE = torch.tensor([0.0, -0.13, -4.0])  # where the head is on average, decimetres: room for hair and shoulders
FINER = 2  # drawn this many times as large, then averaged: the rasteriser does not smooth edges
CHUNK = 25  # frames shaped at once
BODY_FOLLOWS = 0.35  # of the head's shifts
INSIDE = 0.45  # how bright the inner side of hair is
WHITE = 2  # pixels of the pattern that leave a colour as it is


@dataclass(frozen=True)
class SceneMesh:
    """Face, hair and clothes joined in one mesh: vertices of the face first, then hair, then clothes."""

    still: Float[Tensor, "M 3"]  # hair and clothes; the face's vertices are not among them
    triangles: Int[Tensor, "F 3"]
    corners: Int[Tensor, "3 F"]  # the same, as rows
    albedo: Float[Tensor, "N 3"]
    uv: Float[Tensor, "N 2"]  # on `pattern`, both 0 to 1
    follows: Float[Tensor, "N 1"]  # 1 moves with the head, 0 with the body
    still_normals: Float[Tensor, "M 3"]
    both_sides: Bool[Tensor, " F"]  # drawn also where they face away: hair, and what is in the mouth
    hair: Bool[Tensor, " F"]
    label: UInt8[Tensor, " F"]
    pattern: Float[Tensor, "3 h w"]


class Scene:
    """Draws a speaker: pictures, and which of their pixels are head, torso and background.

    The face is drawn with exactly the given coefficients, pose and light; neck, hair and clothes go along.
    """

    def __init__(self, face: FaceModel, person: Person, size: int) -> None:
        self.face, self.person, self.size = face, person, size
        self.camera = square_camera(size)
        self.parts = _join(face, person, FINER * size)
        room = backdrop(person.backdrop, person.seed, size)
        self.backdrop = torch.from_numpy(room).float()

    @property
    def background(self) -> UInt8[Tensor, "3 H W"]:
        """The background without the person, as it is in the pictures."""
        return self.backdrop.mul(255).round().to(torch.uint8)

    @torch.no_grad()
    def draw(
        self, expression: Float[Tensor, "T E"], pose: Float[Tensor, "T 6"]
    ) -> Iterator[tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "H W"]]]:
        """A picture and its labels for every frame; a pixel's label is that of most of its samples."""
        for expressions, poses in zip(expression.split(CHUNK), pose.split(CHUNK), strict=True):
            points, colours = self._project(expressions, poses)
            for vertices, colour in zip(points, colours, strict=True):
                yield self._picture(vertices, colour)

    def _project(self, expression: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Projected points and lit colours of every vertex, (T, N, 3) each."""
        p = self.parts
        shape = self.face.vertices(self.person.identity[None], expression[None])
        turned = torch.cat([normals(shape, self.face.triangles)[0], p.still_normals.expand(len(pose), -1, -1)], 1)
        rest = torch.cat([shape[0], p.still.expand(len(pose), -1, -1)], 1)
        with_head = pose_points(rest, pose)
        with_body = rest + (PLACE + BODY_FOLLOWS * (pose[:, 3:] - PLACE))[:, None]
        posed = torch.lerp(with_body, with_head, p.follows)
        rotation = matrix(pose[:, :3]).mT
        turned = torch.lerp(turned, turned @ rotation, p.follows)
        light = self.person.light.expand(1, len(pose), 27)
        colours = shade(p.albedo[None], turned[None], light)[0]
        camera = (self.camera * FINER).expand(len(pose), 3)
        return project(posed, camera), colours

    def _picture(self, points: Tensor, colour: Tensor) -> tuple[Tensor, Tensor]:
        p, side = self.parts, FINER * self.size
        x, y = points[:, 0].contiguous(), points[:, 1].contiguous()
        ax, bx, cx = (x.index_select(0, corner) for corner in p.corners)
        ay, by, cy = (y.index_select(0, corner) for corner in p.corners)
        facing = (bx - ax) * (cy - ay) < (cx - ax) * (by - ay)  # y is down in pictures
        kept = (facing | p.both_sides).nonzero()[:, 0]
        attributes = torch.cat([colour, p.uv], 1)[None]
        seen = rasterise(points[None], p.triangles.index_select(0, kept), attributes, (side, side))
        drawn = seen.triangle.flatten()
        hit = (drawn >= 0).nonzero()[:, 0]
        triangle = kept.index_select(0, drawn.index_select(0, hit))
        values = seen.attributes.view(5, -1).index_select(1, hit)
        height, width = p.pattern.shape[1:]
        at = (values[4] * height).long().clamp_(0, height - 1).mul_(width)
        at += (values[3] * width).long().clamp_(0, width - 1)
        lit = values[:3].clamp_(0, 1) * p.pattern.flatten(1).index_select(1, at)
        lit *= torch.where((p.hair & ~facing).index_select(0, triangle), INSIDE, 1.0)
        samples = torch.zeros(3, side * side).index_copy_(1, hit, lit)
        label = torch.zeros(side * side, dtype=torch.uint8).index_copy_(0, hit, p.label.index_select(0, triangle))
        votes = _sum_samples(VOTE.index_select(0, label.int()).view(side, side))
        background = EMPTY.index_select(0, votes.flatten()).view(votes.shape)
        picture = _sum_samples(samples.view(3, side, side)) / FINER**2 + self.backdrop * background
        winner = WINNER.index_select(0, votes.flatten()).view(votes.shape)
        return picture.mul_(255).round_().to(torch.uint8), winner


def _sum_samples(samples: Tensor) -> Tensor:
    """Sum over the FINER² samples of each pixel."""
    rows = samples.unflatten(-2, (-1, FINER)).sum(-2, dtype=samples.dtype)
    return rows.unflatten(-1, (-1, FINER)).sum(-1, dtype=samples.dtype)


# Counting the votes of a pixel's samples in one sum: a torso counts 1, a head one more than all samples together.
_SAMPLES = FINER**2
VOTE = torch.tensor([0, 1, _SAMPLES + 1], dtype=torch.int32)
_TALLY = [(v % (_SAMPLES + 1), v // (_SAMPLES + 1)) for v in range((_SAMPLES + 1) ** 2)]  # (torso, head)
EMPTY = torch.tensor([max(0, _SAMPLES - torso - head) / _SAMPLES for torso, head in _TALLY])
WINNER = torch.tensor(  # a draw goes to what is in front
    [max(enumerate((_SAMPLES - t - h, t, h)), key=lambda vote: vote[::-1])[0] for t, h in _TALLY], dtype=torch.uint8
)


def _join(face: FaceModel, person: Person, side: int) -> SceneMesh:
    rest = face.vertices(person.identity[None], torch.zeros(1, 1, face.expression.shape[-1]))[0, 0]
    marks = rest[face.landmark_ids]
    chin = float(marks[8, 1])
    follows = _neck(face, rest)
    collar = chin - 0.3
    hair = comb(rest.double().numpy(), person.scalp.numpy(), float(marks[36:48, 1].mean()), person.hair, person.seed)
    bust = dress(_girth(rest, collar), person.shoulders)
    middle = rest[face.triangles].mean(1)
    bare = torch.where(middle[:, 0].abs() < 0.4, collar - 0.32, collar + 0.02)  # below, clothes cover it
    triangles = face.triangles[middle[:, 1] > bare]
    first, second = len(rest), len(rest) + len(hair.points)
    joined = [triangles, torch.from_numpy(hair.triangles) + first, torch.from_numpy(bust.triangles) + second]
    moves = torch.cat([follows, _floats(hair.follows), _floats(bust.follows)])
    of_face = torch.where(follows[triangles].mean(1) < 0.5, Label.TORSO, Label.HEAD)
    labels = [of_face, torch.full((len(joined[1]),), Label.HEAD), torch.full((len(joined[2]),), Label.TORSO)]
    inside = ((rest[triangles].mean(1) - marks[60:68].mean(0)).norm(dim=1) < 0.7) & ~_are_skin(face, triangles)
    of_hair = torch.cat([torch.full((len(each),), number == 1) for number, each in enumerate(joined)])
    both_sides = of_hair.clone()
    both_sides[: len(triangles)] = inside
    pattern, uv = _patterns(person, len(rest), hair, bust, collar, side)
    under = (chin - 0.02 - rest[:, 1]).clamp(0) / 0.3
    shadow = torch.where(follows < 1, 1 - 0.42 * torch.exp(-((under - 0.6) ** 2) / 0.5) * (1 - follows), 1.0)
    white = torch.ones(len(hair.points) + len(bust.points), 3)
    white[len(hair.points) :] *= _below_chin(bust, collar)[:, None]
    still = torch.cat([_floats(hair.points), _floats(bust.points)])
    whole = torch.cat(joined)
    corners = torch.cat([rest, still])[whole]
    ahead = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    seen = both_sides | (ahead[:, 2] > -0.5 * ahead.norm(dim=1))  # heads do not turn so far that the rest is seen
    apart = [normals(_floats(each.points), torch.from_numpy(each.triangles)) for each in (hair, bust)]
    return SceneMesh(
        still=still,
        triangles=whole[seen],
        corners=whole[seen].T.contiguous(),
        albedo=torch.cat([person.albedo * shadow[:, None], white]),
        uv=uv,
        follows=moves[:, None],
        still_normals=torch.cat(apart),
        both_sides=both_sides[seen],
        hair=of_hair[seen],
        label=torch.cat(labels).to(torch.uint8)[seen],
        pattern=pattern,
    )


def _neck(face: FaceModel, rest: Tensor) -> Float[Tensor, " N"]:
    """How far each vertex of the face model goes with the head: 1, but for the neck, which gives way downwards."""
    marks = rest[face.landmark_ids]
    skin = torch.zeros(len(rest), dtype=torch.bool)
    skin[face.triangles[face.skin].flatten()] = True
    behind, ahead = marks[[3, 13]].mean(0), marks[8]
    t = ((rest[:, 2] - behind[2]) / (ahead[2] - behind[2])).clamp(0, 1)
    jaw = behind[1] + t * (ahead[1] - behind[1]) - 0.06
    below = (jaw - rest[:, 1]) / 0.35
    weight = 1 - (below.clamp(0, 1) ** 2) * (3 - 2 * below.clamp(0, 1))
    weight[skin] = 1.0
    return weight


def _are_skin(face: FaceModel, triangles: Tensor) -> Tensor:
    of_skin = torch.zeros(len(face.mean), dtype=torch.bool)
    of_skin[face.triangles[face.skin].flatten()] = True
    return of_skin[triangles].all(1)


def _girth(rest: Tensor, height: float) -> tuple[float, float, float, float]:
    """Height, half width, half depth and z of the middle of the neck at this height, decimetres."""
    ring = rest[((rest[:, 1] - height).abs() < 0.12) & (rest[:, 0].abs() < 0.75)]
    low, high = ring[:, 2].min(), ring[:, 2].clamp(max=0.0).max()
    width = float(torch.quantile(ring[:, 0].abs(), 0.9))
    return height, min(width, 0.62), float(high - low) / 2, float(high + low) / 2


def _below_chin(bust: Mesh, collar: float) -> Float[Tensor, " n"]:
    """Factor of the light on each vertex of the bust: darker right under the chin."""
    x, y, _ = _floats(bust.points).T
    return 1 - 0.3 * torch.exp(-(((y - collar) / 0.3) ** 2) - (x / 0.6) ** 2)


def _patterns(person: Person, plain: int, hair: Mesh, bust: Mesh, collar: float, side: int) -> tuple[Tensor, Tensor]:
    """One texture with hair, cloth and white side by side, and where each vertex lies on it."""
    side = min(side, 1024)
    tiles = [
        torch.from_numpy(strands(person.hair, person.seed, side)),
        torch.from_numpy(cloth(person.garment, person.skin, collar, person.seed, side)),
        torch.ones(3, side, WHITE),
    ]
    width = 2 * side + WHITE
    places = [torch.tensor([[1 - WHITE / 2 / width, 0.5]]).expand(plain, 2)]
    for start, mesh in enumerate((hair, bust)):
        places.append((_floats(mesh.uv) + torch.tensor([float(start), 0.0])) * torch.tensor([side / width, 1.0]))
    return torch.cat(tiles, 2).float(), torch.cat(places)


def _floats(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()
