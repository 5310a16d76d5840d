"""Learnt parameters of Gaussians."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class GaussianParameters(nn.Module):
    """Learnt numbers of each Gaussian; columns are Gaussians, and each kind of number has a learning rate of its
    own."""

    def __init__(self, values: Tensor, lr_scale: float, decay_scale: float = 0.0) -> None:
        super().__init__()
        self.values = nn.Parameter(values)
        self.lr_scale, self.decay_scale = lr_scale, decay_scale

    def along(self, shape: Float[Tensor, " K"]) -> Float[Tensor, "3 M"]:
        """Sum (3, M) over the K rows of a table of offsets, weighted by `shape`."""
        return (shape @ self.values).view(3, -1)
