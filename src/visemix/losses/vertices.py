"""Distance between two expressions, measured on the vertices of the face without ever computing them."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


def quadratic_root(basis: Float[Tensor, "N 3 E"], weight: Float[Tensor, " N"]) -> Float[Tensor, "R E"]:
    """R such that ‖Rδ‖² = Σₙ wₙ‖Eₙδ‖² for every difference δ of coefficients: exact, 64 × 64 for 107 127 × 64.

    The mean shape cancels in the difference of two faces, so vertices are a linear map of δ and their weighted squared
    length is δᵀGδ with G = Σₙ wₙEₙᵀEₙ. Its root keeps the answer a sum of squares, which rounding cannot make negative.
    """
    weighted = basis.double() * weight.double().sqrt().view(-1, 1, 1)
    return torch.linalg.qr(weighted.flatten(0, 1), mode="r").R.to(basis.dtype)


class VertexLoss(nn.Module):
    """How far predicted expressions are from true ones, on the face's vertices, the lower face weighing more.

    Args:
        basis: vertices per coefficient; the loss is in its unit.
        lower: vertices that count `mouth` times; the others count once.
        norm: "squared": mean over batch, frames and vertices of wₙ‖Δₙ‖² (GSmoothFace's code), a square.
            "l2": mean over batch and frames of mouth · ‖Δ of the lower face‖ + ‖Δ of the rest‖, where all vertices
            make one long vector (GSmoothFace, eq. 8), a length.
    """

    roots: Tensor

    def __init__(
        self,
        basis: Float[Tensor, "N 3 E"],
        lower: Bool[Tensor, " N"],
        mouth: float = 1.8,
        norm: Literal["squared", "l2"] = "squared",
    ) -> None:
        super().__init__()
        below = lower.to(basis.dtype)
        parts = [1 + (mouth - 1) * below] if norm == "squared" else [mouth**2 * below, 1 - below]
        roots = torch.stack([quadratic_root(basis, part) for part in parts])
        self.register_buffer("roots", roots, persistent=False)
        self.vertices, self.norm = len(basis), norm

    def forward(self, delta: Float[Tensor, "B T E"]) -> Float[Tensor, ""]:
        """The loss of `delta`, predicted less true coefficients; square decimetres, or decimetres for `norm` "l2"."""
        spread = torch.einsum("pfe,bte->pbtf", self.roots, delta)
        if self.norm == "squared":
            return spread.square().sum(-1).mean() / self.vertices
        return torch.linalg.vector_norm(spread, dim=-1).sum(0).mean()
