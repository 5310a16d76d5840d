"""Conventions that others fixed: the 257-vector, the 68 points, and the alignment to 224 × 224.

Sources: Deep3DFaceRecon (Deng et al. 2019) for the vector, the five points and the alignment; iBUG (300-W) for the 68.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.ops.camera import square_camera
from visemix.types import TensorStruct

COEFFICIENTS = {"identity": 80, "expression": 64, "texture": 80, "angles": 3, "light": 27, "translation": 3}

JAW = slice(0, 17)  # from image left to image right, chin at 8
LEFT_BROW, RIGHT_BROW = slice(17, 22), slice(22, 27)  # left and right of the picture, not of the subject
NOSE_BRIDGE, NOSE_BASE, NOSE = slice(27, 31), slice(31, 36), slice(27, 36)  # the tip is 30
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
OUTER_MOUTH, INNER_MOUTH, MOUTH = slice(48, 60), slice(60, 68), slice(48, 68)
NO_JAW = slice(17, 68)
UPPER_LIP, LOWER_LIP = (61, 62, 63), (67, 66, 65)  # the inner lips, point above point

SIDE = 224  # pixels of the aligned picture
FIVE_POINTS = torch.tensor(  # left eye, right eye, nose tip, mouth corners of the standard face, decimetres
    [
        [-0.311487, 0.290361, 0.133780],
        [0.309799, 0.289720, 0.131795],
        [0.003253, -0.046179, 0.552442],
        [-0.252169, -0.381339, 0.224057],
        [0.248466, -0.381282, 0.222358],
    ]
)
PIXELS_PER_DECIMETRE = 102.0  # of the aligned face


def split_coefficients(vector: Float[Tensor, "*b 257"]) -> dict[str, Tensor]:
    """The reconstruction network's vector by name: angles in radians, translation in decimetres, light RGB-major.

    >>> {name: part.shape[-1] for name, part in split_coefficients(torch.zeros(257)).items()}["light"]
    27
    """
    return dict(zip(COEFFICIENTS, vector.split(list(COEFFICIENTS.values()), -1), strict=True))


def join_coefficients(parts: dict[str, Tensor]) -> Float[Tensor, "*b 257"]:
    """The 257-vector of its parts by name: the inverse of `split_coefficients`; every part must be there."""
    return torch.cat([parts[name] for name in COEFFICIENTS], -1)


def five_points(landmarks: Float[Tensor, "*b 68 C"]) -> Float[Tensor, "*b 5 C"]:
    """Centre of either eye (from its two corners), tip of the nose, corners of the mouth."""
    eyes = [landmarks[..., [a, b], :].mean(-2) for a, b in ((36, 39), (42, 45))]
    return torch.stack([*eyes, *(landmarks[..., k, :] for k in (30, 48, 54))], -2)


def lip_distance(landmarks: Float[Tensor, "*b 68 3"]) -> Float[Tensor, "*b 3"]:
    """Signed gap from the lower inner lip up to the upper at three places, in the unit of the points; below 0 where
    they overlap."""
    return landmarks[..., UPPER_LIP, 1] - landmarks[..., LOWER_LIP, 1]


def lips_apart(landmarks: Float[Tensor, "*b 68 C"]) -> Float[Tensor, "*b"]:
    """How far a mouth is open: the distance between the middles of the inner lips, in the unit of the points.

    It has no sign: lips that overlap are apart, too.

    >>> points = torch.zeros(68, 2)
    >>> points[66] = torch.tensor([3.0, 4.0])
    >>> lips_apart(points)
    tensor(5.)
    """
    return (landmarks[..., UPPER_LIP[1], :] - landmarks[..., LOWER_LIP[1], :]).norm(dim=-1)


@dataclass(frozen=True)
class Alignment(TensorStruct):
    """Where in a picture the 224 × 224 crop lies that the reconstruction network wants.

    Points follow the house: pixels, y down, pixel centres at i + 0.5. The official code calls a pixel's centre i.
    """

    scale: Float[Tensor, "*b"]  # how much the picture is enlarged
    origin: Float[Tensor, "*b 2"]  # the point of the picture that lands in the middle of the crop
    size: tuple[int, int]  # (H, W) of the picture

    def to_crop(self, points: Float[Tensor, "*b N 2"]) -> Float[Tensor, "*b N 2"]:
        """Points of the picture, in pixels of the crop: exact, where the official crop rounds to whole pixels."""
        return (points - self.origin[..., None, :]) * self.scale[..., None, None] + SIDE / 2

    def from_crop(self, points: Float[Tensor, "*b N 2"]) -> Float[Tensor, "*b N 2"]:
        """Points of the crop, in pixels of the picture: the inverse of `to_crop`."""
        return (points - SIDE / 2) / self.scale[..., None, None] + self.origin[..., None, :]

    def camera(self) -> Float[Tensor, "*b 3"]:
        """The crop's camera seen in the whole picture: focal length and centre in its pixels."""
        focal = square_camera(SIDE)[0].to(self.scale) / self.scale
        return torch.cat([focal.unsqueeze(-1), self.origin], -1)

    def transform_params(self) -> Float[Tensor, "*b 5"]:
        """(W, H, s, t0, t1) as the official files hold them: y up, pixel centres at i."""
        height, width = self.size
        sides = torch.tensor([width, height], device=self.scale.device, dtype=self.scale.dtype)
        x, y = self.origin.unbind(-1)
        numbers = torch.stack([self.scale, x - 0.5, height - y - 0.5], -1)
        return torch.cat([sides.expand(*self.scale.shape, 2), numbers], -1)

    def integer_crop(self) -> tuple[int, int, int, int]:
        """(w, h, left, up): resize to w × h, then cut 224 × 224 from (left, up), as the official code truncates it. A
        size that is whole but for the last digits of least squares, which differ between processors, is whole.

        Off the exact mapping by half a pixel of the crop on average, up to 2.5 pixels of a 512² picture. One picture.
        """
        width, height, s, t0, t1 = self.transform_params().double().tolist()
        w, h = _truncated(width * s), _truncated(height * s)
        left = _truncated(w / 2 - SIDE / 2 + (t0 - width / 2) * s)
        up = _truncated(h / 2 - SIDE / 2 + (height / 2 - t1) * s)
        return w, h, left, up


def align_224(landmarks: Float[Tensor, "*b 68 2"], size: tuple[int, int]) -> Alignment:
    """The crop that brings these landmarks nearest to the standard face: least squares over five points.

    The eight unknowns of an affine map from the standard points to the picture; its mean row length is the scale.
    """
    upright = five_points(landmarks) * torch.tensor([1.0, -1.0], device=landmarks.device, dtype=landmarks.dtype)
    ones = torch.cat([FIVE_POINTS, torch.ones(5, 1)], -1).double()
    affine = torch.linalg.pinv(ones).to(landmarks) @ upright  # (4, 2): rows of the map, then its offset
    scale = affine[..., :3, :].norm(dim=-2).mean(-1)
    origin = affine[..., 3, :] * torch.tensor([1.0, -1.0], device=landmarks.device, dtype=landmarks.dtype)
    return Alignment(PIXELS_PER_DECIMETRE / scale, origin, size)


def _truncated(value: float) -> int:
    """
    >>> _truncated(611.9999999999998), _truncated(611.99)
    (612, 611)
    """
    return int(round(value, 6))
