"""A painted face over the footage: which part of the picture is ours, and a seam that does not show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

FINEST = 64  # cells a side, at most, of the grid on which a face's outline is known
DENSE = 0.65  # cells a side for each square root of a place: few enough that no cell of the skin is empty
FADE = 2  # cells of the finest grid over which a pasted face fades in, on either side of the middle
CHIN = 2  # of its cells below the driven jaw that are painted too: a jaw that moves takes its shadow along
MATCH = 3  # cells: how far around a place colours are compared along the seam
REACH = MATCH + 2  # cells from a mask to where nothing is known of its seam any more
LIGHT = 0.2  # of full brightness: what differs by more than that is not lit differently, but another thing


def cell_side(places: int, size: tuple[int, int]) -> int:
    """Pixels a side of a cell, of the grid on which so many places on the skin leave no holes."""
    return math.ceil(size[0] / min(FINEST, max(2, round(DENSE * places**0.5))))


def grid(size: tuple[int, int], cell: int) -> tuple[int, int]:
    """Rows and columns of cells that cover a picture; the last ones may reach beyond it."""
    return math.ceil(size[0] / cell), math.ceil(size[1] / cell)


def paste(
    draw: Callable[[slice, slice], Float[Tensor, "3 h w"]],
    footage: Float[Tensor, "3 H W"],
    places: Sequence[Float[Tensor, "M 2"]],
    lower: Bool[Tensor, " M"],
    kept: Bool[Tensor, " M"],
) -> Float[Tensor, "3 H W"]:
    """A face over the footage. `draw` paints rows and columns of the picture and is asked for no more than can be seen;
    `places` are those of the skin in the picture (pixels), as it was filmed and as it is driven."""
    size = (footage.shape[-2], footage.shape[-1])
    cell = cell_side(len(lower), size)
    mask = torch.stack([face_mask(points, lower, kept, size, cell) for points in places]).amax(0)
    part = mask_bounds(mask)
    if part is None:
        return footage
    down, across = (slice(cells.start * cell, cells.stop * cell) for cells in part)
    picture = footage.clone()
    here = footage[:, down, across]
    picture[:, down, across] = composite_over_footage(draw(down, across), here, mask[..., part[0], part[1]], cell)
    return picture


def face_mask(
    points: Float[Tensor, "M 2"], lower: Bool[Tensor, " M"], kept: Bool[Tensor, " M"], size: tuple[int, int], cell: int
) -> Float[Tensor, "1 1 h w"]:
    """Where a face is to be painted, as cells with 1 or 0, from the places (pixels) of its skin; not the `kept` ones.

    It stays inside the skin as far as it fades, so that hair and ears are the footage's; only the chin it goes below.
    """
    height, width = grid(size, cell)
    cells = (points / cell).floor().long()
    inside = ((cells >= 0) & (cells < points.new_tensor([width, height]))).all(-1) & ~kept
    number = (cells[:, 1] * width + cells[:, 0])[inside]
    layers = points.new_zeros(2, height * width)
    layers[lower[inside].long(), number] = 1
    upper, jaw = layers.view(2, 1, 1, height, width)
    fade, chin = (round(cells * height / FINEST) for cells in (FADE, CHIN))
    narrow = -F.max_pool2d(-F.pad(torch.maximum(upper, jaw), (fade, fade, 0, 0)), (1, 2 * fade + 1), 1)
    inner = -F.max_pool2d(-F.pad(narrow, (0, 0, fade, fade)), (2 * fade + 1, 1), 1)
    below = F.max_pool2d(F.pad(narrow * jaw, (0, 0, chin, 0)), (chin + 1, 1), 1)
    return torch.maximum(inner, below)


def mask_bounds(mask: Float[Tensor, "1 1 h w"]) -> tuple[slice, slice] | None:
    """Rows and columns of cells outside which a mask pastes nothing and asks nothing; None where it is empty."""
    ends = []
    for across in (3, 2):
        some = mask.amax(across)[0, 0].nonzero()[:, 0].tolist()
        if not some:
            return None
        ends.append(slice(max(0, some[0] - REACH), some[-1] + 1 + REACH))
    return ends[0], ends[1]


def composite_over_footage(
    made: Float[Tensor, "3 H W"], footage: Float[Tensor, "3 H W"], mask: Float[Tensor, "1 1 h w"], cell: int
) -> Float[Tensor, "3 H W"]:
    """`made` inside the mask and the footage outside, its colours drawn towards the footage's along the seam.

    The difference of the two pictures just outside the mask, spread inwards by a normalised blur, is added to `made`:
    the light of the footage goes on across the seam, and the middle of the face keeps what was painted. Where the two
    show other things, hair and skin, nothing is to be learnt of the light.
    """
    ring = F.max_pool2d(mask, 3, 1, 1) * (1 - -F.max_pool2d(-mask, 3, 1, 1))
    difference = F.avg_pool2d((footage - made)[None], cell, ceil_mode=True)
    alike = ring * torch.exp(-(difference / LIGHT).square().mean(1, keepdim=True))
    spread = _blur(torch.cat([difference * alike, alike, ring], 1), MATCH)
    near = spread[:, 4:] / (spread[:, 4:] + 0.05)
    shift = near * spread[:, :3] / (spread[:, 3:4] + 0.003)
    share = _blur(mask, 1)
    fine = F.interpolate(torch.cat([shift * share, share], 1), scale_factor=cell, mode="bilinear")[0]
    fine = fine[:, : footage.shape[-2], : footage.shape[-1]]
    return torch.lerp(footage, made + fine[:3], fine[3:])


def _blur(cells: Float[Tensor, "1 C h w"], reach: int) -> Float[Tensor, "1 C h w"]:
    """Two box filters one after the other, edges repeated."""
    for _ in range(2):
        cells = F.avg_pool2d(F.pad(cells, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)
    return cells
