"""Networks of domain adaptation: one that refines motion, and a critic that tells it from the person's own."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "row"]
# Where a layer x → y adds its input: act(norm(conv x)) + x, act(norm(conv x) + x), or norm(act(conv x + x)).
Order = Literal["last", "before activation", "before norm"]


class RowNorm(nn.LayerNorm):
    """Layer norm over the channels of each row: no statistic over time or over the batch."""

    def forward(self, x: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        """The rows, each normalised over its C channels."""
        return super().forward(x.mT).mT


class Layer(nn.Module):
    """Convolution over three frames, norm and activation, in one of three orders (`Order`); the input is added where it
    has the width."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, slope: float, order: Order) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm1d(outputs) if norm == "batch" else RowNorm(outputs)
        self.slope, self.order, self.residual = slope, order, inputs == outputs

    def forward(self, x: Float[Tensor, "B C T"]) -> Float[Tensor, "B D T"]:
        """Activations of a layer's D channels."""
        kept = x if self.residual else x.new_zeros(())
        y = self.conv(x)
        if self.order == "last":
            return self._act(self.norm(y)) + kept
        if self.order == "before activation":
            return self._act(self.norm(y) + kept)
        return self.norm(self._act(y + kept))  # type: ignore[no-any-return]

    def _act(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)


class Refiner(nn.Module):
    """x + Δ(x), Δ eight convolutions: seven over three frames, then one. A frame sees `reach` to either side.

    Args:
        widths: of the two inner groups of layers.
        slope: of the leaky ReLU below zero; 0 is ReLU.
        order: where a layer adds its input.
        kernel: frames that the last convolution sees.
        still: start with Δ = 0.
    """

    def __init__(
        self,
        dim: int,
        widths: tuple[int, int],
        norm: Norm,
        slope: float,
        *,
        order: Order = "last",
        kernel: int = 1,
        still: bool = False,
    ) -> None:
        super().__init__()
        a, b = widths
        shape = [(dim, a), (a, a), (a, a), (a, b), (b, b), (b, b), (b, a)]
        self.layers = nn.Sequential(*(Layer(*io, norm, slope, order) for io in shape))
        self.out = nn.Conv1d(a, dim, kernel, padding=kernel // 2)
        self.reach = len(shape) + kernel // 2
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
