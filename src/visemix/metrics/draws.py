"""How good many motions drawn for one sound are together: what the error of any one of them cannot say.

A model that knows how people differ draws motions that are each further from the recorded one than their mean is. So
one draw's error is set beside the best of K, the energy score, which is lowest where draws are distributed as the truth
is (Gneiting and Raftery 2007), their spread, and for how long they stay what they are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def best_of(draws: Float[Tensor, "K T C"], truth: Float[Tensor, "T C"]) -> Float[Tensor, ""]:
    """Mean squared error of the draw that is nearest to the truth.

    >>> best_of(torch.tensor([[[3.0]], [[1.0]]]), torch.zeros(1, 1))
    tensor(1.)
    """
    return (draws - truth).square().mean((1, 2)).min()


def energy_score(draws: Float[Tensor, "K T C"], truth: Float[Tensor, "T C"]) -> Float[Tensor, ""]:
    """Mean distance of the draws from the truth, less half of the mean distance between two of them; in the rows' unit,
    distances being root mean squares over frames and channels. Lower is better.

    >>> energy_score(torch.tensor([[[1.0]], [[-1.0]]]), torch.zeros(1, 1))
    tensor(0.)
    """
    count, size = len(draws), truth.numel() ** 0.5
    apart = torch.pdist(draws.flatten(1)).sum() * 2 / (count * (count - 1))
    return ((draws - truth).flatten(1).norm(dim=1).mean() - apart / 2) / size


def spread(draws: Float[Tensor, "K T C"]) -> Float[Tensor, ""]:
    """Root mean square distance of the draws from their mean, in the rows' unit.

    >>> spread(torch.tensor([[[1.0]], [[-1.0]]]))
    tensor(1.4142)
    """
    return draws.var(0).mean().sqrt()


def autocorrelation(rows: Float[Tensor, "N T C"], lag: int) -> Float[Tensor, ""]:
    """Correlation of rows with those `lag` frames later, about 0: give what differs from the mean of all draws.

    >>> autocorrelation(torch.tensor([[[1.0], [-1.0], [1.0], [-1.0]]]), 2)
    tensor(1.)
    """
    before, after = rows[:, :-lag], rows[:, lag:]
    return (before * after).sum() / (before.square().sum() * after.square().sum()).sqrt()
