"""Points of many dimensions as a map: t-SNE (van der Maaten & Hinton 2008), exact, for up to a few thousand points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

EXAGGERATION, EARLY = 12.0, 0.25  # neighbours pull this much harder in the first quarter of the steps


def tsne(points: Float[Tensor, "N D"], *, perplexity: float = 30.0, steps: int = 500) -> Float[Tensor, "N 2"]:
    """The points as a t-SNE map: near stays near, distances between far groups mean little. Starts from the two
    principal components, so nothing is drawn by chance.

    Args:
        perplexity: how many neighbours count, about; at most a third of the points.
    """
    points = points.double()
    count = len(points)
    near = neighbourhood(torch.cdist(points, points).square(), min(perplexity, max(count / 3, 1.01)))
    pull = (near + near.mT) / (2 * count)
    u, s, _ = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    start = u[:, :2] * s[:2]
    place = 1e-4 * start / start[:, 0].std().clamp_min(1e-12)
    velocity, gain = torch.zeros_like(place), torch.ones_like(place)
    rate = max(count / EXAGGERATION / 4, 50.0)
    for step in range(steps):
        early = step < EARLY * steps
        kernel = 1 / (1 + torch.cdist(place, place).square())
        kernel.fill_diagonal_(0)
        force = ((EXAGGERATION if early else 1) * pull - kernel / kernel.sum()) * kernel
        gradient = 4 * (force.sum(1, keepdim=True) * place - force @ place)
        gain = torch.where((gradient > 0) == (velocity > 0), gain * 0.8, gain + 0.2).clamp(min=0.01)
        velocity = (0.5 if early else 0.8) * velocity - rate * gain * gradient
        place = place + velocity
        place = place - place.mean(0)
    return place.float()


def neighbourhood(squares: Float[Tensor, "N N"], perplexity: float, halvings: int = 50) -> Float[Tensor, "N N"]:
    """Gaussian weights of every point's neighbours, each row of the width that has the given perplexity."""
    target = torch.tensor(perplexity, dtype=squares.dtype).log()
    others = squares + torch.diag(torch.full((len(squares),), torch.inf, dtype=squares.dtype))
    others = others - others.min(1, keepdim=True).values
    low, high = torch.full((len(squares), 1), -30.0).to(squares), torch.full((len(squares), 1), 30.0).to(squares)
    for _ in range(halvings):
        middle = (low + high) / 2  # logarithm of the precision
        weights = (-others * middle.exp()).softmax(1)
        entropy = -torch.special.xlogy(weights, weights).sum(1, keepdim=True)
        low, high = torch.where(entropy > target, middle, low), torch.where(entropy > target, high, middle)
    return weights
