"""TAFT's generator: a picture of a person and a rough blend → the picture as it should look (GSmoothFace, Fig. 4)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from visemix.nn.conv import ConvBlock, init_normal


class Generator(nn.Module):
    """An encoder and a decoder over `levels` halvings of the picture, joined by added skips.

    The width starts at `base` channels and doubles with each level, up to `max_channels`. 5 379 587 parameters at
    64, 256 and 3. Fully convolutional: one set of weights serves every size.
    """

    def __init__(self, base: int = 64, max_channels: int = 256, levels: int = 3) -> None:
        super().__init__()
        self.levels = levels
        width = [min(base * 2**k, max_channels) for k in range(levels + 1)]
        steps = list(pairwise(width))
        self.first = ConvBlock(6, width[0], kernel=7)
        self.down = nn.ModuleList(ConvBlock(fine, coarse) for fine, coarse in steps)
        # No norm, no activation and no residual sum between the two: the released network's "residual" blocks are bare.
        self.res = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, coarse, 3, padding=1), nn.Conv2d(coarse, coarse, 3, padding=1))
            for _, coarse in steps
        )
        self.up = nn.ModuleList(ConvBlock(coarse, fine) for fine, coarse in steps)
        self.jump = nn.ModuleList(ConvBlock(fine, fine) for fine, _ in steps)
        self.final = nn.Conv2d(width[0], 3, 7, padding=3)
        self.apply(init_normal)

    def forward(
        self, reference: Float[Tensor, "B 3 H W"], blended: Float[Tensor, "B 3 H W"]
    ) -> Float[Tensor, "B 3 H W"]:
        """Pictures in [-1, 1], in and out. A side that 2^levels does not divide is padded by its edge and cut again."""
        height, width = blended.shape[-2:]
        step = 2**self.levels
        x = torch.cat([reference, blended], 1)
        if height % step or width % step:
            x = F.pad(x, (0, -width % step, 0, -height % step), mode="replicate")
        # Channels last in memory: a third faster on processors, and what matrix units on GPUs want.
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.avg_pool2d(down(x), 2)
        for level in reversed(range(self.levels)):
            x = F.interpolate(self.res[level](x), scale_factor=2.0, mode="nearest")
            x = self.up[level](x) + self.jump[level](skips[level])
        return torch.tanh(self.final(x))[..., :height, :width]


def run_in_dtype(
    dtype: torch.dtype, net: Generator, reference: Float[Tensor, "B 3 H W"], blended: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, "B 3 H W"]:
    """The generator with weights and pictures rounded to `dtype` for this call; the answer is float32."""
    if dtype is torch.float32:
        return net(reference, blended)
    weights = {name: p.to(dtype) for name, p in net.named_parameters()}
    return functional_call(net, weights, (reference.to(dtype), blended.to(dtype))).float()
