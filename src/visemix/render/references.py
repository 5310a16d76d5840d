"""Reference pictures: for every frame the one whose mouth is most like the wanted one, moved to where it is."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from visemix.face import FaceModel, posed
from visemix.face.layout import MOUTH
from visemix.ops.camera import project
from visemix.ops.raster import rasterise
from visemix.types import Gallery, Subject

TURN = 0.3  # decimetres that the mouth's points weigh a head turned by one radian


def nearest_reference(
    face: FaceModel, expression: Float[Tensor, "B T E"], subject: Subject, gallery: Gallery
) -> Float[Tensor, "B T 3 H W"]:
    """The chosen picture of each frame, its skin warped to the driven face; around the face as it is."""
    index = choose_reference(face, expression, subject.pose, gallery)
    people = torch.arange(len(index), device=index.device)[:, None]
    pictures = gallery.pictures[people, index].flatten(0, 1).to(expression.dtype) / 255
    there = replace(subject, pose=gallery.pose[people, index])
    camera = subject.camera.unsqueeze(1).expand(-1, index.shape[1], 3)
    source = project(posed(face, gallery.expression[people, index], there), camera).flatten(0, 1)[..., :2]
    target = project(posed(face, expression, subject), camera).flatten(0, 1)
    height, width = pictures.shape[-2:]
    grid = 2 * source / source.new_tensor([width, height]) - 1
    seen = rasterise(target, face.closed_skin, grid, (height, width))
    moved = F.grid_sample(pictures, seen.attributes.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    return torch.where(seen.coverage > 0, moved, pictures).unflatten(0, index.shape)


def choose_reference(
    face: FaceModel, expression: Float[Tensor, "B T E"], pose: Float[Tensor, "B T 6"], gallery: Gallery
) -> Int[Tensor, "B T"]:
    """For each frame the number of the picture whose mouth is shaped most alike (mean distance of its 20 points in the
    face's own frame), on a head that is turned alike."""
    basis = face.expression[face.landmark_ids[MOUTH]].flatten(0, 1)
    wanted, have = (values @ basis.mT for values in (expression, gallery.expression))
    mouths = (wanted[:, :, None] - have[:, None]).unflatten(-1, (-1, 3)).norm(dim=-1).mean(-1)
    turns = (pose[:, :, None, :3] - gallery.pose[:, None, :, :3]).norm(dim=-1)
    return (mouths + TURN * turns).argmin(-1)
