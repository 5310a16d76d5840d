import numpy as np
import pytest
import torch

from visemix.metrics import METRICS, FrameBatch, landmark_distance


def recipe():
    """The fact sheet's formula: five frames of 68 points, and a wobbling copy 4 px away."""
    i, j, c = np.arange(5)[:, None, None], np.arange(68)[None, :, None], np.arange(2)
    real = 256 + 100 * np.sin(0.37 * j + 1.1 * c) + 3 * np.sin(0.5 * i + 0.2 * j + c)
    fake = real + 2 * np.cos(0.9 * i + 0.31 * j + 1.7 * c) + 4
    return torch.from_numpy(fake), torch.from_numpy(real)


def test_the_mouths_landmark_distance_has_the_published_value():
    fake, real = recipe()
    distance = landmark_distance(fake[:, 48:], real[:, 48:])
    assert distance.mean().item() == pytest.approx(1.9980878800304456, abs=1e-9)
    assert distance.mean().item() != pytest.approx(5.856775370953292, abs=1)  # with the head's place left in
    assert 20 * distance.mean().item() == pytest.approx(39.96175760060891, abs=1e-8)  # a published script sums


def views():
    fake, real = recipe()
    picture = torch.zeros(5, 3, 1, 1, dtype=torch.uint8)
    return FrameBatch(picture, fake), FrameBatch(picture, real)


def test_lmd_is_over_the_mouth_and_its_face_version_over_all_points():
    values = {}
    for name in ("lmd", "lmd_face"):
        metric = METRICS.build({"name": name})
        metric.update(*views())
        values[name] = metric.compute().item()
    assert values == pytest.approx({"lmd": 1.9980878800304456, "lmd_face": 1.9873873908999904}, abs=1e-9)


def test_normalised_lmd_is_free_of_the_pictures_size():
    fake, real = views()
    metric, doubled = METRICS.build({"name": "lmd_norm"}), METRICS.build({"name": "lmd_norm"})
    metric.update(fake, real)
    doubled.update(FrameBatch(fake.frames, fake.landmarks * 2), FrameBatch(real.frames, real.landmarks * 2))
    eyes = (real.landmarks[:, 36] - real.landmarks[:, 45]).norm(dim=-1).mean()
    assert metric.compute().item() == pytest.approx(1.9980878800304456 / eyes.item(), abs=1e-12)
    assert doubled.compute().item() == pytest.approx(metric.compute().item(), abs=1e-12)


def test_a_frame_without_a_face_is_not_scored():
    fake, real = views()
    gone = fake.landmarks.clone()
    gone[2] = torch.nan
    metric = METRICS.build({"name": "lmd"})
    metric.update(FrameBatch(fake.frames, gone), real)
    kept = landmark_distance(fake.landmarks[[0, 1, 3, 4], 48:], real.landmarks[[0, 1, 3, 4], 48:])
    assert metric.scored.item() == 4
    assert metric.compute().item() == pytest.approx(kept.mean().item(), abs=1e-12)
