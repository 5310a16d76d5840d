"""Confidence intervals of means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95


def bootstrap(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """The percentile interval of the mean when clips are drawn anew: frames of one clip are no independent sample.

    None for fewer than two clips, and where a value is not finite. With only a handful of clips it is too narrow; the
    tables print how many there were. The draws are seeded, so a table comes out the same every time.

    >>> bootstrap([1.0, 1.0, 1.0])
    (1.0, 1.0)
    >>> bootstrap([31.0]) is None
    True
    """
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    if min(values) == max(values):
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def student(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the mean of independent values, as mean opinion scores are printed; None for fewer than
    two.

    >>> low, high = student([3.0, 4.0, 5.0])
    >>> round(low, 3), round(high, 3)
    (1.516, 6.484)
    """
    if len(values) < 2:
        return None
    mean, half = float(np.mean(values)), float(stats.sem(values) * stats.t.ppf((1 + level) / 2, len(values) - 1))
    return mean - half, mean + half
