"""Gaussians → pixels in plain torch, for any device: the twin that says what the fast kernels compute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from visemix.ops.camera import DISTANCE, project

NEAR = 0.1  # decimetres before the viewer: what is nearer is not drawn
BLUR = 0.1  # px², added to both variances: a Gaussian is never thinner than a pixel's sampling can bear
MARGIN = 0.15  # of the picture's side: farther outside, the projection's derivative is taken at this border
CUT, CLAMP = 1 / 255, 0.99  # a weaker contribution is none; no Gaussian hides more than this of what is behind it
SIDE = 16  # pixels
ELEMENTS = 2**22  # of a Gaussian at a pixel, at a time: bounds the memory


@dataclass(frozen=True)
class Footprints:
    """Gaussians as the picture sees them, in pixels. Coordinates are rows: a processor is three times as fast so."""

    centre: Float[Tensor, "2 N"]
    conic: Float[Tensor, "3 N"]  # xx, xy and yy of the inverse covariance
    variance: Float[Tensor, "2 N"]  # along x and y; no gradient
    depth: Float[Tensor, " N"]  # decimetres; no gradient
    seen: Bool[Tensor, " N"]  # far enough before the viewer, opaque enough, and finite


def footprints(
    means: Float[Tensor, "N 3"],
    factors: Float[Tensor, "N 3 3"],
    opacity: Float[Tensor, " N"],
    camera: Float[Tensor, "3"],
    size: tuple[int, int],
) -> Footprints:
    """Project as EWA splatting does (Zwicker et al. 2002, eq. 25 to 31): the camera is linear about each mean."""
    ahead = DISTANCE - means.detach()[:, 2] >= NEAR
    # a mean that is not ahead is replaced, so that no gradient divides by zero
    x, y, depth = project(means.where(ahead[:, None], 0), camera).T.contiguous()
    (height, width), (focal, middle, centre) = size, camera
    across = x.clamp(-MARGIN * width, (1 + MARGIN) * width) - middle
    down = y.clamp(-MARGIN * height, (1 + MARGIN) * height) - centre
    right, up, near = factors.permute(1, 2, 0).contiguous()
    u, v = (focal * right + across * near) / depth, (down * near - focal * up) / depth
    xx, xy, yy = u.square().sum(0), (u * v).sum(0), v.square().sum(0)
    # |u|² |v|² - (u·v)² = |u × v|², which does not cancel where a Gaussian is long and thin
    determinant = torch.linalg.cross(u, v, dim=0).square().sum(0) + BLUR * (xx + yy) + BLUR**2
    variance = torch.stack([xx, yy]) + BLUR
    conic = torch.stack([variance[1], -xy, variance[0]]) / determinant
    finite = (x + y + determinant).detach().isfinite()
    seen = ahead & finite & (opacity.detach() >= CUT)
    return Footprints(torch.stack([x, y]), conic, variance.detach(), depth.detach(), seen)


def draw(
    prints: Footprints, opacity: Float[Tensor, " N"], colour: Float[Tensor, "N 3"], size: tuple[int, int]
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "1 H W"]]:
    """Image and transmittance, as `ops.splat.splat` promises."""
    height, width = size
    across, down = -(-width // SIDE), -(-height // SIDE)
    gaussians = torch.cat([prints.centre, prints.conic, opacity[None], colour.T]).T
    gaussians = F.pad(gaussians, (0, 0, 0, 1))  # the last one is nothing: it fills the shorter lists
    tiles, lists = [], []
    for tile, members in _lists(prints, opacity.detach(), across, down):
        tiles.append(tile)
        corner = torch.stack([tile % across, tile // across], -1) * SIDE
        # keeps the lists only: what a tile's pixels compute is computed again on the way back
        lists.append(checkpoint(_compose, gaussians, members, corner, use_reentrant=False, preserve_rng_state=False))
    picture = gaussians.new_zeros(across * down, 4, SIDE, SIDE)
    picture[:, 3] = 1
    picture = picture.index_copy(0, torch.cat(tiles), torch.cat(lists)) if tiles else picture + gaussians[:0].sum()
    picture = picture.view(down, across, 4, SIDE, SIDE).permute(2, 0, 3, 1, 4).reshape(4, down * SIDE, across * SIDE)
    return picture[:3, :height, :width], picture[3:, :height, :width]


def _compose(gaussians: Tensor, members: Int[Tensor, "L K"], corner: Int[Tensor, "L 2"]) -> Float[Tensor, "L 4 S S"]:
    """Each tile's picture: its members, front to back, at each of its pixels."""
    x, y, xx, xy, yy, opacity, *colour = gaussians[members].unsqueeze(-1).unbind(2)  # (L, K, 1) each
    pixel = torch.arange(SIDE**2, device=members.device)
    dx = (corner[:, None, :1] + pixel % SIDE + 0.5) - x  # (L, K, pixels)
    dy = (corner[:, None, 1:] + pixel // SIDE + 0.5) - y
    alpha = opacity * torch.exp(-0.5 * (xx * dx**2 + yy * dy**2) - xy * dx * dy)
    alpha = alpha.where(alpha >= CUT, 0).clamp(max=CLAMP)
    through = (1 - alpha).cumprod(1)
    weight = alpha * F.pad(through[:, :-1], (0, 0, 1, 0), value=1.0)
    image = torch.cat(colour, -1).transpose(1, 2) @ weight
    return torch.cat([image, through[:, -1:]], 1).unflatten(-1, (SIDE, SIDE))


@torch.no_grad()
def _lists(prints: Footprints, opacity: Tensor, across: int, down: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Some tiles at a time: their numbers (L,), and the Gaussians that reach each, front to back (L, K)."""
    order = prints.depth.argsort(stable=True)
    order = order[prints.seen[order]]
    # where it is not cut, it lies inside an ellipse, and that inside a box
    reach = (2 * prints.variance * (opacity / CUT).log())[:, order].sqrt()
    centre = prints.centre[:, order]
    last = torch.tensor([[across], [down]], device=order.device) - 1
    first = ((centre - reach - 0.5) / SIDE).floor().clamp(min=0).minimum(last + 1).long()
    final = ((centre + reach - 0.5) / SIDE).floor().minimum(last).clamp(min=-1).long()
    wide, high = (final - first + 1).clamp(min=0)
    gaussian = torch.repeat_interleave(wide * high)
    k = torch.arange(len(gaussian), device=order.device) - ((wide * high).cumsum(0) - wide * high)[gaussian]
    tile = (first[1, gaussian] + k // wide[gaussian]) * across + first[0, gaussian] + k % wide[gaussian]
    tile, by_tile = tile.sort(stable=True)
    members = F.pad(order[gaussian[by_tile]], (0, 1), value=len(opacity))
    count = tile.bincount(minlength=across * down)
    start = count.cumsum(0) - count
    fullest = count.argsort(descending=True, stable=True)[: int((count > 0).sum())]
    while len(fullest):
        longest = int(count[fullest[0]])
        some, fullest = fullest.tensor_split([max(1, ELEMENTS // (longest * SIDE**2))])
        k = torch.arange(longest, device=order.device)
        yield some, members[(start[some, None] + k).where(k < count[some, None], -1)]
