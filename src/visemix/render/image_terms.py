"""Image losses between a painted picture and the footage."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.face import layout
from visemix.ops.image import BLOCK, edge_strength, ssim_blocks
from visemix.render.rays import box_mask
from visemix.types import Label, Losses


def differences(
    made: Float[Tensor, "3 H W"],
    true: Float[Tensor, "3 H W"],
    transmittance: Float[Tensor, "1 H W"],
    spots: Float[Tensor, "68 2"],
    labels: UInt8[Tensor, "H W"],
    mouth_weight: float,
) -> Losses:
    """Loss terms: absolute error of "pixels", `mouth_weight` times more around the mouth; "ssim", 1 − SSIM of blocks;
    "edges", the difference of their strength in such blocks, but not in the mouth; "clear", what is painted where
    nobody stands.

    Args:
        transmittance: the share of the place that shows through what is painted.
        spots: the landmarks, pixels.
    """
    size = (true.shape[-2], true.shape[-1])
    mouth = F.avg_pool2d(box_mask(spots[None, layout.MOUTH], size, 0.2).float(), 5, 1, 2)[0]
    person = (labels[None, None] != Label.BACKGROUND).float()
    person = F.max_pool2d(F.max_pool2d(person, 4, ceil_mode=True), 5, 1, 2)
    clear = 1 - F.interpolate(person, size)[0]
    teeth = box_mask(spots[None, layout.INNER_MOUTH], size, 0.1).float()
    weaker = (edge_strength(made) - edge_strength(true)).abs()
    return {
        "pixels": ((made - true).abs() * (1 + mouth_weight * mouth)).mean(),
        "ssim": 1 - ssim_blocks(made, true),
        "edges": (weaker * (1 - F.max_pool2d(teeth, BLOCK, ceil_mode=True)[0])).mean(),
        "clear": ((1 - transmittance) * clear).mean(),
    }
