import pytest
import torch

from visemix.face import layout
from visemix.render.image_terms import differences


@pytest.fixture
def spots():
    """A mouth of ten by five pixels, whose box with its margins is 14 by 7."""
    points = torch.full((68, 2), 32.0)
    points[layout.MOUTH, 0] = torch.linspace(20, 30, 20)
    points[layout.MOUTH, 1] = torch.linspace(40, 45, 20)
    return points


def test_an_error_counts_so_many_times_more_around_the_mouth(spots):
    true = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.5
    labels, clear = torch.full((64, 64), 2, dtype=torch.uint8), torch.ones(1, 64, 64)
    found = differences(true + 0.1, true, clear, spots, labels, 3.0)
    assert found["pixels"].item() == pytest.approx(0.1 * (1 + 3 * 14 * 7 / 64**2), rel=1e-4)
    same = differences(true, true, clear, spots, labels, 3.0)
    assert {name: value.item() for name, value in same.items()} == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-6)


@pytest.mark.parametrize("who", [1, 2])
def test_what_is_painted_costs_where_nobody_stands_and_neither_torso_nor_head_are_nobody(spots, who):
    """A person from row 32 on, and eight pixels around: what is left are 24 rows, of which a quarter is hidden."""
    true, labels = torch.full((3, 64, 64), 0.5), torch.zeros(64, 64, dtype=torch.uint8)
    labels[32:] = who
    found = differences(true, true, torch.full((1, 64, 64), 0.75), spots, labels, 0.0)
    assert found["clear"].item() == pytest.approx(0.25 * 24 / 64)
