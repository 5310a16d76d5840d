import numpy as np
import pytest
import torch
from torch.nn import functional as F

from visemix.data.media import VideoReader
from visemix.data.sound import read_sound
from visemix.evaluation.pair import landmarks, make_tracker
from visemix.metrics import METRICS, NoScore, VideoSequence
from visemix.ops import avlag
from visemix.ops.store import sha256
from visemix.types import FPS


@pytest.fixture(scope="module")
def talk(assets):
    """A real clip: where its mouth is, and its sound."""
    tracker, reason = make_tracker()
    if tracker is None:
        pytest.skip(reason)
    path = assets / "clips/WDA_KatieHill_000.mp4"
    pictures = (picture.permute(1, 2, 0).numpy() for picture in VideoReader(path))
    return VideoSequence(float(FPS), landmarks(tracker, pictures)[0], read_sound(path), source=sha256(path))


def offset(take, sound=None):
    metric = METRICS.build({"name": "avproxy_offset"})
    metric.update(
        VideoSequence(take.fps, take.landmarks, take.sound if sound is None else sound, source=take.source), take
    )
    return metric.compute().item()


@pytest.mark.parametrize("frames", [2, 5, 8, -2, -5, -8])
def test_moving_the_sound_of_a_real_clip_moves_the_offset_as_far_the_other_way(talk, frames):
    late = F.pad(talk.sound, (640 * frames, 0)) if frames > 0 else talk.sound[-640 * frames :]
    assert offset(talk, late) == offset(talk) - frames


def test_a_clip_that_was_fitted_on_is_judged_by_a_fit_without_it(talk):
    matrices, notes = avlag.load_detector()
    assert talk.source in notes["clips"].values()
    own, all_of_them = matrices[talk.source], matrices["all"]
    sound, mouth = avlag.audio_rows(talk.sound, 200), avlag.mouth_rows(talk.landmarks, talk.fps)
    correlation = METRICS.build({"name": "avproxy_corr@0"})
    correlation.update(talk, talk)
    fair, flattered = (avlag.find_lag(sound @ m.double().numpy(), mouth) for m in (own, all_of_them))
    assert correlation.compute().item() == pytest.approx(fair.at_zero, abs=1e-12)
    assert flattered.correlations.max() > fair.correlations.max()


def test_a_foreign_sound_stands_out_less_than_the_clips_own(talk, assets):
    foreign = read_sound(assets / "speech/RD_Radio31_000.wav")[: len(talk.sound)]
    values = []
    for sound in (talk.sound, foreign):
        metric = METRICS.build({"name": "avproxy_peak_z"})
        metric.update(VideoSequence(talk.fps, talk.landmarks, sound), talk)
        values.append(metric.compute().item())
    assert values[0] > 3 > values[1]


def test_a_fit_finds_back_the_lag_it_is_given():
    r = np.random.default_rng(0)
    sound = r.standard_normal((400, 6))
    mouth = np.roll(sound[:, :3] @ r.standard_normal((3, 3)), 4, axis=0)  # the mouth moves four frames after
    matrix = avlag.fit([(sound, mouth, 4)])
    assert avlag.find_lag(sound @ matrix, mouth).offset == 4
    assert avlag.find_lag(sound @ matrix, mouth).correlations[19] > 0.9


def test_a_lag_stands_out_from_the_bests_of_the_same_sound_far_out_of_step():
    r = np.random.default_rng(1)
    mouth = r.standard_normal((150, 2))
    heard = np.roll(mouth, -3, axis=0) + r.standard_normal((150, 2))
    found = avlag.find_lag(heard, mouth)
    a, b = (rows - rows.mean(0) for rows in (heard, mouth))
    around = [(a * np.roll(b, -lag, axis=0)).sum() / np.sqrt((a**2).sum() * (b**2).sum()) for lag in range(150)]
    bests = [max(around[(lag + k) % 150] for k in range(-15, 16)) for lag in range(31, 150 - 31)]
    assert found.offset == 3
    assert found.peak_z == pytest.approx((found.correlations.max() - np.mean(bests)) / np.std(bests), rel=1e-9)


def test_other_frame_rates_are_brought_to_25(talk):
    slow = VideoSequence(12.5, talk.landmarks[::2], talk.sound, source=talk.source)
    assert abs(offset(slow) - offset(talk)) <= 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: (t.landmarks[:99], t.sound), "99 frames with sound"),
        (lambda t: (t.landmarks, t.sound[:32_000]), "50 frames with sound"),
        (lambda t: (t.landmarks, torch.zeros_like(t.sound)), "silence"),
        (lambda t: (t.landmarks[:1].expand(200, 68, 2), t.sound), "mouth does not move"),
    ],
)
def test_clips_that_cannot_be_judged_are_refused(talk, change, reason):
    points, sound = change(talk)
    with pytest.raises(NoScore, match=reason):
        offset(VideoSequence(25.0, points, sound))


def test_an_offset_is_given_only_where_one_lag_stands_out(talk):
    noise = 0.1 * torch.randn(len(talk.sound), generator=torch.Generator().manual_seed(0))
    unsaid = VideoSequence(talk.fps, talk.landmarks, noise, source=talk.source)
    peak = METRICS.build({"name": "avproxy_peak_z"})
    peak.update(unsaid, talk)
    assert peak.compute() < 2
    with pytest.raises(NoScore, match=r"no lag stands out \(z .*, at least 2 is wanted\): is this speech\?"):
        offset(unsaid)


def test_the_best_at_the_edge_leaves_the_offset_unknown_and_nothing_else(talk):
    correlation, peak = (METRICS.build({"name": name}) for name in ("avproxy_corr@0", "avproxy_peak_z"))
    found = correlation.lags(talk, talk)
    assert len(found) == 31 and int(np.argmax(found)) - 15 == offset(talk)
    late = VideoSequence(
        talk.fps, talk.landmarks, F.pad(talk.sound, (640 * int(15 + offset(talk)), 0)), source=talk.source
    )
    moved = correlation.lags(late, talk)
    assert int(np.argmax(moved)) == 0
    assert correlation.measure(late, talk).tolist() == [[moved[15]]]
    assert peak.measure(late, talk).item() > 2
    with pytest.raises(NoScore, match="at the edge"):
        offset(late)
