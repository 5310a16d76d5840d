import numpy as np
import pytest
from tiny_videos import write

from visemix.metrics import VideoSequence
from visemix.prepare.track import Track, Tracker
from visemix.report.excerpts import evenly, excerpt_videos, heat, mouth_strip, mouths, openings


class Pretend(Tracker):
    """In mediapipe's place: a mouth of 20 × 8 pixels in the middle, opening frame by frame; frame 2 is lost."""

    def __call__(self, frames):
        count = sum(1 for _ in frames)
        points = np.full((count, 68, 2), 5.0, np.float32)
        points[:, 48:68, 0], points[:, 48:68, 1] = np.linspace(22, 42, 20), np.linspace(36, 44, 20)
        points[:, 45, 0] = 55.0
        points[:, 62], points[:, 66, 0] = (32, 40), 32
        points[:, 66, 1] = 40 + np.arange(count) / 2
        return [Track(0, np.arange(count) != 2, points)]


@pytest.fixture
def videos(tmp_path):
    """A recording of 16 grey frames, and a fake that is brighter by 20 in its lower half, and two frames longer."""
    real = [np.full((64, 64, 3), 60 + 4 * k, np.uint8) for k in range(16)]
    fake = [frame + 20 * (np.arange(64) >= 32).astype(np.uint8)[:, None, None] for frame in [*real, *real[:2]]]
    return {"recorded": write(tmp_path / "real.mp4", real), "ours": write(tmp_path / "fake.mp4", fake)}


def test_sheets_and_errors_are_of_the_same_frames_and_in_levels(videos):
    excerpts = excerpt_videos(videos, 16, None)
    assert excerpts["recorded"].errors is None and len(excerpts["recorded"].sheet) == 6
    shades = excerpts["recorded"].sheet[:, 10, 10].mean(-1)
    assert shades == pytest.approx([60 + 4 * k for k in (2, 4, 6, 9, 11, 13)], abs=3)
    ours = excerpts["ours"]
    assert ours.mean_error[5].mean() < 2 and ours.mean_error[60].mean() == pytest.approx(20, abs=2)
    assert ours.errors.shape == (6, 64, 64) and ours.errors[:, 60].mean() == pytest.approx(20, abs=2)
    assert openings(ours.sequence).size == 0 and mouths(ours.sequence).shape == (0, 40)


def test_openings_and_mouth_shapes_come_from_landmarks(videos):
    sequence = excerpt_videos(videos, 16, Pretend())["ours"].sequence
    opened = openings(sequence)
    assert len(opened) == 16 and np.isnan(opened[2])
    assert opened[3] == pytest.approx(100 * 1.5 / 50)  # the corners of the eyes are 50 px apart
    shapes = mouths(sequence)
    assert shapes.shape == (15, 40) and np.abs(shapes.reshape(15, 20, 2).mean(1)).max() < 1e-6


def test_mouths_are_cut_to_the_recorded_mouths_box(videos):
    excerpts = excerpt_videos(videos, 16, Pretend())
    cut = mouth_strip(excerpts["ours"].sheet, excerpts["recorded"].sequence)
    assert cut.shape[1] == 6 * 34 and cut.shape[2] == 3  # 20 px, and 7 more on either side
    assert mouth_strip(excerpts["ours"].sheet, VideoSequence()) is None


def test_heat_grows_lighter_evenly():
    colours = heat(np.linspace(0, 64, 50)).astype(float)
    light = colours @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all() and light[0] < 2 and light[-1] > 230


def test_thinning_keeps_both_ends():
    rows = np.arange(10.0)[:, None]
    assert evenly(rows, 4).ravel().tolist() == [0, 3, 6, 9]
    assert evenly(rows, 20) is rows
