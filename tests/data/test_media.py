import pickle

import pytest
import torch
from tiny_videos import grey, numbers, write_timed

from visemix.data import FrameFile, VideoReader, VideoWriter, in_chunks, probe, read_video
from visemix.types import VisemixError


def test_thirty_frames_a_second_lose_one_in_six(tmp_path):
    path = write_timed(tmp_path / "a.mp4", [i / 30 for i in range(18)])
    assert numbers(VideoReader(path)) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16]


def test_a_variable_rate_shows_each_frame_as_long_as_it_was_on_screen(tmp_path):
    path = write_timed(tmp_path / "a.mp4", [0, 0.04, 0.2, 0.25, 0.4])
    assert numbers(VideoReader(path)) == [0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 4]


def test_a_late_first_picture_is_frame_zero(tmp_path):
    path = write_timed(tmp_path / "a.mkv", [1 + i / 25 for i in range(6)], rate=1000)
    assert numbers(VideoReader(path)) == [0, 1, 2, 3, 4, 5]


def test_timestamps_rounded_to_milliseconds_do_not_repeat_or_drop_frames(tmp_path):
    times = [i / 25 + (0.001 if i % 2 else -0.001) for i in range(1, 25)]
    path = write_timed(tmp_path / "a.mkv", [0, *times], rate=1000)
    assert numbers(VideoReader(path)) == list(range(25))


def test_a_window_is_the_same_found_by_seeking(tmp_path):
    path = write_timed(tmp_path / "a.mp4", [i / 30 for i in range(26)], g="12")
    whole = read_video(path)
    reader = VideoReader(path)
    for start, stop in ((0, 3), (1, 2), (9, 15), (17, len(whole)), (5, 5)):
        found = list(reader.between(start, stop))
        assert len(found) == stop - start
        assert all(torch.equal(a, b) for a, b in zip(found, whole[start:stop], strict=True))


def test_frames_in_chunks_are_the_same_frames(speaking):
    chunks = list(in_chunks(VideoReader(speaking), 8))
    assert [len(chunk) for chunk in chunks] == [8, 8, 4]
    assert torch.equal(torch.cat(chunks), read_video(speaking))


def test_probe_tells_rate_length_size_and_sound(speaking):
    info = probe(speaking)
    assert (info.frames, info.fps, info.seconds, info.width, info.height, info.sound) == (20, 25, 0.8, 32, 32, True)


def test_a_phone_held_upright_gives_upright_pictures(tmp_path):
    path = tmp_path / "a.mp4"
    picture = torch.zeros(3, 32, 64, dtype=torch.uint8)
    picture[:, :, :32] = 200  # the left half is bright
    with VideoWriter(path) as out:
        out.write(picture)
    body = path.read_bytes()
    # The display matrix of the track header, 16.16 fixed point: "turn by 90 degrees clockwise".
    here = body.index(b"tkhd") + 4 + 40
    turn = [0, 1 << 16, 0, -1 << 16, 0, 0, 32 << 16, 0, 1 << 30]
    path.write_bytes(body[:here] + b"".join(v.to_bytes(4, "big", signed=True) for v in turn) + body[here + 36 :])
    reader = VideoReader(path)
    (turned,) = reader
    assert (reader.height, reader.width) == tuple(turned.shape[1:]) == (64, 32)
    assert turned[:, :30].min() > 180 and turned[:, 34:].max() < 20  # what was left is now on top


def test_a_text_file_named_mp4_is_refused_by_name(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("no video at all\n" * 50)
    for use in (probe, VideoReader):
        with pytest.raises(VisemixError, match=r"notes\.mp4 is not a readable video"):
            use(path)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(VisemixError, match=r"no such file: .*gone\.mp4"):
        probe(tmp_path / "gone.mp4")
    with pytest.raises(VisemixError, match=r"is a folder; give the videos or sounds in it"):
        probe(tmp_path)


def test_a_video_without_its_index_is_refused(tmp_path, speaking):
    path = tmp_path / "cut.mp4"
    path.write_bytes(speaking.read_bytes()[:500])  # within its index, which comes first
    with pytest.raises(VisemixError, match=r"cut\.mp4 is not a readable video .* cut off"):
        VideoReader(path)


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_video_that_breaks_off_gives_its_frames_and_says_so(tmp_path, kind):
    path = write_timed(tmp_path / f"a.{kind}", [i / 25 for i in range(50)], g="5")
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * 0.6)])
    reader = VideoReader(path)
    found = numbers(reader)
    assert found == list(range(len(found))) and 2 < len(found) < 45
    assert len(reader.notes) == 1 and reader.notes[0].startswith("breaks off at")


def test_a_whole_video_has_nothing_to_note(speaking):
    reader = VideoReader(speaking)
    assert len(list(reader)) == 20 and reader.notes == []


def test_colours_come_back_without_a_cast(tmp_path):
    colours = torch.tensor([[200, 40, 40], [40, 200, 40], [40, 40, 200], [128, 128, 128]], dtype=torch.uint8)
    frames = colours[:, :, None, None].expand(4, 3, 64, 64)
    with VideoWriter(tmp_path / "a.mp4", crf=4) as out:
        out.write(frames)
    assert (read_video(tmp_path / "a.mp4").int() - frames.int()).abs().max() <= 3


def test_real_clips_have_a_frame_every_fortieth_of_a_second(assets):
    expected = {"retalk_1_vfr": 152, "silent_audio_30fps": 180}  # 6.1 and 7.2 seconds
    for name, frames in expected.items():
        reader = VideoReader(assets / f"clips/{name}.mp4")
        assert sum(1 for _ in reader) == reader.frames == frames


@pytest.fixture
def seekable(tmp_path):
    path = tmp_path / "frames.mp4"
    with VideoWriter(path, seekable=True, crf=10) as out:
        out.write(grey(24))
    return path


def test_any_frame_can_be_fetched_in_any_order(seekable):
    file = FrameFile(seekable)
    assert len(file) == 24
    for order in ([23, 0, 7, 8, 9, 9, 3], list(range(24)), list(range(23, -1, -1))):
        assert numbers(file.frames(order)) == order


def test_a_frame_file_travels_to_another_process_after_use(seekable):
    file = FrameFile(seekable)
    file.frames([3])
    assert numbers(pickle.loads(pickle.dumps(file)).frames([5, 2])) == [5, 2]


def test_a_picture_of_a_causal_video_does_not_depend_on_those_after_it(tmp_path):
    pictures = torch.randint(0, 255, (30, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures = pictures // 8 + 4 * torch.arange(30, dtype=torch.uint8)[:, None, None, None]
    kept = []
    for name in ("one.mp4", "two.mp4"):
        with VideoWriter(tmp_path / name, seekable=True, causal=True) as out:
            out.write(pictures)
        kept.append(FrameFile(tmp_path / name).frames(range(30)))
        pictures[17:] = pictures[16]  # what does not move is kept better, and what leads to it too
    assert torch.equal(kept[0][:17], kept[1][:17])
    assert not torch.equal(kept[0][17:], kept[1][17:])


def test_a_frame_beyond_the_end_is_refused(seekable):
    with pytest.raises(VisemixError, match="has frames 0 to 23, not 24"):
        FrameFile(seekable).frames([24])
    with pytest.raises(VisemixError, match="not -1"):
        FrameFile(seekable).frames([-1])


def test_kept_frames_are_not_decoded_again_and_no_more_are_kept_than_asked(seekable, monkeypatch):
    frame = FrameFile(seekable).frames([0])[0].numel()
    file, decoded = FrameFile(seekable, keep=2 * frame), []
    read = file._frame
    monkeypatch.setattr(file, "_frame", lambda k: decoded.append(k) or read(k))
    first = file.frames([3, 1, 2])
    assert torch.equal(file.frames([3, 1, 2]), first)
    assert decoded == [3, 1, 2, 2]  # the third had no room
