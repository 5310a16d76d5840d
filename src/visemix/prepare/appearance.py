"""Light and skin colour of a clip, from its pixels, once the mesh is where the face is.

Colour = albedo × light (spherical harmonics, `face.shading`), seen in a few dozen frames: the light first, under the
model's own albedo; then each vertex's albedo as the robust mean of colour / light over the frames that see it; and once
more. What no frame sees is filled from its neighbours, its mirror image, and the model's colours in the person's tone.
Albedo and light leave one factor per channel free: here the light on the face is white and one on average.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.face.shading import AMBIENT, harmonics, normals
from visemix.face.topology import parts
from visemix.ops.camera import project, square_camera
from visemix.ops.raster import rasterise
from visemix.ops.rotation import matrix, pose_points
from visemix.prepare.geometry import Geometry, farthest_points
from visemix.prepare.problem import FractionCallback
from visemix.types import Label

Frames = Callable[[list[int]], UInt8[Tensor, "n 3 H W"]]
Labels = Callable[[list[int]], UInt8[Tensor, "n H W"]]  # 0 where there is nobody

BEHIND = 0.03  # decimetres: how far behind the drawn surface a vertex still counts as on it
GRAZING = 0.25  # cosine: what is seen flatter than this is not believed
EDGE = 0.006  # of the picture's side: so near to what is not the person, a pixel is a mixture of both
DARK = 0.15  # of the mean light: what is darker says nothing about albedo


@dataclass(frozen=True)
class VertexObservations:
    """What some frames show of each vertex."""

    frames: Int[Tensor, " K"]
    colour: Float[Tensor, "K N 3"]  # of the picture, RGB in [0, 1]
    weight: Float[Tensor, "K N"]  # cosine to the viewer; 0 where hidden
    harmonics: Float[Tensor, "K N 9"]


@torch.no_grad()
def fit_appearance(
    face: FaceModel,
    geometry: Geometry,
    present: Bool[Tensor, " T"],
    size: int,
    frames: Frames,
    count: int = 32,
    rounds: int = 2,
    cut: int | None = None,
    labels: Labels | None = None,
    step: FractionCallback = lambda done: None,
) -> tuple[Float[Tensor, "T 27"], Float[Tensor, "N 3"]]:
    """Light of every frame and the clip's albedo, from at most `count` frames; `frames(indices)` gives pictures.

    None of the frames from `cut` on is looked at: their light goes on as that of the last ones before. Where `labels`
    tell the person from the place, only the person's pixels count: ears and neck of a mesh stand out a little.
    """
    sight = sample_vertices(
        face, geometry, choose_frames(face, geometry, present[:cut], count), size, frames, labels, step
    )
    skin = torch.zeros(len(face.mean), dtype=torch.bool)
    skin[face.triangles[face.skin].flatten()] = True
    albedo, light = face.albedo, torch.zeros(0)
    for _ in range(rounds):
        light = _white(solve_light(sight, albedo, skin), sight)
        seen, trust = solve_albedo(sight, light)
        albedo = fill_unseen(face, seen, trust, skin)
    return interpolate_light(light, sight.frames, len(present)), albedo


def choose_frames(face: FaceModel, geometry: Geometry, present: Tensor, count: int) -> Int[Tensor, " K"]:
    """Numbers of at most `count` frames: half evenly over time, half as different as can be in expression and turn."""
    known = present.nonzero()[:, 0]
    even = known[torch.linspace(0, len(known) - 1, max(min(count // 2, len(known)), 1)).round().long()]
    moved = face.expression[face.landmark_ids].flatten(0, 1) @ geometry.expression[known].T
    different = farthest_points(torch.cat([moved.T, geometry.pose[known, :3]], -1), min(count - count // 2, len(known)))
    return torch.cat([even, known[different]]).unique()


def sample_vertices(
    face: FaceModel,
    geometry: Geometry,
    chosen: Int[Tensor, " K"],
    size: int,
    frames: Frames,
    labels: Labels | None,
    step: FractionCallback,
) -> VertexObservations:
    """`VertexObservations` of the chosen frames; vertices hidden (by depth, or by another part's triangle) weigh 0."""
    margin = max(round(EDGE * size), 1)
    part = torch.from_numpy(parts(face.triangles.numpy(), len(face.mean))).long()
    shape = face.mean + face.identity @ geometry.identity
    camera = square_camera(size)
    rows: list[tuple[Tensor, ...]] = []
    for done, k in enumerate(chosen.tolist(), 1):
        own = shape + face.expression @ geometry.expression[k]
        placed = pose_points(own, geometry.pose[k])
        facing = normals(own, face.triangles) @ matrix(geometry.pose[k, :3]).T
        points = project(placed, camera)
        picture = frames([k])[0].float() / 255
        cosine = (facing * F.normalize(torch.tensor([0.0, 0.0, 10.0]) - placed, dim=-1)).sum(-1)
        drawn = rasterise(points[None], face.triangles, points.new_zeros(1, len(points), 0), (size, size))
        x, y = points[:, 0].floor().long(), points[:, 1].floor().long()
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        x, y = x.clamp(0, size - 1), y.clamp(0, size - 1)
        triangle = drawn.triangle[0, y, x]
        same = part[face.triangles[triangle.clamp(min=0), 0]] == part
        front = points[:, 2] < drawn.depth[0, 0, y, x] + BEHIND
        if labels is not None:
            nobody = (labels([k]) == Label.BACKGROUND).float().unsqueeze(1)
            inside &= F.max_pool2d(nobody, 2 * margin + 1, 1, margin)[0, 0, y, x] == 0
        visible = inside & (triangle >= 0) & same & front & (cosine > GRAZING)
        grid = (points[:, :2] / size * 2 - 1)[None, None]
        colour = F.grid_sample(picture[None], grid, align_corners=False)[0, :, 0].T
        rows.append((colour, cosine * visible, harmonics(facing)))
        step(done / len(chosen))
    return VertexObservations(chosen, *(torch.stack(column) for column in zip(*rows, strict=True)))


def solve_light(
    sight: VertexObservations, albedo: Float[Tensor, "N 3"], skin: Bool[Tensor, " N"]
) -> Float[Tensor, "K 3 9"]:
    """Spherical-harmonics light of each frame, the ambient part included, by linear least squares over the visible
    skin: drawn towards the clip's common light, outliers dropped once."""
    colour, basis, weight = sight.colour[:, skin], sight.harmonics[:, skin], sight.weight[:, skin]
    plain = torch.zeros(3, 9)
    plain[:, 0] = AMBIENT
    light = plain.expand(len(colour), 3, 9)
    for trusted in (weight, None):
        if trusted is None:
            off = (albedo[skin] * (basis @ light.mT) - colour).abs().amax(-1)
            limit = 2.5 * off[weight > 0].median()
            trusted = weight * (off < limit)
        design = basis.unsqueeze(2) * albedo[skin].unsqueeze(-1)  # (K, V, 3, 9)
        left = torch.einsum("kv,kvci,kvcj->kcij", trusted, design, design)
        right = torch.einsum("kv,kvci,kvc->kci", trusted, design, colour)
        mass = left.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None].clamp(min=1e-6)
        eye = torch.eye(9)
        common = _towards(left.sum(0), right.sum(0), plain, 0.003 * mass.sum(0) * eye)
        light = _towards(left, right, common.expand_as(right), 0.03 * mass * eye)
    return light


def _towards(left: Tensor, right: Tensor, prior: Tensor, pull: Tensor) -> Tensor:
    full = right + (pull @ prior.unsqueeze(-1)).squeeze(-1)
    return torch.linalg.solve(left + pull, full)


def _white(light: Tensor, sight: VertexObservations) -> Tensor:
    """Light scaled per channel so that what is seen is lit by one on average."""
    shade = sight.harmonics @ light.mT
    mean = (shade * sight.weight.unsqueeze(-1)).sum((0, 1)) / sight.weight.sum().clamp(min=1e-6)
    return light / mean.clamp(min=1e-3).unsqueeze(-1)


def solve_albedo(
    sight: VertexObservations, light: Float[Tensor, "K 3 9"]
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, " N"]]:
    """Colour / light, averaged over the frames near the median; and how much each vertex was seen."""
    shade = sight.harmonics @ light.mT  # (K, N, 3)
    weight = sight.weight * (shade.amin(-1) > DARK)
    each = sight.colour / shade.clamp(min=DARK)
    median = each.masked_fill((weight <= 0).unsqueeze(-1), torch.nan).nanmedian(0).values.nan_to_num()
    weight = weight.unsqueeze(-1) * torch.exp(-(((each - median) / 0.06) ** 2))
    total = weight.sum(0)
    return (weight * each).sum(0) / total.clamp(min=1e-6), total.amin(-1)


def fill_unseen(
    face: FaceModel, seen: Float[Tensor, "N 3"], trust: Float[Tensor, " N"], skin: Bool[Tensor, " N"]
) -> Float[Tensor, "N 3"]:
    """A colour for every vertex; unseen ones take that of neighbours, mirror image or model, in this tone."""
    part = torch.from_numpy(parts(face.triangles.numpy(), len(seen))).long()
    inside = _in_mouth(face, part, skin)
    weight = (trust / (trust + 0.5)).masked_fill(inside, 0)
    mirror = torch.from_numpy(_mirror(face.mean.numpy()))
    there = weight[mirror] * 0.05
    wanted = seen * weight.unsqueeze(-1) + seen[mirror] * there.unsqueeze(-1)
    prior = _toned(face.albedo, seen, trust, weight, skin, inside)
    edges = torch.cat([face.triangles[:, [0, 1]], face.triangles[:, [1, 2]], face.triangles[:, [2, 0]]]).numpy()
    weak = 1e-3 + inside.float()
    system = sparse.diags((weight + there + weak).double().numpy()) + 0.1 * _laplacian(edges, len(seen))
    solved = splu(system.tocsc()).solve((wanted + weak.unsqueeze(-1) * prior).double().numpy())
    return torch.from_numpy(solved).float().clamp(0, 1)


def _in_mouth(face: FaceModel, part: Tensor, skin: Tensor) -> Tensor:
    """Vertices of parts that no skin belongs to and that are nearer to the mouth than to the eyes: teeth, tongue. The
    real ones are not quite where the mesh has them, so the pixels there are lips and darkness as often."""
    count = int(part.max()) + 1
    size = torch.zeros(count).index_add(0, part, torch.ones(len(part)))
    skinny = torch.zeros(count).index_add(0, part, skin.float()) > 0
    centre = torch.zeros(count, 3).index_add(0, part, face.mean) / size.unsqueeze(-1)
    points = face.mean[face.landmark_ids]
    places = torch.stack([points[where].mean(0) for where in (layout.MOUTH, layout.LEFT_EYE, layout.RIGHT_EYE)])
    return (~skinny & (torch.cdist(centre, places).argmin(1) == 0))[part]


def _toned(generic: Tensor, seen: Tensor, trust: Tensor, weight: Tensor, skin: Tensor, inside: Tensor) -> Tensor:
    """The model's albedo in the skin's tone, the more so the more it is like skin. What is inside the mouth takes the
    tint of the whitest teeth that were seen: of the others' colour one cannot tell how much was lip, and the skin's own
    tint, which is make-up and tan as much as white balance, would dye them. Unseen, it keeps its tint. It is as bright
    as teeth mostly are in the shade of this mouth: the brightest would shine out of it."""
    ratio = seen / generic.clamp(min=0.02)
    believed = skin & (weight > 0.3)
    if not believed.any():
        return generic
    tone = ratio[believed].median(0).values.clamp(0.1, 3)
    alike = torch.exp(-((generic - generic[skin].median(0).values).square().sum(-1) / 0.15**2)).unsqueeze(-1)
    toned = generic * (1 + alike * (tone - 1))
    teeth = inside & (trust > 0.2) & (generic.mean(-1) > 0.5)
    level = tone.mean()  # a dark picture's teeth are dark
    within = level.expand(3)
    if teeth.any():
        white = ratio[teeth].amin(-1)  # lips are red, the dark between is dark
        best = ratio[teeth][white >= torch.quantile(white, 0.9)].median(0).values
        bright = torch.quantile(ratio[teeth].mean(-1), 0.75).clamp(0.6 * level, 1.1 * level)
        within = bright * (best / best.mean()).clamp(0.93, 1.07)
    return torch.where(inside.unsqueeze(-1), generic * within, toned)


def interpolate_light(light: Float[Tensor, "K 3 9"], frames: Int[Tensor, " K"], count: int) -> Float[Tensor, "T 27"]:
    """Light of all `count` frames as Deep3D's gamma (the ambient part taken off), from that of the chosen ones by a
    Gaussian kernel as wide as their spacing."""
    gamma = light.clone()
    gamma[..., 0] -= AMBIENT
    far = torch.arange(count)[:, None] - frames
    width = max(1.5 * (int(frames[-1]) + 1) / len(frames), 3.0)
    near = -0.5 * (far / width) ** 2
    return near.softmax(-1) @ gamma.flatten(1)


def _mirror(mean: np.ndarray) -> np.ndarray:
    """The vertex nearest to each one's mirror image."""
    nearest: np.ndarray = cKDTree(mean).query(mean * np.array([-1, 1, 1]))[1]
    return nearest


def _laplacian(edges: np.ndarray, count: int) -> sparse.csr_matrix:
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = sparse.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count)).tocsr()
    graph.data[:] = 1
    return sparse.diags(np.asarray(graph.sum(1))[:, 0]) - graph
