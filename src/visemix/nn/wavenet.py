"""Gated convolutions over time under a condition, and the condition made from sound."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

CONDITION = 64  # channels of what is heard


class Conv(nn.Conv1d):
    """Convolution that keeps the number of rows; one sees `kernel // 2`, times `dilation`, to either side, or twice as
    many back."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, dilation: int = 1, bias: bool = True, causal: bool = False
    ) -> None:
        sides = dilation * (kernel // 2)
        super().__init__(channels, out, kernel, dilation=dilation, bias=bias, padding=0 if causal else sides)
        self.context = (2 * sides, 0) if causal else (sides, sides)

    def forward(self, x: Float[Tensor, "B C R"]) -> Float[Tensor, "B D R"]:
        """As many rows as `x` has, zeros standing beyond its ends."""
        return super().forward(x if self.padding[0] else F.pad(x, self.context))


class WaveNet(nn.Module):
    """Residual gated convolutions under a condition, their skips summed (van den Oord et al. 2016, as Glow-TTS has it).

    A row depends on `context` rows before and after it.

    Args:
        hidden: channels in, through and out.
        condition: channels of the condition, which has as many rows as the input.
        growth: layer i is dilated by growth^i: 1 never, 2 as the paper says.
        causal: whether a row sees only what was before it.
    """

    def __init__(
        self, hidden: int, condition: int, layers: int, kernel: int, growth: int = 1, *, causal: bool = False
    ) -> None:
        super().__init__()
        dilations = [growth**i for i in range(layers)]
        gates = [Conv(hidden, 2 * hidden, kernel, dilation=d, causal=causal) for d in dilations]
        self.hidden, self.context = hidden, total_context(*[gate.context for gate in gates])
        self.condition = weight_norm(nn.Conv1d(condition, 2 * hidden * layers, 1))
        self.gates = nn.ModuleList(weight_norm(gate) for gate in gates)
        self.outs = nn.ModuleList(
            weight_norm(nn.Conv1d(hidden, hidden if last else 2 * hidden, 1))
            for last in [*[False] * (layers - 1), True]
        )

    def forward(self, x: Float[Tensor, "B H R"], condition: Float[Tensor, "B G R"]) -> Float[Tensor, "B H R"]:
        """The sum of the layers' skips."""
        conditions = self.condition(condition).chunk(len(self.gates), 1)
        skips = torch.zeros_like(x)
        for gate, out, sound in zip(self.gates, self.outs, conditions, strict=True):
            signal, opening = (gate(x) + sound).chunk(2, 1)
            more = out(signal.tanh() * opening.sigmoid())
            if more.shape[1] == self.hidden:  # the last layer has no residual
                return skips + more
            x, skips = x + more[:, : self.hidden], skips + more[:, self.hidden :]
        return skips


class Condition(nn.Sequential):
    """Condition of a `WaveNet` from audio features, one row a frame: two convolutions, which see two frames to either
    side, or four back."""

    def __init__(self, audio_dim: int, width: int = CONDITION, *, causal: bool = False) -> None:
        first, second = (Conv(dim, width, 3, bias=False, causal=causal) for dim in (audio_dim, width))
        super().__init__(first, nn.BatchNorm1d(width), nn.GELU(), second)
        self.context = total_context(first.context, second.context)


def total_context(*contexts: tuple[int, int]) -> tuple[int, int]:
    """Rows before and after that one row depends on through layers of these.

    >>> total_context((2, 2), (4, 0))
    (6, 2)
    """
    before, after = zip(*contexts, strict=True)
    return sum(before), sum(after)
