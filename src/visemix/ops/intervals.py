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


def student_p(values: Sequence[float]) -> float | None:
    """Student's two-sided p-value of independent values whose true mean would be zero; None for fewer than two.

    >>> round(student_p([3.0, 4.0, 5.0]), 4)
    0.0202
    """
    if len(values) < 2:
        return None
    mean, error = abs(float(np.mean(values))), float(stats.sem(values))
    if error == 0:
        return float(mean == 0)
    return float(2 * stats.t.sf(mean / error, len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values raised so far that the chance of calling any true null hypothesis of all of these wrong stays below
    the level that they are compared with (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order, raised, highest = np.argsort(p_values, kind="stable"), [0.0] * len(p_values), 0.0
    for done, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - done) * p_values[at]))
        raised[at] = highest
    return raised
