import av
import numpy as np
import pytest

from visemix.evaluation.pairing import find_pairs, rgb_frames
from visemix.types import VisemixError


def video(path, frames=3, size=(32, 48), fps=25):
    """A small lossless video of noise; answers with its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "0"}
        for _ in range(frames):
            picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    (pair,), notes = find_pairs(video(tmp_path / "real.mp4"), video(tmp_path / "fake.mp4", 5))
    assert (pair.name, pair.width, pair.height, pair.frames, pair.fps) == ("real", 48, 32, (3, 5), 25.0)
    assert notes == []


def test_folders_are_paired_by_name_and_what_is_left_out_is_said(tmp_path):
    for name in ("real/a.mp4", "real/b.mp4", "real/c.mp4", "fake/b.mp4"):
        video(tmp_path / name)
    video(tmp_path / "fake/a.mov")
    pairs, notes = find_pairs(tmp_path / "real", tmp_path / "fake")
    assert [(pair.name, pair.fake.name) for pair in pairs] == [("a", "a.mov"), ("b", "b.mp4")]
    assert notes == ["1 of 3 real videos have no fake and are left out: c"]


def test_a_prepared_clip_stands_for_its_pictures(tmp_path):
    for name in ("one", "two"):
        video(tmp_path / f"prepared/{name}/frames.mp4")
        (tmp_path / f"prepared/{name}/meta.yaml").write_text("frames: 3\n")
        video(tmp_path / f"fake/{name}.mp4")
    pairs, _ = find_pairs(tmp_path / "prepared", tmp_path / "fake")
    assert [(pair.name, pair.real.name) for pair in pairs] == [("one", "frames.mp4"), ("two", "frames.mp4")]
    (pair,), _ = find_pairs(tmp_path / "prepared/two", tmp_path / "fake/one.mp4")
    assert pair.name == "two"


def test_a_fake_without_a_real_one_is_refused(tmp_path):
    for name in ("real/a.mp4", "fake/b.mp4"):
        video(tmp_path / name)
    with pytest.raises(VisemixError, match=r"has 'b', which has no partner .* \(have: a\)"):
        find_pairs(tmp_path / "real", tmp_path / "fake")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"size": (32, 64)}, r"is 48×32 and .* is 64×32; make them one size"),
        ({"fps": 30}, r"has 25 frames a second and .* 30; convert"),
        ({"fps": 24}, r"has 25 frames a second and .* 24; convert"),
    ],
)
def test_unequal_sizes_and_rates_are_refused(tmp_path, other, message):
    with pytest.raises(VisemixError, match=message):
        find_pairs(video(tmp_path / "real.mp4"), video(tmp_path / "fake.mp4", **other))


def test_what_holds_no_video_is_refused(tmp_path):
    real = video(tmp_path / "real.mp4")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    for fake, message in [("empty", "holds neither videos"), ("text.mp4", "not a readable"), ("gone", "no such file")]:
        with pytest.raises(VisemixError, match=message):
            find_pairs(real, tmp_path / fake)


def test_frames_come_as_recorded_and_not_at_25_a_second(tmp_path):
    path = video(tmp_path / "slow.mp4", frames=7, fps=10)
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(np.stack(list(rgb_frames(path))), np.stack(expected))
    assert len(expected) == 7
