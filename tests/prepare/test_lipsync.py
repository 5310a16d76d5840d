"""A mouth that does what the lag detector expects of a sound, some frames later or earlier."""

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import gaussian_filter1d

from visemix.ops import avlag
from visemix.prepare.lipsync import lip_sync, remarks

FRAMES = 200


def babble(seed=0):
    """Noise that comes and goes, as syllables do."""
    r = np.random.default_rng(seed)
    loudness = np.exp(3 * gaussian_filter1d(r.standard_normal(FRAMES), 2.0) * 2)
    envelope = np.interp(np.arange(FRAMES * 640) / 640, np.arange(FRAMES), loudness)
    return torch.from_numpy(0.02 * envelope * r.standard_normal(FRAMES * 640)).float().clamp(-1, 1)


def mouth(sound, late=0):
    """Landmarks whose lips open as `sound` foretells, `late` frames after it."""
    foretold = avlag.audio_rows(sound, FRAMES) @ avlag.load_detector()[0]["all"].double().numpy()
    shape = np.roll(foretold[:, :3] / foretold[:, :3].std(0), late, axis=0)
    points = torch.zeros(FRAMES, 68, 2)
    points[:, 45, 0] = 100.0  # the eyes' corners, 100 px apart
    points[:, 66, 1] = torch.from_numpy(10 + shape[:, 0])
    points[:, 57, 1] = torch.from_numpy(30 + shape[:, 1])
    points[:, 54, 0] = torch.from_numpy(50 + shape[:, 2])
    return points


def judged(late=0, points=None, sound=None, present=None):
    sound = babble() if sound is None else sound
    there = np.ones(FRAMES, bool) if present is None else present
    return lip_sync(mouth(babble(), late) if points is None else points, there, sound, "")


@pytest.mark.parametrize("late", [-4, -1, 0, 3])
def test_the_lag_between_sound_and_lips_is_found(late):
    found = judged(late)
    assert (found["follows"], found["lag"]) == (True, late)
    assert found["z"] > 3 and found["correlation"] > 0.5
    assert yaml.safe_load(yaml.safe_dump(found)) == found  # meta.yaml takes plain numbers only


def test_frames_without_a_face_are_passed_over_and_many_leave_it_open():
    gone = np.ones(FRAMES, bool)
    gone[50:58] = False
    points = mouth(babble(), 2)
    points[50:58] = 1e4
    assert judged(points=points, present=gone)["lag"] == 2
    gone[50:80] = False
    assert judged(points=points, present=gone) == {
        "follows": None, "lag": 0, "reason": "no face was found in 30 of 200 frames",
    }  # fmt: skip


def test_lips_that_follow_another_sound_or_none_have_no_lip_sync():
    other = judged(sound=babble(seed=1))
    assert (other["follows"], other["lag"]) == (False, 0) and "no lag stands out" in other["reason"]
    still = judged(points=mouth(babble())[:1].expand(FRAMES, 68, 2))
    assert still == {"follows": False, "lag": 0, "reason": "the mouth does not move"}


def test_a_clip_too_short_to_tell_is_left_open():
    found = lip_sync(mouth(babble())[:90], np.ones(90, bool), babble()[: 90 * 640], "")
    assert found["follows"] is None and "90 frames with sound" in found["reason"]
    assert remarks(found) == []


def test_what_is_worth_a_note():
    assert remarks(judged(0)) == []
    assert remarks({"follows": True, "lag": -1, "z": 5.04}) == [
        "its sound is 1 frame late (z 5.0); where motion is learned from it, it is moved"
    ]
    (note,) = remarks(judged(sound=babble(seed=1)))
    assert note.startswith("no lip sync: its lips do not follow its sound (no lag stands out")
