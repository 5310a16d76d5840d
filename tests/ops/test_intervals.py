import numpy as np
import pytest

from visemix.ops.intervals import bootstrap, holm, student, student_p


def test_the_bootstrap_interval_is_that_of_a_naive_one():
    values = np.random.default_rng(3).normal(30, 2, 25)
    rng = np.random.default_rng(7)
    means = [rng.choice(values, len(values)).mean() for _ in range(10_000)]
    assert bootstrap(list(values)) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.05)


def test_a_lower_level_is_a_narrower_interval_of_the_bootstrap():
    values = np.random.default_rng(3).normal(30, 2, 25)
    means = [np.random.default_rng(k).choice(values, len(values)).mean() for k in range(4000)]
    assert bootstrap(list(values), 0.5) == pytest.approx(np.percentile(means, [25, 75]), abs=0.05)


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


def test_holms_correction_is_that_of_his_procedure():
    """Reject the smallest at level / n, the next at level / (n - 1), and so on, until one is not rejected."""
    rng = np.random.default_rng(5)
    for _ in range(50):
        found, level = list(rng.beta(0.2, 2, 7)), 0.05
        rejected = set()
        for done, at in enumerate(np.argsort(found)):
            if found[at] > level / (7 - done):
                break
            rejected.add(int(at))
        assert {k for k, p in enumerate(holm(found)) if p <= level} == rejected
    assert holm([0.02, 0.9, 0.01, 0.8]) == pytest.approx([0.06, 1.0, 0.04, 1.0])
    assert holm([]) == []


def test_holm_says_a_true_null_is_false_in_one_family_of_twenty_where_alone_every_third_has_one():
    rng = np.random.default_rng(1)
    families = [[student_p(list(rng.normal(0, 1, 3))) for _ in range(8)] for _ in range(400)]
    alone, together = (np.mean([min(row) < 0.05 for row in rows]) for rows in (families, map(holm, families)))
    assert alone > 0.25 and together < 0.08


def test_a_students_p_value_agrees_with_its_interval():
    rng = np.random.default_rng(2)
    for _ in range(100):
        values = list(rng.normal(1, 1, 3))
        low, high = student(values)
        assert (student_p(values) < 0.05) == (low > 0 or high < 0)
    assert student_p([2.0]) is None and student_p([0.5, 0.5, 0.5]) == 0 and student_p([0.0, 0.0]) == 1
