"""Decoded pictures as a viewer is to see them: upright, with square pixels, in the range of an ordinary screen."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import torch
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from visemix.data.hdr import HDR, to_sdr

# Colours are converted without the dark cast (1 of 255) of swscale's fast path, and in one thread: its own halve the
# speed on pictures of this size.
EXACT: dict[str, Any] = {
    "threads": 1,
    "interpolation": Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP,
}
SQUEEZED = Fraction(1, 4), Fraction(4)  # pixel shapes between which a camera's lie; others are a damaged header's


def _of_unknown_kind(kinds: type[Type], value: int) -> Type:
    """A member for side data of a kind that FFmpeg has and PyAV's list lacks."""
    member = object.__new__(kinds)
    member._name_ = f"UNKNOWN_{value}"
    member._value_ = value  # type: ignore[assignment]
    return member


# PyAV wraps all side data of a frame at once, and raises at EXIF (photographs) or views (spatial video of phones).
Type._missing_ = classmethod(_of_unknown_kind)  # type: ignore[method-assign, assignment]


class Upright:
    """Decoded frames as upright RGB pictures with square pixels, all of the size and orientation of the first one.

    Args:
        first: the first frame, whose display matrix holds for all.
        shape: width of a pixel by its height, None or 0 where it is not said.
    """

    def __init__(self, first: av.VideoFrame, shape: Fraction | None) -> None:
        self._to_rgb = VideoReformatter()
        shape = shape if shape and SQUEEZED[0] <= shape <= SQUEEZED[1] else Fraction(1)
        self._stored = max(1, round(first.width * shape)), first.height
        self._turned, self._mirrored, self._upended = orientation(first)
        self.hdr = HDR.get(int(first.color_trc))
        self.first = first.width, first.height

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures that come out."""
        width, height = self._stored
        return (width, height) if self._turned else (height, width)

    def __call__(self, frame: av.VideoFrame) -> UInt8[Tensor, "3 H W"]:
        """A picture, as a view on H×W×3 memory.

        Raises:
            ValueError, av.FFmpegError: pixels of a kind that cannot be converted.
        """
        picture = self._convert(frame)
        if self._turned:
            picture = picture.transpose(1, 0, 2)
        picture = picture[:: -1 if self._upended else 1, :: -1 if self._mirrored else 1]
        return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)

    def _convert(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._stored
        if self.hdr is not None:
            # not rgb48le, whose green swscale loses when it is exact
            deep = self._to_rgb.reformat(frame, width, height, format="gbrp16le", **EXACT)
            return to_sdr(deep.to_ndarray(), self.hdr)
        return self._to_rgb.reformat(frame, width, height, format="rgb24", **EXACT).to_ndarray()


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether rows and columns change places, and then left and right, and top and bottom, for a picture to be upright.

    From the display matrix (ISO 14496-12, 6.2.2), which maps stored to shown places: x' = a·x + c·y, y' = b·x + d·y.
    Any turn that is no quarter turn counts as the nearest one.
    """
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None or len(bytes(matrix)) != 36:
        return False, False, False
    a, b, _, c, d = struct.unpack("=9i", bytes(matrix))[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0
