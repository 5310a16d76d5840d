"""What is learnt of each Gaussian."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class GaussianParameters(nn.Module):
    """Numbers of each Gaussian; columns are Gaussians, and each kind of number has a pace of its own."""

    def __init__(self, values: Tensor, lr_scale: float, decay_scale: float = 0.0) -> None:
        super().__init__()
        self.values = nn.Parameter(values)
        self.lr_scale, self.decay_scale = lr_scale, decay_scale

    def along(self, shape: Float[Tensor, " K"]) -> Float[Tensor, "3 M"]:
        """Of a table of K rows for each axis or colour: their sum, weighted by `shape`."""
        return (shape @ self.values).view(3, -1)
