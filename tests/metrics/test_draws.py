import pytest
import torch

from visemix.metrics.draws import autocorrelation, best_of, energy_score, spread

G = torch.Generator().manual_seed(0)
TRUTH = torch.randn(50, 6, generator=G)


def test_the_best_of_some_draws_is_the_nearest():
    draws = torch.stack([TRUTH + 3.0, TRUTH - 0.5, TRUTH + 1.0])
    assert best_of(draws, TRUTH).item() == pytest.approx(0.25)


def test_the_energy_score_is_the_definitions():
    draws = torch.randn(4, 50, 6, generator=G)
    size = (50 * 6) ** 0.5
    off = sum((d - TRUTH).norm() for d in draws) / 4
    apart = sum((a - b).norm() for a in draws for b in draws) / (4 * 3)
    assert energy_score(draws, TRUTH).item() == pytest.approx(float(off - apart / 2) / size, rel=1e-4)


def test_draws_as_the_truth_is_score_better_than_their_mean_and_than_wilder_ones():
    def score(scale):
        truths = torch.randn(200, 20, 2, generator=torch.Generator().manual_seed(1))
        draws = scale * torch.randn(200, 16, 20, 2, generator=torch.Generator().manual_seed(2))
        return sum(float(energy_score(d, t)) for d, t in zip(draws, truths, strict=True)) / 200

    assert score(1.0) < min(score(0.0), score(0.5), score(2.0))


def test_spread_is_the_root_mean_square_about_the_mean():
    draws = 3.0 * torch.randn(2000, 5, 4, generator=G) + torch.randn(5, 4, generator=G)
    assert spread(draws).item() == pytest.approx(3.0, rel=0.02)


def test_what_stays_correlates_with_itself_and_noise_does_not():
    held = torch.randn(100, 1, 3, generator=G).expand(-1, 60, -1)
    assert autocorrelation(held, 25).item() == pytest.approx(1.0)
    assert abs(autocorrelation(torch.randn(100, 60, 3, generator=G), 25).item()) < 0.05
    assert autocorrelation(torch.sin(torch.arange(400.0) * torch.pi / 25).view(1, -1, 1), 25).item() == pytest.approx(
        -1
    )
