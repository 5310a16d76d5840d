import copy

import pytest
import torch

from visemix.metrics import METRICS, View, as_bytes


def part(view, frames):
    return View(view.frames[frames], view.landmarks[frames])


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_does_not_depend_on_the_batching(name, pair):
    fake, real = pair
    whole, apart = METRICS.build({"name": name}), METRICS.build({"name": name})
    whole.update(fake, real)
    for t in range(6):
        apart.update(part(fake, slice(t, t + 1)), part(real, slice(t, t + 1)))
    torch.testing.assert_close(whole.compute(), apart.compute(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", METRICS.names())
def test_two_processes_together_remember_what_one_would(name, pair):
    fake, real = pair
    whole, first, second = (METRICS.build({"name": name}) for _ in range(3))
    whole.update(fake, real)
    first.update(part(fake, slice(0, 2)), part(real, slice(0, 2)))
    second.update(part(fake, slice(2, 6)), part(real, slice(2, 6)))
    first.merge_state(copy.deepcopy(second))
    torch.testing.assert_close(first.compute(), whole.compute(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_says_what_it_is(name):
    metric = METRICS.build({"name": name})
    assert metric.unit and len(metric.variant) > 20
    assert metric.higher_is_better in (True, False)
    assert metric.region in ("full", "face", "mouth")
    assert (metric.region == "face") == name.endswith("_face")


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_tells_better_from_worse(name, pair):
    fake, real = pair
    worse = View(fake.frames // 2, fake.landmarks * torch.tensor([1.0, 1.1]))
    good, bad = METRICS.build({"name": name}), METRICS.build({"name": name})
    good.update(fake, real)
    bad.update(worse, real)
    assert (good.compute() > bad.compute()).item() is good.higher_is_better


def test_pictures_become_bytes_by_rounding():
    levels = torch.arange(256).reshape(1, 1, 256).expand(3, 1, 256)
    assert (as_bytes(levels / 255) == levels).all()
    assert as_bytes(torch.tensor([-1.0, 0.4981, 2.0]).reshape(3, 1, 1)).flatten().tolist() == [0, 127, 255]
