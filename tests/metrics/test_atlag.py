import pytest
import torch

from visemix.metrics import METRICS, NoScore, VideoSequence
from visemix.metrics.atlag import _view, by_sound
from visemix.ops.avlag import Lag

LAGGED = [name for name in METRICS.names() if name.endswith("@lag") and not name.startswith("avproxy")]
PLAIN = {"opening_corr@lag": "opening_corr@0"}


def talk(frames=120, late=0, **known):
    """A mouth that says the same, `late` frames later; everything else keeps still."""
    course = torch.sin(0.9 * torch.arange(-20.0, 200.0)) + torch.sin(0.37 * torch.arange(-20.0, 200.0))
    course = course[20 - late : 20 - late + frames]
    points = 50 * torch.rand(68, 3, generator=torch.Generator().manual_seed(0)).expand(frames, 68, 3).clone()
    points[:, 36], points[:, 45] = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([100.0, 0.0, 0.0])
    points[:, 62], points[:, 66] = torch.tensor([50.0, 60.0, 0.0]), torch.tensor([50.0, 70.0, 0.0])
    points[:, 66, 1] += 4 * course
    return VideoSequence(landmarks=points[..., :2], fit=points / 1000, **known)


def score(name, fake, real):
    metric = METRICS.build({"name": name})
    if metric.per == "frame":
        fake, real = (_view(take) for take in (fake, real))
    metric.update(fake, real)
    return metric.compute().item()


@pytest.mark.parametrize("name", LAGGED)
@pytest.mark.parametrize("late", [-3, 4])
def test_a_mouth_that_was_made_from_sound_is_right_beside_a_recording_whose_sound_is_early_or_late(name, late):
    made, recorded = talk(lag=0), talk(late=late, lag=late)  # a mouth that comes late: its sound is early
    best = 1.0 if "corr" in name else 0.0
    assert score(name, made, recorded) == pytest.approx(best, abs=5e-3 if best else 1e-9)
    assert abs(score(PLAIN.get(name, name.split("@")[0]), made, recorded) - best) > 1e-6 + 0.1 * best


@pytest.mark.parametrize("name", LAGGED)
def test_a_recording_is_right_beside_itself_and_without_a_lag_nothing_changes(name):
    recorded = talk(late=4, lag=4)
    assert score(name, recorded, recorded) == pytest.approx(1.0 if "corr" in name else 0.0, abs=1e-9)
    plain = PLAIN.get(name, name.split("@")[0])
    assert score(name, talk(late=2, lag=0), talk(lag=0)) == score(plain, talk(late=2), talk())


def test_only_frames_with_a_partner_are_compared():
    there, here = by_sound(talk(30, lag=0), talk(32, lag=5))
    assert len(there.landmarks) == len(here.landmarks) == 27
    with pytest.raises(NoScore, match="4 frames has none left when it is moved by 5"):
        by_sound(talk(4, lag=0), talk(4, lag=5))


def test_the_proxy_takes_the_correlation_at_the_videos_own_lag():
    metric = METRICS.build({"name": "avproxy_corr@lag"})
    curve = torch.arange(31.0).numpy() / 31
    for lag, wanted in ((0, 15), (-4, 11)):
        sequence = VideoSequence(lag=lag, memo={"avproxy": Lag(2, curve, 5.0)})
        assert metric.measure(sequence, sequence).item() == pytest.approx(wanted / 31)
    with pytest.raises(NoScore, match="for a lag of 16 frames"):
        metric.measure(VideoSequence(lag=16, memo={"avproxy": Lag(2, curve, 5.0)}), VideoSequence())
