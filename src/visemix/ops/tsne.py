"""Many numbers per frame as two: t-SNE, for seeing whether two sets of mouths are the same kind of mouths."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

PERPLEXITY = 30.0
EARLY, EARLY_STEPS, STEPS = 12.0, 100, 400
TINY = 1e-12


def tsne(points: Float[np.ndarray, "N D"], perplexity: float = PERPLEXITY) -> Float[np.ndarray, "N 2"]:
    """Exact t-SNE (van der Maaten & Hinton 2008) from the two main axes: nothing is drawn by chance.

    Memory and time grow with N²; a thousand points take some ten seconds. Which points are near each other means
    something, distances between clusters and their sizes do not.
    """
    if len(points) < 4:
        raise ValueError("t-SNE wants at least four points")
    shared = _affinities(_squared_distances(points), min(perplexity, (len(points) - 1) / 3))
    at = _main_axes(points)
    at *= 1e-4 / max(at[:, 0].std(), TINY)
    step, gains = np.zeros_like(at), np.ones_like(at)
    rate = max(len(points) / EARLY / 4, 50.0)
    for k in range(STEPS):
        near = 1 / (1 + _squared_distances(at))
        np.fill_diagonal(near, 0)
        pull = (shared * (EARLY if k < EARLY_STEPS else 1) - np.maximum(near / near.sum(), TINY)) * near
        slope = 4 * (pull.sum(1, keepdims=True) * at - pull @ at)
        gains = np.maximum(np.where(slope * step < 0, gains + 0.2, gains * 0.8), 0.01)
        step = (0.5 if k < EARLY_STEPS else 0.8) * step - rate * gains * slope
        at = at + step
    return at - at.mean(0)


def _squared_distances(points: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N N"]:
    norms = (points**2).sum(1)
    return np.maximum(norms[:, None] + norms[None] - 2 * points @ points.T, 0)


def _affinities(distances: Float[np.ndarray, "N N"], perplexity: float) -> Float[np.ndarray, "N N"]:
    """Joint probabilities: each row a Gaussian whose width gives it the perplexity, found by bisection."""
    apart = distances / max(np.median(distances), TINY)
    np.fill_diagonal(apart, np.inf)
    low, high = np.full(len(apart), 1e-6), np.full(len(apart), 1e9)
    for _ in range(60):
        sharp = np.sqrt(low * high)
        rows = np.exp(-(apart - apart.min(1, keepdims=True)) * sharp[:, None])
        rows /= rows.sum(1, keepdims=True)
        flat = -(rows * np.log(np.maximum(rows, TINY))).sum(1) > np.log(perplexity)
        low, high = np.where(flat, sharp, low), np.where(flat, high, sharp)
    return np.maximum((rows + rows.T) / (2 * len(rows)), TINY)


def _main_axes(points: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N 2"]:
    """The two principal components, each with the sign that makes its largest weight positive."""
    centred = points - points.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    found = centred @ axes.T
    return found if found.shape[1] == 2 else np.pad(found, ((0, 0), (0, 1)))
