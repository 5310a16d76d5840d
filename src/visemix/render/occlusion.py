"""What the skin hides, by a coarse map of its depth."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from visemix.face import layout
from visemix.ops.camera import project
from visemix.render.paste import cell_side, grid
from visemix.render.rays import box_mask

BEHIND = 0.1  # decimetres behind the skin: what nobody can see


@torch.no_grad()
def occluded_by_skin(
    means: Float[Tensor, "N 3"],
    on_skin: Bool[Tensor, " M"],
    spots: Float[Tensor, "68 2"],
    camera: Float[Tensor, "3"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, " N"], Float[Tensor, "H W"]]:
    """Masks of Gaussians (N,) behind the skin and of pixels (H, W) of skin, which has holes at mouth and eyes.

    Args:
        means: of the Gaussians, in the camera's space.
        on_skin: which of the first of them are skin.
        spots: the landmarks, pixels.
        size: height and width of the picture.
    """
    skin = on_skin.nonzero()[:, 0]
    cell = cell_side(len(skin), size)
    cells = grid(size, cell)
    x, y, depth = project(means, camera).T
    row, column = ((v / cell).floor().nan_to_num().clamp(0, n - 1) for v, n in zip((y, x), cells, strict=True))
    at = (row * cells[1] + column).long()
    nearest = depth.new_full((cells[0] * cells[1],), torch.inf)
    nearest = nearest.scatter_reduce_(0, at[skin], depth[skin], "amin").view(cells)
    holes = [spots[where] / cell for where in (layout.INNER_MOUTH, layout.LEFT_EYE, layout.RIGHT_EYE)]
    open_ = torch.stack([box_mask(hole[None], cells, 0.1)[0] for hole in holes]).any(0)
    skin_here = -F.max_pool2d(-(nearest.isfinite() & ~open_).float()[None], 3, 1, 1)
    nearest = nearest.masked_fill(skin_here[0] == 0, torch.inf)
    behind = (depth > nearest.flatten()[at] + BEHIND).to(means)
    return behind, F.interpolate(skin_here[None], scale_factor=cell)[0, 0, : size[0], : size[1]]
