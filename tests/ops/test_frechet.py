"""Expected values: scipy's matrix root as pytorch-fid uses it, on the same numbers."""

import numpy as np
import pytest
import torch

from visemix.ops.frechet import frechet

EXPECTED = {(8, 50): 7.074213047960885, (64, 500): 39.11897941315979, (256, 1000): 162.66571734729416}
FEW = {(64, 40): 71.55806769062654}  # fewer vectors than features: a matrix root is good to a part in ten million


def clouds(features, vectors):
    r = np.random.default_rng(1234)
    mixing = r.standard_normal((features, features)) / np.sqrt(features)
    x = r.standard_normal((vectors, features))
    return torch.from_numpy(x), torch.from_numpy(0.5 + r.standard_normal((vectors, features)) @ mixing)


@pytest.mark.parametrize(
    ("shape", "expected", "tolerance"),
    [(s, e, 1e-6) for s, e in EXPECTED.items()] + [(s, e, 1e-5) for s, e in FEW.items()],
)
def test_it_is_what_a_matrix_root_gives(shape, expected, tolerance):
    a, b = clouds(*shape)
    assert frechet(a, b).item() == pytest.approx(expected, rel=tolerance)


def test_the_closed_forms_of_simple_gaussians():
    corners = torch.cat([torch.eye(4), -torch.eye(4)]).double() * (7 / 2) ** 0.5  # covariance 1 with N − 1 = 7
    assert frechet(corners, corners + 1.5).item() == pytest.approx(9, abs=1e-9)
    assert frechet(corners, corners * 2).item() == pytest.approx(4, abs=1e-9)


def test_a_set_beside_itself_is_at_no_distance_and_one_vector_is_none():
    few, many = clouds(64, 40)[0], clouds(8, 50)[0]
    assert abs(frechet(few, few).item()) < 1e-9
    assert abs(frechet(many, many).item()) < 1e-9
    with pytest.raises(ValueError, match="a covariance needs two"):
        frechet(few[:1], few)
