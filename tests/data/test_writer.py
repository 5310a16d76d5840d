import logging
import resource

import av
import numpy as np
import pytest
import soundfile
import torch
from tiny_videos import beeps, grey, numbers

from visemix.corpus.codecs import apply_codec
from visemix.data import VideoWriter, probe, read_sound, read_video
from visemix.data import writer as writer_module
from visemix.types import SAMPLES_PER_FRAME, VisemixError


def test_frames_come_back_in_number_and_order(tmp_path):
    path = tmp_path / "a.mp4"
    with VideoWriter(path) as out:
        out.write(grey(3))
        for picture in grey(20)[3:]:
            out.write(picture)
    assert numbers(read_video(path)) == list(range(20))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_small_pictures_have_the_same_bytes_whatever_the_process_did_before(tmp_path):
    apply_codec(np.sin(np.arange(48000) / 9), "opus", 24)  # leaves memory behind that is not zero
    pictures = torch.randint(0, 256, (150, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures = pictures.repeat_interleave(8, 2).repeat_interleave(8, 3)
    made = set()
    for k in range(20):
        with VideoWriter(tmp_path / f"{k}.mp4", seekable=True) as out:
            out.write(pictures)
        made.add((tmp_path / f"{k}.mp4").read_bytes())
    assert len(made) == 1


def test_the_streams_are_h264_and_aac(speaking):
    with av.open(str(speaking)) as container:
        assert container.streams.video[0].codec.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert container.streams.audio[0].codec.name == "aac"


@pytest.mark.parametrize("rate", [16_000, 22_050, 37_800, 48_000])
def test_sound_is_in_step_to_the_frame(tmp_path, rate):
    """A burst on every fifth frame is found on every fifth frame, whichever rate it came at."""
    sound = np.interp(np.arange(40 * rate // 25) / rate, np.arange(40 * 640) / 16_000, beeps(40).numpy())
    soundfile.write(tmp_path / "a.wav", sound, rate)
    with VideoWriter(tmp_path / "a.mp4", sound=tmp_path / "a.wav") as out:
        out.write(grey(40))
    loud = read_sound(tmp_path / "a.mp4")[: 40 * 640].view(40, SAMPLES_PER_FRAME).square().mean(1).sqrt()
    assert (loud > 0.3).nonzero()[:, 0].tolist() == list(range(0, 40, 5))
    onset = read_sound(tmp_path / "a.mp4")[4 * 640 : 6 * 640].abs().gt(0.2).nonzero()[0, 0] - 640
    assert abs(int(onset)) < 64  # 4 ms, a tenth of a frame


@pytest.mark.parametrize("samples", [0.4, 2.0])
def test_sound_ends_with_the_pictures(tmp_path, samples):
    with VideoWriter(tmp_path / "a.mp4", sound=torch.full((int(16_000 * samples),), 0.1)) as out:
        out.write(grey(25))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.duration * video.time_base == 1
        assert abs(float(audio.duration * audio.time_base) - 1) < 0.005


def test_floats_are_pictures_in_0_to_1(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", crf=4) as out:
        out.write(grey(8).float() / 255)
    assert numbers(read_video(tmp_path / "a.mp4")) == list(range(8))


def test_pictures_that_are_no_numbers_are_refused_and_nothing_is_left(tmp_path):
    frames = grey(3).float() / 255
    frames[1, 0, 2, 2] = torch.nan
    with (
        pytest.raises(
            VisemixError, match=r"a\.mp4 is not written: from its picture 2 on there are values that are no num"
        ),
        VideoWriter(tmp_path / "a.mp4") as out,
    ):
        out.write(grey(2))
        out.write(frames)
    assert list(tmp_path.iterdir()) == []


def test_odd_sizes_gain_a_row_and_a_column(tmp_path):
    picture = torch.full((3, 33, 35), 200, dtype=torch.uint8)
    with VideoWriter(tmp_path / "a.mp4") as out:
        out.write(picture)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == (1, 3, 34, 36) and back.min() > 190


def test_pictures_that_change_size_are_refused_and_nothing_is_left(tmp_path):
    with (
        pytest.raises(VisemixError, match=r"began with pictures of \(32, 32\)"),
        VideoWriter(tmp_path / "a.mp4") as out,
    ):
        out.write(grey(2))
        out.write(grey(1, size=64))
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept_unless_told(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    with pytest.raises(VisemixError, match=r"a\.mp4 exists and is kept"), VideoWriter(path) as out:
        out.write(grey(2))
    assert path.read_text() == "precious"
    with VideoWriter(path, overwrite=True) as out:
        out.write(grey(2))
    assert probe(path).frames == 2


def test_an_error_midway_leaves_the_old_file_and_no_half_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    with pytest.raises(ZeroDivisionError), VideoWriter(path, overwrite=True) as out:
        out.write(grey(20))
        raise ZeroDivisionError
    assert path.read_text() == "precious" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("room", [100, 20_000])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, room):
    """Files may not grow beyond `room`: to the writer it is a disk that is full."""
    noise = torch.randint(0, 256, (12, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        full = pytest.raises(VisemixError, match=r"a\.mp4 could not be written \(File too large\)")
        with full, VideoWriter(tmp_path / "a.mp4", crf=1, sound=beeps(12)) as out:
            out.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_what_ffmpeg_writes_after_an_error_to_tidy_up_raises_no_second_one(tmp_path):
    with writer_module._Sink("/dev/full", "wb") as sink:
        with pytest.raises(OSError, match="No space left"):
            sink.write(b"moov")
        assert (sink.write(b"moov"), sink.seek(8), sink.tell()) == (4, 0, 0)


def test_sound_that_is_no_sound_is_refused_before_anything_is_written(tmp_path, speaking):
    (tmp_path / "b.wav").write_text("text")
    with (
        pytest.raises(VisemixError, match=r"b\.wav is not a readable"),
        VideoWriter(tmp_path / "a.mp4", sound=tmp_path / "b.wav"),
    ):
        pass
    assert not (tmp_path / "a.mp4").exists()


def test_no_pictures_make_no_file(tmp_path):
    with pytest.raises(VisemixError, match="no picture was made"), VideoWriter(tmp_path / "a.mp4"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_ending_than_mp4_is_refused(tmp_path):
    with pytest.raises(VisemixError, match=r"a\.avi should end in \.mp4"):
        VideoWriter(tmp_path / "a.avi")


def test_without_libx264_mpeg4_takes_its_place_aloud(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(writer_module, "H264", "libx264_that_is_missing")
    with caplog.at_level(logging.WARNING), VideoWriter(tmp_path / "a.mp4", sound=beeps(20)) as out:
        out.write(grey(20))
    assert "no libx264" in caplog.text
    assert numbers(read_video(tmp_path / "a.mp4")) == list(range(20))


@pytest.mark.parametrize("sound", [None, beeps(60)])
@pytest.mark.parametrize("seekable", [False, True])
def test_the_index_comes_before_the_pictures_and_equal_pictures_are_equal_bytes(tmp_path, sound, seekable):
    bodies = []
    for name in ("a.mp4", "b.mp4"):
        with VideoWriter(tmp_path / name, sound=sound, seekable=seekable) as out:
            out.write(grey(60))
        bodies.append((tmp_path / name).read_bytes())
    assert 0 < bodies[0].index(b"moov") < bodies[0].index(b"mdat")
    assert bodies[0] == bodies[1]
    assert numbers(read_video(tmp_path / "a.mp4")) == [k % 28 for k in range(60)]


@pytest.mark.parametrize("name", ["10:30.mp4", "a%03d.mp4", "#1 [x] 'q'.mp4", "n" * 251 + ".mp4", "你" * 83 + ".mp4"])
def test_any_name_that_a_file_system_takes_is_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(name) as out:
        out.write(grey(3))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert probe(tmp_path / name).frames == 3


def test_what_a_disk_takes_a_part_of_is_written_in_full_or_not_at_all(tmp_path):
    room = 1000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with writer_module._Sink(tmp_path / "a", "wb") as file, pytest.raises(OSError, match="File too large"):
            file.write(b"x" * 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
