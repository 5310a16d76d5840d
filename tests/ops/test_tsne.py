import numpy as np
import pytest

from visemix.ops.tsne import _affinities, _squared_distances, tsne


def groups(seed=0, count=40, apart=8.0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0, 1, (count, 10)), rng.normal(0, 1, (count, 10)) + apart])


def test_what_is_apart_stays_apart_and_what_is_mixed_stays_mixed():
    def neighbours_of_own_kind(points):
        at = tsne(points)
        distances = ((at[:, None] - at[None]) ** 2).sum(-1) + np.diag([np.inf] * len(at))
        nearest = distances.argsort(1)[:, :5]
        own = np.arange(len(at)) < len(at) // 2
        return (own[nearest] == own[:, None]).mean()

    assert neighbours_of_own_kind(groups()) == 1.0
    assert 0.3 < neighbours_of_own_kind(groups(apart=0.0)) < 0.7


def test_each_point_has_about_as_many_neighbours_as_asked_for():
    points = groups(1)
    shared = _affinities(_squared_distances(points), 10.0)
    assert shared.sum() == pytest.approx(1, abs=1e-6) and np.allclose(shared, shared.T)
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    rows = shared[0] / shared[0].sum()  # symmetrised, so its perplexity is only near to the one asked for
    assert 6 < np.exp(-(rows * np.log(rows + 1e-12)).sum()) < 20
    assert rows[distances[0].argsort()[1:11]].sum() > 0.6


def test_nothing_is_drawn_by_chance_and_equal_points_do_no_harm():
    points = groups(2, 10)
    assert np.array_equal(tsne(points), tsne(points))
    assert np.isfinite(tsne(np.ones((8, 3)))).all()
    with pytest.raises(ValueError, match="at least four points"):
        tsne(points[:3])
