"""The square crop of a talking head: where it lies in the picture, cutting it out and pasting it back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

# Room around the landmarks, in sizes of the face: they end at the brows, and hair and shoulders belong to the head.
ABOVE, BELOW, BESIDE = 0.6, 0.25, 0.4
NEEDED = 0.05  # the little that must stay around the face where the picture is too small for the rest
FEATHER = 0.04  # of the side: how wide a pasted crop fades in


@dataclass(frozen=True)
class Box:
    """A square in whole pixels of the source picture; it may reach over the picture's edge."""

    x: int
    y: int
    side: int

    def overlaps(self, height: int, width: int) -> bool:
        """Whether some of it lies in a picture of that size."""
        return -self.side < self.x < width and -self.side < self.y < height

    def to_crop(self, points: Float[np.ndarray, "*n 2"], size: int) -> Float[np.ndarray, "*n 2"]:
        """Points of the source picture, in pixels of the crop at `size`."""
        scaled: np.ndarray = (points - np.array([self.x, self.y])) * (size / self.side)
        return scaled.astype(np.float32)


def head_box(landmarks: Float[np.ndarray, "T 68 2"], height: int, width: int) -> Box:
    """A square that holds head and shoulders in every frame: the landmarks' box over the whole clip, and room around.

    It lies within the picture where the face leaves it the choice; a close-up of 512² as talking-head data sets have
    them is taken nearly whole.
    """
    face = float(np.median((landmarks.max(1) - landmarks.min(1)).max(-1)))
    low, high = landmarks.min((0, 1)), landmarks.max((0, 1))
    wide_low = low - face * np.array([BESIDE, ABOVE])
    wide_high = high + face * np.array([BESIDE, BELOW])
    needed = float((high - low).max()) + 2 * NEEDED * face
    side = max(float((wide_high - wide_low).max()), 2.0)
    side = max(min(side, height, width), needed)
    side = 2 * round(side / 2)
    x, y = ((wide_low + wide_high) / 2 - side / 2).tolist()
    face_x, face_y = ((low + high) / 2 - side / 2).tolist()
    return Box(_within(x, face_x, side, width), _within(y, face_y, side, height), side)


def _within(start: float, centred: float, side: int, room: int) -> int:
    """Start of the box along one axis: moved into the picture where it fits, else with the face in its middle."""
    return round(min(max(start, 0), room - side) if side <= room else centred)


def crop_picture(picture: UInt8[Tensor, "3 H W"], box: Box, size: int) -> UInt8[Tensor, "3 size size"]:
    """The box out of a picture, at `size`. Beyond the picture its edge is repeated."""
    rows = torch.arange(box.y, box.y + box.side).clamp(0, picture.shape[1] - 1)
    columns = torch.arange(box.x, box.x + box.side).clamp(0, picture.shape[2] - 1)
    inside = picture[:, rows][:, :, columns] if _reaches_over(picture, box) else picture[_slices(box)]
    return _resize(inside[None], size)[0]


def paste(picture: UInt8[Tensor, "3 H W"], crop: Float[Tensor, "3 size size"], box: Box) -> UInt8[Tensor, "3 H W"]:
    """The picture with the crop (RGB in [0, 1]) in the box's place; its edge fades in, except at the picture's own."""
    height, width = picture.shape[1:]
    large = _resize(crop[None].float(), box.side)[0].clamp(0, 1)
    top, left = max(box.y, 0), max(box.x, 0)
    bottom, right = min(box.y + box.side, height), min(box.x + box.side, width)
    here = (slice(None), slice(top, bottom), slice(left, right))
    large = large[:, top - box.y : bottom - box.y, left - box.x : right - box.x]
    fade = max(1.0, FEATHER * box.side)
    rows = _ramp(bottom - top, fade, top > 0, bottom < height)
    columns = _ramp(right - left, fade, left > 0, right < width)
    alpha = (rows[:, None] * columns).to(large)
    under = picture[here].to(large.device).float() / 255
    out = picture.to(large.device, copy=True)
    out[here] = torch.lerp(under, large, alpha).mul(255).round().to(torch.uint8)
    return out


def _ramp(length: int, fade: float, first: bool, last: bool) -> Float[Tensor, " length"]:
    """0 to 1 from an end that lies inside the picture; 1 throughout from one at its edge."""
    at = torch.arange(length) + 0.5
    weight = torch.ones(length)
    if first:
        weight = torch.minimum(weight, at / fade)
    if last:
        weight = torch.minimum(weight, (length - at) / fade)
    return weight


def _resize(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True)


def _reaches_over(picture: Tensor, box: Box) -> bool:
    height, width = picture.shape[1:]
    return box.x < 0 or box.y < 0 or box.x + box.side > width or box.y + box.side > height


def _slices(box: Box) -> tuple[slice, slice, slice]:
    return slice(None), slice(box.y, box.y + box.side), slice(box.x, box.x + box.side)
