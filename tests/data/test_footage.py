import itertools

import pytest
import torch
from clip_maker import make
from tiny_videos import grey, numbers, write_timed

from visemix.data import VideoReader
from visemix.data.footage import paste_into_source, pingpong, read_frames
from visemix.ops.store import sha256
from visemix.types import VisemixError


def test_there_and_back_again():
    assert pingpong(3, 9) == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert pingpong(3, 4, start=3) == [1, 0, 1, 2]
    assert pingpong(5, 3) == [0, 1, 2]


@pytest.mark.parametrize("at_once", [1, 4, 50])
def test_frames_come_in_the_order_asked_for(tmp_path, at_once):
    reader = VideoReader(write_timed(tmp_path / "a.mp4", [i / 30 for i in range(26)], g="12"))
    direct = list(reader)
    order = [*pingpong(len(direct), 60), 3, 17, 17, 0]
    found = list(read_frames(reader, order, at_once))
    assert len(found) == len(order)
    assert all(torch.equal(frame, direct[k]) for frame, k in zip(found, order, strict=True))


def test_an_endless_order_is_read_as_it_is_needed(tmp_path):
    reader = VideoReader(write_timed(tmp_path / "a.mp4", [i / 25 for i in range(10)]))
    endless = (k % 10 for k in itertools.count())
    assert numbers(itertools.islice(read_frames(reader, endless, 4), 23)) == [k % 10 for k in range(23)]


@pytest.fixture
def clip(tmp_path, face):
    """A clip of 16 frames, cut at (4, 2) and side 24 out of a 32² source, from its frame 3 on."""
    video = write_timed(tmp_path / "source.mp4", [i / 25 for i in range(19)])
    source = {"path": str(video), "bytes": video.stat().st_size, "sha256": sha256(video), "first": 3}
    return make(tmp_path / "a", face, frames=16, source=source, crop={"x": 4, "y": 2, "side": 24})


def test_crops_land_in_the_frames_they_were_made_over(clip):
    order = [0, 5, 15, 14]
    crops = [torch.full((3, 32, 32), 1.0)] * 4
    frames = list(paste_into_source(clip, order, crops))
    sources = numbers(frame[:, :2] for frame in frames)  # the rows above the box are the source's
    assert sources == [3, 8, 18, 17]
    assert all((frame[:, 10:18, 10:18] == 255).all() for frame in frames)


@pytest.mark.parametrize("change", ["gone", "shorter", "other bytes"])
def test_without_its_source_the_crops_are_delivered_and_it_is_said(clip, caplog, change):
    video = clip.path.parent / "source.mp4"
    body = video.read_bytes()
    if change == "gone":
        video.unlink()
    else:
        video.write_bytes(body[:-1] if change == "shorter" else body[:-1] + b"?")
    crops = list(grey(3).float() / 255)
    frames = list(paste_into_source(clip, [0, 1, 2], crops))
    assert all(torch.equal(a, b) for a, b in zip(frames, crops, strict=True))
    assert "source.mp4" in caplog.text and "the result is the square crop" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": {"x": 100_000, "y": 2, "side": 24}}, "cut out beside the pictures"),
        ({"crop": {"x": 4, "y": -24, "side": 24}}, "cut out beside the pictures"),
        ({"source": {"first": 10**9}}, "ends before its frame 1000000000"),
    ],
)
def test_a_stranger_s_clip_that_was_cut_nowhere_is_a_sentence(clip, change, message):
    for key, said in change.items():
        clip.meta[key] = {**clip.meta[key], **said}
    with pytest.raises(VisemixError, match=message):
        list(paste_into_source(clip, [0], [torch.ones(3, 32, 32)]))


def test_a_clip_that_was_never_cut_delivers_its_crops(tmp_path, face, caplog):
    crops = list(grey(2).float() / 255)
    assert len(list(paste_into_source(make(tmp_path / "a", face, frames=2), [0, 1], crops))) == 2
    assert "does not say what it was cut from" in caplog.text
