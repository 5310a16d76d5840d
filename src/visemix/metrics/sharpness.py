"""How sharp a picture looks, without another beside it: the share of its edges whose blur nobody would notice.

CPBD of Narvekar and Karam (IEEE Transactions on Image Processing 20(9), 2011; QoMEX 2009), as the package `cpbd` 1.0.7
computes it, whose numbers the papers' agree with; equal to it (`benchmarks/metrics.py`), written anew.

An edge that is w pixels wide is noticed as blurred with the probability 1 − exp(−(w / w_jnb)^3.6), and counts as sharp
up to 63 %. Rounded to whole percents that is w ≤ w_jnb exactly, so no edge need be followed further than that.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter, sobel
from skimage.feature import canny
from torch import Tensor

from visemix.metrics.base import METRICS, FrameBatch, NoScore, VideoMetric
from visemix.metrics.image import grey_of
from visemix.metrics.region import FaceRegion
from visemix.metrics.shown import Presentation

BLOCK = 64  # pixels a side
EDGE_SHARE = 0.002  # of a block's pixels, above which it is looked at
LOW_CONTRAST = 50  # levels; blocks up to it hide more blur
JUST_NOTICEABLE = (5, 3)  # width in pixels in blocks of low and of high contrast
BAND = slice(20, 44)  # rows of a block that are looked at first
MARGIN = 6  # pixels that a Gaussian of σ 1 and a Sobel filter reach, and one more
CERTAIN, ROUNDING = 0.2, 1e-3  # Canny's upper threshold; more than float32 can be off
FLAT_ANGLE = math.tan(math.pi / 8)  # a gradient is horizontal within 22.5°


def cpbd(plane: UInt8[Tensor, "H W"]) -> float:
    """Cumulative probability of blur detection of a grey picture, 0 (blurred) to 1; 0 where there is no edge.

    Only whole blocks of 64×64 pixels count, from the top left. Values depend on the size of the picture, and JPEG or
    noise may raise them: a number says little without the real video's beside it. Raises `ValueError` for a picture
    smaller than a block.

    >>> wave = (torch.arange(128) * torch.pi / 16).sin()
    >>> soft, hard = (100 + 100 * (wave * gain).clamp(-1, 1).round(decimals=3) for gain in (1, 9))
    >>> cpbd(hard.to(torch.uint8).expand(64, 128)), cpbd(soft.to(torch.uint8).expand(64, 128))
    (1.0, 0.0)
    """
    height, width = plane.shape
    if min(height, width) < BLOCK:
        raise ValueError(f"a picture of {width}×{height} has no whole block of {BLOCK}×{BLOCK} pixels")
    image = plane.cpu().numpy().astype(np.int16)
    rows, columns, widths = _edges(image)
    down, across = height // BLOCK, width // BLOCK
    blocks = image[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    contrast = blocks.max((1, 3)) - blocks.min((1, 3))
    limit = np.where(contrast <= LOW_CONTRAST, *JUST_NOTICEABLE)
    limit[~_edge_blocks(image, down, across)] = -1
    inside = (rows < down * BLOCK) & (columns < across * BLOCK)
    limits = limit[rows[inside] // BLOCK, columns[inside] // BLOCK]
    counted = limits > 0
    return float((widths[inside] <= limits)[counted].mean()) if counted.any() else 0.0


def _edge_blocks(image: Int[np.ndarray, "H W"], down: int, across: int) -> Bool[np.ndarray, "D A"]:
    """Where Canny's detector finds more than 0.2 % of a block's pixels on edges.

    Its thresholds are meant for pictures up to 1, not 255, so nearly every block of a real picture is one: the peaks of
    the gradient in a band of each block tell, and Canny is asked only where some block has too few.
    """
    enough = EDGE_SHARE * BLOCK**2
    if (_peaks(image, down, across) > enough).all():
        return np.ones((down, across), bool)
    edges = canny(image.astype(np.float64))[: down * BLOCK, : across * BLOCK]
    return edges.reshape(down, BLOCK, across, BLOCK).sum((1, 3)) > enough


def _peaks(image: Int[np.ndarray, "H W"], down: int, across: int) -> Int[np.ndarray, "D A"]:
    """At least how many pixels of each block Canny keeps.

    It keeps a pixel whose gradient is over what lies ahead and behind, interpolated between two of the three neighbours
    there; here it must be over all three.
    """
    blocks = image[: down * BLOCK, : across * BLOCK].astype(np.float32).reshape(down, BLOCK, -1)
    smooth = gaussian_filter(blocks[:, BAND], (0, 1, 1))
    vertical, horizontal = (sobel(smooth, axis)[:, MARGIN:-MARGIN] for axis in (1, 2))  # the band's own border is off
    gradient = np.hypot(vertical, horizontal)
    column = np.maximum(np.maximum(gradient[:, :-2], gradient[:, 1:-1]), gradient[:, 2:])
    row = np.maximum(np.maximum(gradient[..., :-2], gradient[..., 1:-1]), gradient[..., 2:])
    beside = np.maximum(column[..., :-2], column[..., 2:])
    above = np.maximum(row[:, :-2], row[:, 2:])
    inner = (slice(None), slice(1, -1), slice(1, -1))
    rivals = np.where(np.abs(horizontal[inner]) >= np.abs(vertical[inner]), beside, above)
    peaks = np.zeros((down, rivals.shape[1], across * BLOCK), bool)
    peaks[..., 1:-1] = gradient[inner] > np.maximum(rivals, CERTAIN) + ROUNDING
    peaks[..., :MARGIN] = peaks[..., -MARGIN:] = False
    return peaks.reshape(down, -1, across, BLOCK).sum((1, 3))


def _edges(image: Int[np.ndarray, "H W"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and widths of the points on edges that run top to bottom; widths above 5 may be given as less."""
    rows, columns = np.nonzero(_thinned(_strength(image))[1:-1, 1:-1])
    rows, columns = rows + 1, columns + 1
    gradient_x = image[rows, columns + 1] - image[rows, columns - 1]
    gradient_y = image[rows + 1, columns] - image[rows - 1, columns]
    level = np.abs(gradient_y) < FLAT_ANGLE * np.abs(gradient_x)
    used = level | (gradient_x == 0)  # no gradient in x at all counts as an angle of 0, as in the original
    rows, columns, falling = rows[used], columns[used], gradient_x[used] < 0
    reach = max(JUST_NOTICEABLE)
    padded = np.pad(image, ((0, 0), (reach + 2, reach + 2)), mode="edge")  # flat beyond the border: a run ends there
    signed = np.where(falling, -1, 1)[:, None]
    line, centre, steps = rows[:, None], columns[:, None] + reach + 2, np.arange(1, reach + 1)
    width = np.full(len(rows), 2)
    for side in (-1, 1):
        rises = side * signed * (padded[line, centre + side * (steps + 1)] - padded[line, centre + side * steps])
        width += np.logical_and.accumulate(rises > 0, axis=1).sum(1)
    return rows, columns, width


def _strength(image: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Square of the Sobel response to vertical edges, times 64; 0 where it is not over twice the root of its mean."""
    padded = np.pad(image, 1, mode="symmetric")
    across = padded[:, :-2] - padded[:, 2:]
    response = (across[:-2] + 2 * across[1:-1] + across[2:]).astype(np.int32)
    strength = response * response
    threshold = 2 * math.sqrt(strength.mean(dtype=np.float64) / 64)
    strength[strength <= 64 * threshold] = 0
    return strength


def _thinned(strength: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """True where the strength is above both neighbours' in a row, or both in a column."""
    padded = np.pad(strength, 1)
    row, column = padded[1:-1], padded[:, 1:-1]
    in_row = (strength > row[:, :-2]) & (strength > row[:, 2:])
    in_column = (strength > column[:-2]) & (strength > column[2:])
    return in_row | in_column


@METRICS.register("cpbd")
class Cpbd(VideoMetric):
    """Sharpness of the fake alone by the cumulative probability of blur detection (Narvekar and Karam 2011): compare it
    with the real video's."""

    unit = "1"
    higher_is_better = True
    variant = "grey (BT.601, 8 bits) at native resolution, as the package cpbd 1.0.7"
    shown = Presentation(23, headline=True)

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Sharpness of each of the fake's frames. Raises `NoScore` for pictures smaller than a block."""
        planes = grey_of(fake)
        height, width = planes.shape[-2:]
        if min(height, width) < BLOCK:
            raise NoScore(f"a picture of {width}×{height} has no whole block of {BLOCK}×{BLOCK} pixels")
        return torch.tensor([[cpbd(plane)] for plane in planes], dtype=torch.float64)


@METRICS.register("cpbd_face")
def cpbd_face() -> VideoMetric:
    """Sharpness of the fake's face region."""
    return FaceRegion(Cpbd())
