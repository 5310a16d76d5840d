"""Networks of domain adaptation: one that refines motion, and a critic that tells it from the person's own."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "row"]


class RowNorm(nn.LayerNorm):
    """Layer norm over the channels of each row: no statistic over time or over the batch."""

    def forward(self, x: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        """The rows, each normalised over its C channels."""
        return super().forward(x.mT).mT


class Layer(nn.Module):
    """Convolution over three frames, norm, activation; the input added at the end where it keeps the width."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, slope: float, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm1d(outputs) if norm == "batch" else RowNorm(outputs)
        self.slope, self.residual = slope, residual

    def forward(self, x: Float[Tensor, "B C T"]) -> Float[Tensor, "B D T"]:
        """Activations, `x` added to them where the layer is residual."""
        y = F.leaky_relu(self.norm(self.conv(x)), self.slope)
        return x + y if self.residual else y


class Refiner(nn.Module):
    """x + Δ(x), Δ eight convolutions: seven over three frames, then one over one. A frame sees 7 to either side.

    Args:
        widths: of the two inner groups of layers.
        slope: of the leaky ReLU below zero; 0 is ReLU.
        still: start with Δ = 0.
    """

    reach = 7

    def __init__(self, dim: int, widths: tuple[int, int], norm: Norm, slope: float, still: bool) -> None:
        super().__init__()
        a, b = widths
        shape = [(dim, a), (a, a), (a, a), (a, b), (b, b), (b, b), (b, a)]
        residual = [False, True, True, False, True, True, False]
        self.layers = nn.Sequential(*(Layer(*io, norm, slope, r) for io, r in zip(shape, residual, strict=True)))
        self.out = nn.Conv1d(a, dim, 1)
        if still:
            for parameter in self.out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """The refined rows, x + Δ(x)."""
        return x + self.out(self.layers(x.mT)).mT


class FrameCritic(nn.Sequential):
    """Scores single frames, without their neighbours: five linear layers with dropout."""

    def __init__(self, dim: int, widths: tuple[int, ...] = (128, 256, 256, 128), *, relu: bool = False) -> None:
        layers: list[nn.Module] = []
        for k, (before, after) in enumerate(zip((dim, *widths), widths, strict=False)):
            slope = 0.0 if relu else 0.2 if k == 0 else 0.25
            layers += [nn.Linear(before, after), nn.LeakyReLU(slope), nn.Dropout(0.25)]
        super().__init__(*layers, nn.Linear(widths[-1], 1, bias=False))

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T"]:
        """A score for each frame: high is the person's own."""
        return super().forward(x).squeeze(-1)
