"""Convolutional blocks that several networks share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Convolution that keeps the size of the picture, layer norm over (C, H, W), LeakyReLU.

    The norm has one scale and one shift for each channel, which makes it a `GroupNorm` of a single group: the same
    numbers as `nn.LayerNorm`, without fixing the size of the picture, and faster.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, slope: float = 0.1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(1, outputs)
        self.act = nn.LeakyReLU(slope, inplace=True)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Activations of the same height and width."""
        return self.act(self.norm(self.conv(x)))


def init_normal(module: nn.Module, std: float = 0.02) -> None:
    """Convolution and linear weights N(0, std²), their biases 0; for `net.apply`. Norms are left alone."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
