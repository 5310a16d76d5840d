import numpy as np
import pytest

from visemix.ops.intervals import bootstrap, student


def test_the_bootstrap_interval_is_that_of_a_naive_one():
    values = np.random.default_rng(3).normal(30, 2, 25)
    rng = np.random.default_rng(7)
    means = [rng.choice(values, len(values)).mean() for _ in range(10_000)]
    assert bootstrap(list(values)) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.05)


def test_bootstrap_intervals_hold_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(list(rng.normal(5, 1, 30))) for _ in range(100)]
    assert 85 <= sum(low < 5 < high for low, high in intervals) <= 99


def test_an_interval_comes_out_the_same_every_time():
    assert bootstrap([1.0, 2.0, 4.0]) == bootstrap([1.0, 2.0, 4.0])


@pytest.mark.parametrize("values", [[], [3.0], [1.0, float("inf")], [1.0, float("nan"), 2.0]])
def test_without_two_finite_values_there_is_no_bootstrap_interval(values):
    assert bootstrap(values) is None


def test_students_interval_is_the_textbooks():
    low, high = student([4.0, 4.0, 5.0, 3.0])  # mean 4, s 0.8165, t(3) 3.1824
    assert (low, high) == pytest.approx((4 - 1.2992, 4 + 1.2992), abs=1e-4)
    assert student([4.0]) is None
