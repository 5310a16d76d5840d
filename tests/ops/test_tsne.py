import pytest
import torch

from visemix.ops.tsne import neighbourhood, tsne


def test_neighbours_have_the_perplexity_that_was_asked_for():
    points = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    near = neighbourhood(torch.cdist(points, points).square(), 12.0)
    torch.testing.assert_close(near.sum(1), torch.ones(60, dtype=torch.float64))
    assert near.diagonal().abs().max() == 0
    entropy = -(near * near.clamp_min(1e-300).log()).sum(1)
    torch.testing.assert_close(entropy.exp(), torch.full((60,), 12.0, dtype=torch.float64), rtol=1e-4, atol=0)


def test_groups_far_apart_stay_apart_and_nothing_is_drawn_by_chance():
    g = torch.Generator().manual_seed(0)
    centres = 20 * torch.randn(3, 10, generator=g)
    kind = torch.arange(90) % 3
    points = centres[kind] + torch.randn(90, 10, generator=g)
    places = tsne(points, perplexity=15.0, steps=300)
    nearest = torch.cdist(places, places).fill_diagonal_(torch.inf).argmin(1)
    assert torch.equal(kind[nearest], kind)
    assert torch.equal(places, tsne(points, perplexity=15.0, steps=300))


@pytest.mark.parametrize("count", [2, 5])
def test_few_points_are_a_map_too(count):
    assert tsne(torch.randn(count, 4), steps=20).isfinite().all()


def test_what_is_apart_stays_apart_and_what_is_mixed_stays_mixed():
    def neighbours_of_own_kind(apart):
        g = torch.Generator().manual_seed(0)
        points = torch.randn(80, 10, generator=g) + apart * (torch.arange(80) >= 40)[:, None]
        places = tsne(points, steps=300)
        nearest = torch.cdist(places, places).fill_diagonal_(torch.inf).topk(5, largest=False).indices
        own = torch.arange(80) < 40
        return float((own[nearest] == own[:, None]).double().mean())

    assert neighbours_of_own_kind(8.0) == 1.0
    assert 0.3 < neighbours_of_own_kind(0.0) < 0.7


def test_equal_points_do_no_harm():
    assert tsne(torch.ones(8, 3), steps=20).isfinite().all()
