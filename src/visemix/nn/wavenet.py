"""Gated convolutions over time that listen to a condition, and the condition made from sound."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

CONDITION = 64  # channels of what is heard


class WaveNet(nn.Module):
    """Residual gated convolutions under a condition, their skips summed (van den Oord et al. 2016, as Glow-TTS has it).

    Nothing is causal: a row sees `reach` rows to either side.

    Args:
        hidden: channels in, through and out.
        condition: channels of the condition, which has as many rows as the input.
        growth: layer i is dilated by growth^i: 1 never, 2 as the paper says.
    """

    def __init__(self, hidden: int, condition: int, layers: int, kernel: int, growth: int = 1) -> None:
        super().__init__()
        dilations = [growth**i for i in range(layers)]
        self.hidden, self.reach = hidden, sum(d * (kernel // 2) for d in dilations)
        self.condition = weight_norm(nn.Conv1d(condition, 2 * hidden * layers, 1))
        self.gates = nn.ModuleList(
            weight_norm(nn.Conv1d(hidden, 2 * hidden, kernel, dilation=d, padding=d * (kernel // 2))) for d in dilations
        )
        self.outs = nn.ModuleList(
            weight_norm(nn.Conv1d(hidden, hidden if last else 2 * hidden, 1))
            for last in [*[False] * (layers - 1), True]
        )

    def forward(self, x: Float[Tensor, "B H R"], condition: Float[Tensor, "B G R"]) -> Float[Tensor, "B H R"]:
        heard = self.condition(condition).chunk(len(self.gates), 1)
        skips = torch.zeros_like(x)
        for gate, out, sound in zip(self.gates, self.outs, heard, strict=True):
            signal, opening = (gate(x) + sound).chunk(2, 1)
            more = out(signal.tanh() * opening.sigmoid())
            if more.shape[1] == self.hidden:  # the last layer has no residual
                return skips + more
            x, skips = x + more[:, : self.hidden], skips + more[:, self.hidden :]
        return skips


class Condition(nn.Sequential):
    """Audio features, one row a frame, as what a `WaveNet` listens to: two convolutions, two frames to either side."""

    reach = 2

    def __init__(self, audio_dim: int, width: int = CONDITION) -> None:
        super().__init__(
            nn.Conv1d(audio_dim, width, 3, padding=1, bias=False),
            nn.BatchNorm1d(width),
            nn.GELU(),
            nn.Conv1d(width, width, 3, padding=1, bias=False),
        )
