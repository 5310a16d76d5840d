"""Expression and head pose reduced to what changes how a person looks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

POSE = 6
FAINT = 1e-3  # of the first direction's spread: what varies less is noise


class MotionPCA(nn.Module):
    """Expression on its principal components, and head pose, at unit variance and clamped to the range of training.

    The expression along its `components` principal directions over the training frames, and the six of the pose.
    Measured in coefficients: measured by how far the skin moves, lips came out worse (benchmarks/README.md).
    """

    mean: Tensor  # (E + 6,)
    basis: Tensor  # (E + 6, K + 6)
    low: Tensor  # (K + 6,)
    high: Tensor

    def __init__(self, width: int, components: int) -> None:
        super().__init__()
        self.components = components
        self.register_buffer("mean", torch.zeros(width + POSE))
        self.register_buffer("basis", torch.zeros(width + POSE, components + POSE))
        self.register_buffer("low", torch.zeros(components + POSE))
        self.register_buffer("high", torch.zeros(components + POSE))

    @torch.no_grad()
    def fit(self, expression: Float[Tensor, "T E"], pose: Float[Tensor, "T 6"]) -> None:
        """Learn the directions, and how far they go, from all frames of training."""
        values = torch.cat([expression, pose], -1)
        self.mean.copy_(values.mean(0))
        shapes, turns = (values - self.mean).split([expression.shape[1], POSE], -1)
        _, lengths, directions = torch.linalg.svd(shapes, full_matrices=False)
        kept = min(self.components, len(lengths))
        spread = lengths[:kept].clamp(min=FAINT * lengths[0] + 1e-9) / len(values) ** 0.5
        self.basis.zero_()
        self.basis[:-POSE, :kept] = directions[:kept].mT / spread
        self.basis[-POSE:, -POSE:] = torch.diag(1 / turns.std(0, correction=0).clamp(min=1e-6))
        seen = (values - self.mean) @ self.basis
        self.low.copy_(seen.amin(0))
        self.high.copy_(seen.amax(0))

    def forward(
        self, expression: Float[Tensor, " E"], pose: Float[Tensor, "6"]
    ) -> tuple[Float[Tensor, " K"], Float[Tensor, "6"]]:
        """Expression on its K components, and head pose, both at unit variance and clamped."""
        values = (torch.cat([expression, pose]) - self.mean) @ self.basis
        shape, turn = values.clamp(self.low, self.high).split([self.components, POSE])
        return shape, turn
