"""Sampling of the pixels that a NeRF is trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.face.layout import MOUTH
from visemix.face.shading import landmarks_2d, posed
from visemix.ops.camera import project
from visemix.ops.raster import rasterise
from visemix.types import Label, Subject

COARSE = 128  # pixels: the side of a picture that is enough to know where the skin is
SHARES = {"all": 0.2, "torso": 0.15, "head": 0.45, "mouth": 0.2}  # of the rays


@dataclass(frozen=True)
class Regions:
    """Masks of the parts of each frame, which overlap, and the distance of the skin."""

    torso: Bool[Tensor, "F H W"]
    head: Bool[Tensor, "F H W"]
    face: Bool[Tensor, "F H W"]  # a box around the 68 landmarks: what may move
    mouth: Bool[Tensor, "F H W"]  # a box around the 20 of the mouth
    surface: Float[Tensor, "F H W"]  # decimetres from the camera to the fitted face's skin; 0 where it is not seen

    @staticmethod
    @torch.no_grad()
    def from_subject(face: FaceModel, subject: Subject, labels: UInt8[Tensor, "B T H W"]) -> Regions:
        """Regions by the footage's own fitted face, and by its labels."""
        spots = landmarks_2d(face, subject.expression, subject).flatten(0, 1)
        flat = labels.flatten(0, 1)
        size = (flat.shape[-2], flat.shape[-1])
        boxes = (box_mask(spots, size, 0.1), box_mask(spots[:, MOUTH], size, 0.3))
        return Regions(flat == Label.TORSO, flat == Label.HEAD, *boxes, skin_distance(face, subject, size))


def skin_distance(face: FaceModel, subject: Subject, size: tuple[int, int]) -> Float[Tensor, "F H W"]:
    """Distance (decimetres, roughly) along each pixel's ray to the fitted face's skin, its mouth and eyes closed."""
    known = (min(size[0], COARSE), min(size[1], COARSE))
    cameras = subject.camera[:, None].expand(-1, subject.frames, 3) * (known[0] / size[0])
    points = project(posed(face, subject.expression, subject), cameras).flatten(0, 1)
    depth = rasterise(points, face.closed_skin, points.new_zeros(*points.shape[:2], 0), known).depth
    focal, centre_x, centre_y = (value[:, None, None] for value in cameras.flatten(0, 1).unbind(-1))
    centres = pixel_centres(*known, depth.device).view(*known, 2)
    aside = ((centres[..., 0] - centre_x) / focal).square() + ((centres[..., 1] - centre_y) / focal).square()
    return F.interpolate(depth * (1 + aside[:, None]).sqrt(), size, mode="nearest")[:, 0]


def box_mask(points: Float[Tensor, "F N 2"], size: tuple[int, int], margin: float) -> Bool[Tensor, "F H W"]:
    """Mask of the pixels in the box around each frame's points, wider by `margin` of its own sides all around: where a
    loss looks. Scores are taken in `metrics.region.mouth_box`, one rectangle for a whole clip."""
    low, high = points.amin(1), points.amax(1)
    slack = margin * (high - low)
    (left, top), (right, bottom) = ((p[..., None]).unbind(1) for p in (low - slack, high + slack))
    x = torch.arange(size[1], device=points.device) + 0.5
    y = torch.arange(size[0], device=points.device) + 0.5
    return ((y >= top) & (y <= bottom))[:, :, None] & ((x >= left) & (x <= right))[:, None, :]


def sample_pixels(regions: Regions, count: int) -> tuple[Float[Tensor, "F M 2"], Int[Tensor, "F M"]]:
    """`count` pixels of each frame, more of them where it matters: their centres (x, y), and their numbers.

    A region that is not there leaves its share to all of the picture.
    """
    weights = torch.full(regions.head.shape, 1.0, device=regions.head.device).flatten(1)
    weights = weights * (SHARES["all"] / weights.shape[1])
    for name in ("torso", "head", "mouth"):
        region = getattr(regions, name).flatten(1).float()
        weights = weights + SHARES[name] * region / region.sum(1, keepdim=True).clamp(min=1)
    index = torch.multinomial(weights, count, replacement=True)
    width = regions.head.shape[-1]
    return torch.stack([index % width + 0.5, index // width + 0.5], -1), index


def pixel_centres(height: int, width: int, device: torch.device) -> Float[Tensor, "M 2"]:
    """(x, y) of every pixel, row by row."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device) + 0.5, torch.arange(width, device=device) + 0.5, indexing="ij"
    )
    return torch.stack([x, y], -1).view(-1, 2)


def repeat_per_frame(values: Tensor, frames: int) -> Tensor:
    """Values of a clip, once for each of its frames, all clips' frames in a row."""
    return values[:, None].expand(-1, frames, *values.shape[1:]).flatten(0, 1)


def image_size(pictures: Float[Tensor, "F C H W"]) -> tuple[int, int]:
    """Height and width, pixels."""
    return pictures.shape[-2], pictures.shape[-1]


def gather_pixels(pictures: Float[Tensor, "F C H W"], index: Int[Tensor, "F M"]) -> Float[Tensor, "F M C"]:
    """The values of M pixels of each picture, which `index` counts row by row."""
    return pictures.flatten(2).gather(2, index[:, None].expand(-1, pictures.shape[1], -1)).mT


def mouth_patch(
    face: FaceModel, subject: Subject, side: int, size: tuple[int, int]
) -> tuple[Float[Tensor, "1 M 2"], Int[Tensor, "1 M"]]:
    """The pixels of a square around the mouth of the first frame, moved into the picture where it would leave it."""
    mouth = landmarks_2d(face, subject.expression[:1, :1], first_frame(subject))[0, 0, MOUTH].mean(0)
    height, width = size
    left, top = (
        int((centre - side / 2).round().clamp(0, max(0, extent - side)))
        for centre, extent in zip(mouth, (width, height), strict=True)
    )
    y = torch.arange(top, top + side, device=mouth.device).clamp(max=height - 1)
    x = torch.arange(left, left + side, device=mouth.device).clamp(max=width - 1)
    index = (y[:, None] * width + x).view(1, -1)
    return torch.stack([index % width + 0.5, index // width + 0.5], -1), index


def first_frame(subject: Subject) -> Subject:
    """The first frame of the first clip alone (B = T = 1)."""
    one = subject.at(torch.zeros(1, dtype=torch.long, device=subject.pose.device))
    return replace(one.map(lambda t: t[:1]), speaker=subject.speaker[:1])
