"""Initial Gaussians of a person: on the skin in its colour, hair and torso where the labels see them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.face import FaceModel
from visemix.face.shading import posed
from visemix.ops.camera import DISTANCE, project
from visemix.ops.raster import rasterise_mask
from visemix.ops.rotation import matrix
from visemix.render.base import FrameDataset
from visemix.render.bindings import Bindings
from visemix.render.skinning import undo_torso_motion
from visemix.types import Label, Subject

INIT_FRAMES = 9  # frames that are looked at, from the furthest left to the furthest right turn of the head
EARS = (0, 16)  # of the 68 landmarks: hair begins on the plane through them
DEEPER, BODY = 0.1, 1.2  # decimetres: behind the ears, and the torso behind the head
SMALLEST, LARGEST = 1.0, 4.0  # pixels
ON, OPEN = 1.4, 0.0  # opacity before the sigmoid: of skin, and of what the labels only roughly place
HIDDEN_LOGIT = -6.0


@dataclass(frozen=True)
class GaussianInit:
    """Initial values of the Gaussians, a column each: face, hair, torso."""

    places: Float[Tensor, "3 M"]  # of hair, in the head's frame, and torso, in the camera's; decimetres
    size: Float[Tensor, " N"]  # decimetres, or units of a triangle
    colour: Float[Tensor, "3 N"]
    opacity: Float[Tensor, " N"]  # before a sigmoid

    @staticmethod
    def untrained(face: FaceModel, bindings: Bindings, hair: int, torso: int) -> GaussianInit:
        """Initial values before any person is seen: the face model's own colours, and neither hair nor torso."""
        free = hair + torso
        skin = _on_face(bindings, face.albedo)
        return GaussianInit(
            places=torch.tensor([0.0, 0.0, -2.0])[:, None].repeat(1, free),
            size=torch.cat([bindings.spread, torch.full((free,), 0.05)]),
            colour=torch.cat([skin, torch.full((3, free), 0.5)], 1),
            opacity=torch.cat([torch.full((skin.shape[1],), ON), torch.full((free,), HIDDEN_LOGIT)]),
        )


def init_gaussians(
    face: FaceModel,
    bindings: Bindings,
    counts: tuple[int, int],
    pose: Float[Tensor, "T 6"],
    frames: FrameDataset,
    seed: int,
) -> GaussianInit:
    """`GaussianInit` of a person: skin from the bindings, hair and torso back-projected from labelled pixels of frames.

    `counts` are those of hair and torso; `frames[k]` is the frame with `pose[k]`, with its picture.
    """
    g = torch.Generator().manual_seed(seed)
    order = pose[:, 1].argsort()
    picks = order[torch.linspace(0, len(pose) - 1, min(INIT_FRAMES, len(pose))).round().long()].tolist()
    body = DISTANCE + BODY - float(pose[:, 5].mean())
    found: dict[int, list[tuple[Tensor, ...]]] = {Label.HEAD: [], Label.TORSO: []}
    for k in picks:
        subject = frames[k].subject
        assert subject.labels is not None
        labels = subject.labels[0, 0]
        masks = {Label.HEAD: (labels == Label.HEAD) & ~_covered(face, subject), Label.TORSO: labels == Label.TORSO}
        for label, count in zip((Label.HEAD, Label.TORSO), counts, strict=True):
            share = -(-count // len(picks))
            depth = body if label == Label.TORSO else None
            found[label].append(_back_project(face, subject, masks[label], share, count, depth, g))
    plain = GaussianInit.untrained(face, bindings, *counts)
    skin = _on_face(bindings, frames[picks[0]].subject.albedo[0])
    parts = [(plain.places[:, :0], bindings.spread, skin, plain.opacity[: skin.shape[1]])]
    for label, count in zip((Label.HEAD, Label.TORSO), counts, strict=True):
        rows = [torch.cat(column, -1) for column in zip(*found[label], strict=True)]
        chosen = torch.randperm(rows[0].shape[1], generator=g)[:count]
        here = [row[..., chosen] for row in rows]
        missing = count - len(chosen)  # no pixel of it was seen: they stay as good as nowhere
        nothing = (plain.places[:, :missing], plain.size[:missing], plain.colour[:, :missing])
        here = [torch.cat(pair, -1) for pair in zip(here, nothing, strict=True)]
        opacity = torch.cat([torch.full((len(chosen),), OPEN), torch.full((missing,), HIDDEN_LOGIT)])
        parts.append((here[0], here[1], here[2], opacity))
    return GaussianInit(*(torch.cat(column, -1) for column in zip(*parts, strict=True)))


def _on_face(bindings: Bindings, albedo: Float[Tensor, "N 3"]) -> Float[Tensor, "3 M"]:
    corners = albedo[bindings.vertices[bindings.corners]]
    return (corners * bindings.weights[..., None]).sum(0).mT.clamp(0, 1)


def _covered(face: FaceModel, subject: Subject) -> Bool[Tensor, "H W"]:
    assert subject.footage is not None
    size = (subject.footage.shape[-2], subject.footage.shape[-1])
    points = project(posed(face, subject.expression, subject)[:, 0], subject.camera)
    return rasterise_mask(points, face.closed_skin, size)[0, 0] > 0


def _back_project(
    face: FaceModel,
    subject: Subject,
    mask: Bool[Tensor, "H W"],
    many: int,
    count: int,
    body: float | None,
    g: torch.Generator,
) -> tuple[Float[Tensor, "3 n"], Float[Tensor, " n"], Float[Tensor, "3 n"]]:
    """`many` pixels of a mask as places, sizes (decimetres) and colours; with `body` at that distance from the camera,
    else on the head's plane through the ears."""
    assert subject.footage is not None
    spots = mask.nonzero()
    if not len(spots):
        return torch.zeros(3, 0), torch.zeros(0), torch.zeros(3, 0)
    focal, centre_x, centre_y = subject.camera[0].tolist()
    row, column = spots[torch.randint(len(spots), (many,), generator=g)].T
    x, y = (at + torch.rand(many, generator=g) for at in (column, row))
    ray = torch.stack([(x - centre_x) / focal, (centre_y - y) / focal, -torch.ones(many)])
    eye = torch.tensor([0.0, 0.0, DISTANCE])[:, None]
    if body is None:
        turn, shift = matrix(subject.pose[0, 0, :3]), subject.pose[0, 0, 3:, None]
        ray, eye = turn.mT @ ray, turn.mT @ (eye - shift)
        rest = face.vertices(subject.identity, torch.zeros_like(subject.expression))[0, 0]
        plane = rest[face.landmark_ids[list(EARS)], 2].mean() - DEEPER
        far = (plane - eye[2]) / ray[2]
    else:
        far = torch.full((many,), body)
    apart = math.sqrt(len(spots) / count / math.pi) * (1 if body is None else math.sqrt(3))  # the torso moves little
    size = far / focal * min(max(apart, SMALLEST), LARGEST)
    places = eye + ray * far
    if body is not None and subject.torso is not None:
        places = undo_torso_motion(places, subject.torso[0, 0])
    return places, size, subject.footage[0, 0][:, row, column]
