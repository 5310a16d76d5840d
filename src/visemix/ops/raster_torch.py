"""The rasteriser in plain torch, for any device: a z-buffer over the pixels in every triangle's bounding box.

Written for speed on a processor. Coordinates are rows, not columns: taking elements out of one contiguous row, and
adding into one, are the only gathers and scatters that torch does at memory speed. Comparisons stay floats for the same
reason: choosing by a boolean mask costs ten times as much as dividing by it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The z-buffer holds depth and triangle in one integer: the bits of a positive float32 sort as the float does, so the
# least of depth << 32 | triangle is the nearest triangle. An empty pixel is the largest finite depth and triangle -1.
EMPTY = 0x7F7FFFFF << 32 | 0xFFFFFFFF


def draw(
    points: Float[Tensor, "B N 3"],
    triangles: Int[Tensor, "F 3"],
    attributes: Float[Tensor, "B N C"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"], Int[Tensor, "B H W"]]:
    """Attributes, depth and triangle of each pixel: what `ops.raster.rasterise` promises."""
    (height, width), (batch, vertices, channels) = size, attributes.shape
    rows = points.flatten(0, 1).T.contiguous()
    with torch.no_grad():
        corners = triangles.T.contiguous()
        triangle = torch.cat([_nearest(*part, size) for part in _parts(points, corners)])
        item, y, x = (triangle >= 0).nonzero().unbind(1)
        pixel = (item * height + y).mul_(width).add_(x)
        seen = triangle.flatten().index_select(0, pixel)
        ids = torch.cat([(item * vertices).add_(corner.index_select(0, seen)) for corner in corners])
        x, y = (at.to(rows.dtype).add_(0.5) for at in (x, y))
    found = _interpolate(rows, attributes.flatten(0, 1).T.contiguous(), ids, x, y)  # (C + 1, pixels)
    picture = found.new_zeros(channels + 1, batch * height * width).scatter(1, pixel.expand(channels + 1, -1), found)
    picture = picture.view(channels + 1, batch, height, width).transpose(0, 1)
    return picture[:, :channels], picture[:, channels:], triangle


def rasterise_mask(points: Float[Tensor, "B N 3"], triangles: Int[Tensor, "F 3"], size: tuple[int, int]) -> Tensor:
    """(B, 1, H, W): 1 where a triangle is hit, 0 elsewhere."""
    corners = triangles.T.contiguous()
    parts = [_covered(*part, size) for part in _parts(points, corners)]
    return torch.cat(parts).unsqueeze(1)


def _parts(points: Tensor, corners: Tensor) -> list[tuple[Tensor, int]]:
    """Corner positions (3 axes, 3 corners, items × F) of a few items at a time, and how many they are."""
    parts = []
    for some in points.detach().split(_step(points.device)):
        offset = torch.arange(len(some), device=some.device)[:, None] * some.shape[1]
        ids = (corners[:, None] + offset).flatten()
        parts.append((some.flatten(0, 1).T.contiguous().index_select(1, ids).view(3, 3, -1), len(some)))
    return parts


def _step(device: torch.device) -> int:
    """Items at a time: one fits a processor's cache best, a GPU wants more to do."""
    return 1 if device.type == "cpu" else 16


def _nearest(xyz: Tensor, items: int, size: tuple[int, int]) -> Tensor:
    """Nearest triangle at each pixel, (items, H, W), -1 where there is none."""
    face, pixel, (wa, wb, wc), inside, (za, zb, zc) = _candidates(xyz, items, size, depth=True)
    depth = (wa + wb).add_(wc).div_(wa.mul_(za).add_(wb.mul_(zb)).add_(wc.mul_(zc)))
    depth.div_(inside).abs_()  # infinite outside; 0/0 in a triangle without area; both lie behind EMPTY
    key = depth.float().view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(face)
    best = torch.full((items * size[0] * size[1],), EMPTY, device=xyz.device).scatter_reduce_(0, pixel, key, "amin")
    return best.int().long().view(items, *size)


def _covered(xyz: Tensor, items: int, size: tuple[int, int]) -> Tensor:
    _, pixel, (wa, wb, wc), inside, _ = _candidates(xyz, items, size, depth=False)
    hit = (wa + wb).add_(wc).sign_().abs_().mul_(inside)
    return hit.new_zeros(items * size[0] * size[1]).scatter_reduce_(0, pixel, hit, "amax").view(items, *size)


def _candidates(
    xyz: Tensor, items: int, size: tuple[int, int], *, depth: bool
) -> tuple[Tensor, Tensor, list[Tensor], Tensor, list[Tensor]]:
    """Every pixel centre in the bounding box of a triangle.

    Triangle, pixel, the three edge functions (twice the signed area opposite each corner), 1.0 where the centre is
    inside (edges included) else 0.0, and, if `depth`, the inverse depth of the corners.
    """
    height, width = size
    x, y, z = xyz
    left, right = _span(x, width)
    top, bottom = _span(y, height)
    wide = right - left + 1
    drawn = (left <= right) & (top <= bottom) & (z.amin(0) > 0)
    count = (wide * (bottom - top + 1)).where(drawn, 0).long()
    total = int(count.sum())
    face = torch.repeat_interleave(count, output_size=total)
    first = count.cumsum(0) - count
    k = torch.arange(total, device=xyz.device).sub_(first.index_select(0, face))
    # float32 counts the pixels of a box exactly up to 2²³
    k = k.to(x.dtype if height * width < 2**22 else torch.float64)

    table = torch.cat([torch.stack([left, top, wide]), x, y, *([z.reciprocal()] if depth else [])])
    left, top, wide, ax, bx, cx, ay, by, cy, *inverse = table.index_select(1, face)
    row = (k + 0.5).div_(wide).floor_()
    column = k.sub_(row * wide).add_(left)
    row.add_(top)
    pixel = (row * width).add_(column).long()
    if items > 1:
        item = face // (xyz.shape[2] // items)
        pixel += item * (height * width)
        face = face - item * (xyz.shape[2] // items)

    # Corners relative to the centre, then a product less a product: two triangles that share an edge get the same
    # number with opposite signs, so that no pixel on it falls between them.
    column.add_(0.5)
    row.add_(0.5)
    ax, bx, cx = (c.sub_(column) for c in (ax, bx, cx))
    ay, by, cy = (c.sub_(row) for c in (ay, by, cy))
    wa, wb, wc = edges = [(bx * cy).sub_(cx * by), (cx * ay).sub_(ax * cy), (ax * by).sub_(bx * ay)]
    least, most = torch.minimum(wa, wb).minimum(wc), torch.maximum(wa, wb).maximum(wc)
    inside = least.maximum(most.neg_()).ge_(0)  # all of one sign, whichever way the triangle turns
    return face, pixel, edges, inside, inverse


def _span(at: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """First and last pixel whose centre lies between the least and the greatest of three coordinates."""
    return (at.amin(0) - 0.5).ceil_().clamp_(min=0), (at.amax(0) - 0.5).floor_().clamp_(max=end - 1)


def _interpolate(points: Tensor, attributes: Tensor, ids: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Attributes and depth at pixel centres (x, y), as rows; the only part that gradients go through."""
    # A torch.autograd.Function with the gradient worked out by hand was no faster than this.
    (ax, bx, cx), (ay, by, cy), z = points.index_select(1, ids).view(3, 3, -1)
    ax, bx, cx = ax - x, bx - x, cx - x
    ay, by, cy = ay - y, by - y, cy - y
    # perspective-correct weights: the edge functions over depth, scaled to a sum of one
    weight = torch.stack([bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay]) / z
    weight = weight / weight.sum(0)
    corner = attributes.index_select(1, ids).view(len(attributes), *z.shape)
    return torch.cat([(corner * weight).sum(1), (z * weight).sum(0, keepdim=True)])
