"""Fréchet distance between two clouds of feature vectors, each taken as a Gaussian.

‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), Σ with N − 1 in the denominator. The trace of the root is the sum of the
singular values of X₁ X₂ᵀ / √((N₁ − 1)(N₂ − 1)), X centred: exact, without a matrix root, and fast where there are fewer
vectors than features. Where there are more, it is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½. Neither
needs an epsilon, nor can it answer with an imaginary number.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def frechet(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"]) -> Float[Tensor, ""]:
    """Squared Fréchet distance, float64. Raises `ValueError` for fewer than two vectors on a side.

    >>> a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> frechet(a, a + 2).item()
    8.0
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"sets of {len(a)} and {len(b)} vectors: a covariance needs two")
    means = [x.double().mean(0) for x in (a, b)]
    x, y = ((x.double() - mean) / (len(x) - 1) ** 0.5 for x, mean in zip((a, b), means, strict=True))
    few = max(len(x), len(y)) <= x.shape[1]
    root = torch.linalg.matrix_norm(x @ y.mT, "nuc") if few else _root_of_product(x.mT @ x, y.mT @ y)
    return (means[0] - means[1]).square().sum() + x.square().sum() + y.square().sum() - 2 * root


def _root_of_product(a: Float[Tensor, "D D"], b: Float[Tensor, "D D"]) -> Float[Tensor, ""]:
    """Trace of (A B)^½ for covariances A and B."""
    values, vectors = torch.linalg.eigh(a)
    half = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    return torch.linalg.eigvalsh(half @ b @ half).clamp(min=0).sqrt().sum()
