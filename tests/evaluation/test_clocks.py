"""Two files are compared by what they show at each time, whatever their containers, rates and orientations are."""

from fractions import Fraction

import av
import numpy as np
import pytest
from tiny_videos import QUARTER, turn, write

from visemix.evaluation.videos import evaluate


def moving(k):
    """A picture whose bright bar has moved on by a pixel a frame."""
    picture = np.full((64, 96, 3), 60, np.uint8)
    picture[:, 8 + k : 24 + k] = 200
    picture[: 8 + k] += 30
    return picture


def timed(path, places, rate=25):
    """Pictures `moving(k)` for the numbers `places`, each at k / rate seconds: the numbers left out are dropped."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for k in places:
            frame = av.VideoFrame.from_ndarray(moving(k), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("dropped_of", ["real", "fake"])
def test_a_dropped_frame_moves_none_of_those_after_it(tmp_path, dropped_of):
    sides = {"real": range(30), "fake": range(30)} | {dropped_of: [k for k in range(30) if k != 7]}
    real, fake = (timed(tmp_path / f"{side}.mkv", places) for side, places in sides.items())
    scores = evaluate(real, fake, ["psnr"], progress=False).clips["real"].metrics["psnr"].frames
    assert len(scores) == 30 and scores[7] < 25
    assert all(score > 45 for k, score in enumerate(scores) if k != 7)


@pytest.mark.parametrize(("one", "other"), [(30, 25), (25, 30), (50, 25), (30, 15)])
def test_rates_that_differ_are_compared_by_time(tmp_path, one, other):
    """The picture at t seconds is the same on both sides, where a time belongs to both."""
    base = 150  # pictures a second of what is filmed, which each side shows some of
    paths = []
    for side, rate in (("real", one), ("fake", other)):
        numbers = range(0, base, base // rate)
        pictures = [np.full((64, 96, 3), 20 + k, np.uint8) for k in numbers]
        with av.open(str(tmp_path / f"{side}.mkv"), "w") as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "1"})
            stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        paths.append(tmp_path / f"{side}.mkv")
    shown = [base // rate for rate in (one, other)]
    apart = [abs((6 * k // shown[0]) * shown[0] - (6 * k // shown[1]) * shown[1]) for k in range(25)]  # grey levels
    scored = evaluate(*paths, ["psnr"], progress=False).clips["real"]
    assert scored.frames == 25 and scored.fps == 25.0
    for score, levels in zip(scored.metrics["psnr"].frames, apart, strict=True):
        assert 10 ** ((48.13 - score) / 20) == pytest.approx(levels, abs=1.2) if levels > 1 else score > 42


def test_a_video_that_is_stored_turned_is_scored_upright(tmp_path):
    rng = np.random.default_rng(0)
    stored = [rng.integers(60, 200, (8, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(4)]
    turn(write(tmp_path / "turned.mp4", stored), QUARTER)
    upright = write(tmp_path / "upright.mp4", [np.rot90(picture, -1) for picture in stored])
    report = evaluate(upright, tmp_path / "turned.mp4", ["psnr"], progress=False)
    assert report.clips["upright"].size == (64, 96)
    assert report.summary["psnr"].value is None or report.summary["psnr"].value > 40
