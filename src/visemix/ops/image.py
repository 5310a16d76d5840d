"""Pictures as tensors: growing and shrinking masks with the ellipses that OpenCV draws; likeness of blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.types import VisemixError


def ellipse(width: int, height: int) -> Bool[Tensor, "h w"]:
    """The footprint of an ellipse, `height` rows by `width` columns, pixel for pixel OpenCV's `MORPH_ELLIPSE`.

    >>> ellipse(5, 3).int()
    tensor([[0, 0, 1, 0, 0],
            [1, 1, 1, 1, 1],
            [0, 0, 1, 0, 0]], dtype=torch.int32)
    """
    reach = _reach(width, height)
    offset = torch.arange(width) - width // 2
    rows = torch.tensor(reach[:0:-1] + reach)
    return offset.abs() <= rows[:, None]


def dilate(image: Float[Tensor, "B 1 H W"], width: int, height: int) -> Float[Tensor, "B 1 H W"]:
    """The largest value under an ellipse around each pixel: a mask grown by width // 2 and height // 2 pixels.

    Both sides are odd numbers of pixels. What lies outside the picture counts for nothing, as in OpenCV.
    Differentiable; equal largest values share the gradient.
    """
    # kornia convolves with a one-hot kernel per footprint pixel: 441 pictures for 21 × 21, four times as slow.
    reach = _reach(width, height)
    x, y = width // 2, height // 2
    rows, columns = image.shape[-2:]
    padded = F.pad(image, (x, x, y, y), value=-torch.inf)
    run = padded[..., x : x + columns]
    out, r = None, 0
    for dy in range(y, -1, -1):  # from the tips to the waist, the runs only get longer
        while r < reach[dy]:
            r += 1
            run = torch.maximum(run, padded[..., x - r : x - r + columns])
            run = torch.maximum(run, padded[..., x + r : x + r + columns])
        for top in {y - dy, y + dy}:
            row = run[..., top : top + rows, :]
            out = row if out is None else torch.maximum(out, row)
    assert out is not None
    return out


def erode(image: Float[Tensor, "B 1 H W"], width: int, height: int) -> Float[Tensor, "B 1 H W"]:
    """The smallest value under an ellipse around each pixel. The border of the picture does not eat into the mask."""
    return -dilate(-image, width, height)


def close(image: Float[Tensor, "B 1 H W"], width: int, height: int) -> Float[Tensor, "B 1 H W"]:
    """Fill gaps and holes that the ellipse does not fit into: `erode` of `dilate`."""
    return erode(dilate(image, width, height), width, height)


BLOCK = 8


def ssim_blocks(a: Float[Tensor, "3 H W"], b: Float[Tensor, "3 H W"]) -> Float[Tensor, ""]:
    """Mean structural similarity (Wang et al. 2004) of blocks of 8² pixels, whose grid is drawn from torch's generator.

    A loss: differentiable, and a tenth of the price of a window around every pixel, which it meets in the mean. RGB in
    [0, 1]; sides of 16 pixels at least. The number of the paper is `ops.ssim`'s.
    """
    rows, columns = ((side // BLOCK - 1) * BLOCK for side in a.shape[-2:])
    top, left = torch.randint(BLOCK, (2,)).tolist()
    ours, theirs = (p[:, top : top + rows, left : left + columns] for p in (a, b))
    means = [F.avg_pool2d(p, BLOCK) for p in (ours, theirs, ours * ours, theirs * theirs, ours * theirs)]
    mean_a, mean_b, square_a, square_b, product = means
    power = mean_a * mean_a + mean_b * mean_b
    variance = square_a + square_b - power
    covariance = product - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2) / ((power + c1) * (variance + c2))).mean()


def edge_strength(picture: Float[Tensor, "3 H W"]) -> Float[Tensor, "h w"]:
    """How strong the edges are in each block of 8² pixels: root mean square of the grey picture's Laplacian.

    Differentiable. It tells how sharp a picture is there, not where its edges lie: two that differ by less than
    anybody can predict (a strand of hair, a pore) may have the same.
    """
    grey = picture.mean(0)
    sides = grey[1:-1, 2:] + grey[1:-1, :-2] + grey[2:, 1:-1] + grey[:-2, 1:-1]
    power = F.pad((sides - 4 * grey[1:-1, 1:-1]).square(), (1, 1, 1, 1))
    return (F.avg_pool2d(power[None, None], BLOCK, ceil_mode=True)[0, 0] + 1e-5).sqrt()  # has a slope at nothing, too


def _reach(width: int, height: int) -> list[int]:
    """Pixels to either side of the middle column, for the middle row and each one further out."""
    if width < 1 or height < 1 or width % 2 == 0 or height % 2 == 0:
        raise VisemixError(f"an ellipse of {width}×{height} pixels has no middle pixel; give two odd numbers")
    x, y = width // 2, height // 2
    return [round(x * ((y * y - dy * dy) / max(y * y, 1)) ** 0.5) for dy in range(y + 1)]
