import pytest
import torch

from visemix.metrics import METRICS, NoScore, VideoSequence, lip_vertex_error, mean_squared_error, point_distance


def recipe():
    i = torch.arange(5 * 68 * 3, dtype=torch.float64)
    real = (0.1 * i).sin().reshape(5, 68, 3)
    return real + 0.05 * (0.2 * i).cos().reshape(5, 68, 3), real


def test_the_errors_have_the_published_values():
    fake, real = recipe()
    assert mean_squared_error(fake, real).item() == pytest.approx(0.0012488533589154777, abs=1e-12)
    assert point_distance(fake, real).item() == pytest.approx(0.0563726715594408, abs=1e-12)
    assert lip_vertex_error(fake, real, list(range(48, 68))).item() == pytest.approx(0.007230493183333339, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lm3d_mse", 100 * 0.0012488533589154777),
        ("lm3d_l2", 100 * 0.0563726715594408),
        ("lve", 1e4 * 0.007230493183333339),
    ],
)
def test_fitted_faces_in_decimetres_are_scored_in_the_unit_given(name, value):
    fake, real = recipe()
    metric = METRICS.build({"name": name})
    metric.update(VideoSequence(fit=fake), VideoSequence(fit=real))
    assert metric.compute().item() == pytest.approx(value, rel=1e-9)
    assert metric.scored == 5


def test_a_fit_that_is_no_number_is_refused():
    fake, real = recipe()
    fake[2, 3] = torch.nan
    with pytest.raises(NoScore, match="no numbers"):
        METRICS.build({"name": "lm3d_mse"}).update(VideoSequence(fit=fake), VideoSequence(fit=real))


@pytest.mark.parametrize(("point", "value"), [(47, 0.0), (48, 4.0), (67, 4.0)])
def test_the_lips_are_points_48_to_67_and_the_worst_of_them_counts(point, value):
    """One point a fifth of a centimetre off, another half as far."""
    real = torch.zeros(3, 68, 3)
    fake = real.clone()
    fake[:, point, 1], fake[:, 55, 0] = 0.02, 0.01 * (value > 0)
    metric = METRICS.build({"name": "lve"})
    metric.update(VideoSequence(fit=fake), VideoSequence(fit=real))
    assert metric.compute().item() == pytest.approx(value)
