import pytest
import torch

from visemix.metrics import METRICS, NoScore, VideoSequence
from visemix.metrics.silence import in_silence, runs, settling_time, silences

FRAME = 640
SPEECH = torch.sin(torch.arange(20 * FRAME) / 5)
SOUND = torch.cat([SPEECH, torch.zeros(15 * FRAME), SPEECH, torch.zeros(5 * FRAME), SPEECH[: 10 * FRAME]])


def talk(slow=0, restless=0.0, rest=0.02, lag=None):
    """Lips that open by half the eyes' distance with the sound and come to rest `slow` frames after it."""
    said = SOUND.unflatten(0, (-1, FRAME)).abs().amax(1) > 0
    opening = torch.where(said, 0.5, rest)
    opening[20 : 20 + slow] = 0.5
    opening[20:35] += restless * torch.tensor([1.0, -1.0, 0.0]).repeat(5)
    opening = opening.roll(lag or 0)
    points = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)).expand(len(said), 68, 2).clone()
    points[:, 36], points[:, 45] = torch.tensor([0.0, 0.0]), torch.tensor([100.0, 0.0])
    points[:, 62], points[:, 66, 0] = torch.tensor([50.0, 60.0]), 50.0
    points[:, 66, 1] = 60 + 100 * opening
    return VideoSequence(landmarks=points, sound=SOUND, lag=lag)


def score(name, fake, real):
    metric = METRICS.build({"name": name})
    metric.update(fake, real)
    return metric.compute().item()


def test_silence_is_what_stays_quiet_long_enough():
    assert runs(silences(SOUND, 25.0)) == [range(20, 35)]
    assert runs(silences(SOUND, 25.0, least=0.2)) == [range(20, 35), range(55, 60)]
    assert runs(silences(SOUND + 0.01 * torch.randn(len(SOUND)), 25.0)) == [range(20, 35)]
    assert runs(silences(SOUND, 50.0)) == [range(40, 70)]
    assert not silences(torch.zeros(30 * FRAME), 25.0).any()


def test_lips_that_are_twice_as_restless_in_silence_have_the_ratio_two_however_far_they_open():
    still, restless = talk(restless=0.01), talk(restless=0.02, rest=0.1)
    assert score("silent_lips", still, still) == pytest.approx(1)
    assert score("silent_lips", restless, still) == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("slow", [0, 3, 7])
def test_a_mouth_has_settled_when_it_stays_near_the_rest_of_the_real_one(slow):
    assert score("settle", talk(slow), talk()) == slow
    assert score("settle", talk(slow, restless=0.015), talk()) == slow
    assert score("settle", talk(slow, rest=0.2), talk()) == 15  # it rests elsewhere: all of the silence


def test_a_recordings_silence_is_where_its_lips_are_silent():
    for lag in (-4, 3):
        opening, still = in_silence(talk(lag=lag))
        assert opening[still].unique().tolist() == pytest.approx([0.02]) and still.sum() == 15
        assert score("settle", talk(2), talk(lag=lag)) == 2


def test_a_stretch_without_a_face_is_not_rest():
    opening = torch.tensor([5.0, 1.0, torch.nan, 1.0, 1.0, 1.0])
    assert settling_time(opening, torch.tensor([False, *5 * [True]]), torch.tensor(1.0), 0.5).tolist() == [2]


@pytest.mark.parametrize("name", ["silent_lips", "settle"])
def test_without_silence_there_is_no_score(name):
    talking = talk()
    never = VideoSequence(landmarks=talking.landmarks[:20], sound=SPEECH)
    with pytest.raises(NoScore, match=r"there is no silence of 0\.3 s"):
        METRICS.build({"name": name}).update(never, talking)
