import unicodedata
from fractions import Fraction

import av
import numpy as np
import pytest

from visemix.data import VideoReader
from visemix.evaluation.pairing import find_pairs, pictures
from visemix.types import VisemixError


def video(path, frames=3, size=(32, 48), fps=25, pixels="yuv420p"):
    """A small lossless video of noise; answers with its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.options = {"crf": "0"}
        for _ in range(frames):
            picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    (pair,), notes = find_pairs(video(tmp_path / "real.mp4"), video(tmp_path / "fake.mp4", 5))
    assert (pair.name, pair.width, pair.height, pair.frames, pair.notes) == ("real", 48, 32, (3, 5), [])
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


@pytest.mark.parametrize("width", [46, 50, 64])
def test_unequal_sizes_are_refused(tmp_path, width):
    with pytest.raises(VisemixError, match=rf"is 48×32 and .* is {width}×32; make them one size"):
        find_pairs(video(tmp_path / "real.mp4"), video(tmp_path / "fake.mp4", size=(32, width)))


@pytest.mark.parametrize("odd_side", ["real", "fake"])
def test_what_was_made_even_is_compared_with_the_odd_one_in_what_both_show_and_it_is_said(tmp_path, odd_side):
    sizes = {"real": (32, 48), "fake": (32, 48)} | {odd_side: (31, 47)}
    videos = [video(tmp_path / f"{side}.mkv", size=size, pixels="yuv444p") for side, size in sizes.items()]
    (pair,), _ = find_pairs(*videos)
    assert (pair.width, pair.height) == (47, 31)
    (note,) = pair.notes
    assert "47×31" in note and "48×32" in note and "47×31 are compared" in note
    (cut, *_), (whole, *_) = (list(pictures(VideoReader(videos[1]), *size)) for size in ((47, 31), (None, None)))
    assert np.array_equal(cut, whole[:31, :47]) and cut.shape == (31, 47, 3)


@pytest.mark.parametrize("odd", [(31, 50), (33, 48), (32, 49)])
def test_an_odd_side_has_no_other_partner_than_the_next_even_one(tmp_path, odd):
    with pytest.raises(VisemixError, match="make them one size"):
        find_pairs(
            video(tmp_path / "real.mkv", size=odd, pixels="yuv444p"), video(tmp_path / "fake.mkv", size=(32, 48))
        )


@pytest.mark.parametrize(("one", "other"), [(30, 25), (25, 30), (30, "30000/1001"), ("30000/1001", 30), (30, 30)])
def test_videos_of_any_rate_are_a_pair_and_it_is_said_at_which_they_are_compared(tmp_path, one, other):
    (pair,), _ = find_pairs(video(tmp_path / "real.mp4", 30, fps=one), video(tmp_path / "fake.mp4", 30, fps=other))
    (note,) = pair.notes
    said = [f"{float(Fraction(rate)):.5g}" for rate in (one, other)]
    assert note.startswith(
        f"real has {said[0]} frames a second and fake {said[1]}; they are compared 25 times a second"
    )


def test_names_are_the_same_however_an_operating_system_spells_them(tmp_path):
    for side, form in (("real", "NFC"), ("fake", "NFD")):
        for name in ("Zoë", "naïve"):
            video(tmp_path / side / f"{unicodedata.normalize(form, name)}.mp4")
    pairs, notes = find_pairs(tmp_path / "real", tmp_path / "fake")
    assert [pair.name for pair in pairs] == ["Zoë", "naïve"] and notes == []


def test_files_that_look_like_videos_and_are_none_are_passed_over_aloud(tmp_path):
    for side in ("real", "fake"):
        video(tmp_path / side / "a.mp4")
        (tmp_path / side / "._a.mp4").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X        ")
        (tmp_path / side / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "real/b.mp4").mkdir()
    pairs, notes = find_pairs(tmp_path / "real", tmp_path / "fake")
    assert [pair.name for pair in pairs] == ["a"]
    assert notes == [
        f"passed over in {tmp_path / 'real'}: ._a.mp4, b.mp4",
        f"passed over in {tmp_path / 'fake'}: ._a.mp4",
    ]


def test_what_holds_no_video_is_refused(tmp_path):
    real = video(tmp_path / "real.mp4")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    for fake, message in [("empty", "holds neither videos"), ("text.mp4", "not a readable"), ("gone", "no such file")]:
        with pytest.raises(VisemixError, match=message):
            find_pairs(real, tmp_path / fake)


def test_pictures_come_25_times_a_second_as_the_reader_of_every_other_command_shows_them(tmp_path):
    path = video(tmp_path / "slow.mp4", frames=7, fps=10)
    shown = np.stack(list(pictures(VideoReader(path))))
    with av.open(str(path)) as container:
        stored = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)
    assert len(stored) == 7 and len(shown) == 18
    nearest = [int(np.abs(stored - picture).mean((1, 2, 3)).argmin()) for picture in shown]
    assert nearest == [k * 10 // 25 for k in range(18)]
