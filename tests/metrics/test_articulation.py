import numpy as np
import pytest
import torch

from visemix.metrics import METRICS, NoScore, VideoSequence
from visemix.metrics.articulation import differences, mouth_opening


def recipe():
    i, j, c = np.arange(5)[:, None, None], np.arange(68)[None, :, None], np.arange(2)
    real = 256 + 100 * np.sin(0.37 * j + 1.1 * c) + 3 * np.sin(0.5 * i + 0.2 * j + c)
    return torch.from_numpy(real + 2 * np.cos(0.9 * i + 0.31 * j + 1.7 * c) + 4)


def test_speed_acceleration_and_jerk_have_the_published_values():
    mouth = recipe()[:, 48:]
    found = [differences(mouth, order).item() for order in (1, 2, 3)]
    assert found == pytest.approx([1.2026438742295973, 1.1004987661019292, 1.0933434162727518], abs=1e-9)


def talk(frames=60, opening=1.0, tremble=0.0):
    g = torch.Generator().manual_seed(2)
    points = 100 + 40 * torch.rand(68, 2, generator=g).expand(frames, 68, 2).clone()
    points[:, 36], points[:, 45] = torch.tensor([60.0, 50.0]), torch.tensor([160.0, 50.0])
    points[:, 62], points[:, 66] = torch.tensor([110.0, 150.0]), torch.tensor([110.0, 152.0])
    seconds = torch.arange(frames) / 25
    points[:, 66, 1] += opening * (5 + 5 * torch.sin(9 * seconds))
    points[:, 48:, 0] += tremble * torch.randn(frames, 20, generator=g)
    return VideoSequence(landmarks=points)


def score(name, fake, real):
    metric = METRICS.build({"name": name})
    metric.update(fake, real)
    return metric.compute().item()


def test_a_mouth_that_opens_half_as_far_has_half_the_spread():
    assert score("opening_spread", talk(opening=0.5), talk()) == pytest.approx(0.5, rel=1e-5)
    opening = mouth_opening(talk().landmarks)
    assert opening[0].item() == pytest.approx((2 + 5) / 100, rel=1e-5)


def test_the_real_clip_has_the_ratio_one_and_a_trembling_one_more():
    assert score("jitter", talk(), talk()) == score("opening_spread", talk(), talk()) == 1
    assert score("jitter", talk(tremble=1.0), talk()) > 2
    assert score("jitter", talk(opening=0.5), talk()) == pytest.approx(0.5, rel=1e-4)


def test_what_trembles_beside_the_mouth_is_no_jitter():
    restless = talk().landmarks.clone()
    restless[:, :48, 1] += torch.randn(60, 48, generator=torch.Generator().manual_seed(0))
    assert score("jitter", VideoSequence(landmarks=restless), talk()) == 1


@pytest.mark.parametrize("name", ["jitter", "opening_spread"])
def test_clips_that_say_nothing_of_movement_are_refused(name):
    metric = METRICS.build({"name": name})
    still = VideoSequence(landmarks=torch.rand(68, 2).expand(10, 68, 2))
    with pytest.raises(NoScore, match="the real mouth does not move"):
        metric.update(talk(10), still)
    with pytest.raises(NoScore, match="needs three frames or more, not 2"):
        metric.update(talk(2), talk(2))
    lost = talk().landmarks.clone()
    lost[:4] = torch.nan
    with pytest.raises(NoScore, match="no face was found in 4 of 60"):
        metric.update(VideoSequence(landmarks=lost), talk())


def test_a_few_lost_frames_are_left_out():
    lost = talk().landmarks.clone()
    lost[10] = torch.nan
    assert score("jitter", VideoSequence(landmarks=lost), talk()) == pytest.approx(1, abs=0.1)
    assert score("opening_spread", VideoSequence(landmarks=lost), talk()) == pytest.approx(1, abs=0.05)
