"""One clock for pictures and sound: each picture by its number, each beep by its time, whatever a file is made of."""

from fractions import Fraction

import av
import numpy as np
import pytest
from numbered_clips import beeps, make_clip, number

from visemix.data import VideoReader, read_sound
from visemix.data.timeline import KeyFrames, Lost
from visemix.types import VisemixError

MPEG2 = {"codec": "mpeg2video", "sound": "mp2", "options": {"bf": "2"}}
OPUS = {"sound": "libopus"}
PCM = {"sound": "pcm_s16le"}
CLIPS = {
    "plain.mp4": {},
    "plain.mov": PCM,
    "plain.mkv": {},
    "opus.mkv": OPUS,
    "flac.mkv": {"sound": "flac"},
    "vp9.webm": {**OPUS, "codec": "libvpx-vp9"},
    "plain.flv": {},
    "plain.ts": {},
    "mp2.ts": {**MPEG2},
    "mp2.mpg": MPEG2,
    "h264.avi": PCM,
    "mpeg4.avi": {**PCM, "codec": "mpeg4", "options": {"bf": "0"}},
    "b_frames.avi": {**PCM, "codec": "mpeg4", "options": {"bf": "2"}},
    "mjpeg.avi": {**PCM, "codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mkv": {**MPEG2, "sound": "ac3"},
    "ffv1.nut": {**PCM, "codec": "ffv1"},
    "no_edit_list.mp4": {"mux": {"use_editlist": "0"}},
    "no_edit_list_at_16_khz.mp4": {"mux": {"use_editlist": "0"}, "rate": 16_000},
    "fragments.mp4": {"mux": {"movflags": "frag_keyframe+empty_moov"}},
    "fragments_at_16_khz.mp4": {"mux": {"movflags": "frag_keyframe+empty_moov"}, "rate": 16_000},
    "fragments_with_edit_list.mp4": {"mux": {"movflags": "frag_keyframe+delay_moov"}},
    "index_first.mp4": {"mux": {"movflags": "faststart"}},
    "ntsc.mp4": {"fps": "30000/1001"},
    "ntsc_film.mkv": {"fps": "24000/1001"},
    "30.mp4": {"fps": 30},
    "50.ts": {"fps": 50},
    "60.avi": {**PCM, "fps": 60},
    "12.mkv": {"fps": 12},
    "8_khz.mov": {**PCM, "rate": 8_000},
    "16_khz.mp4": {"rate": 16_000},
    "44_khz.mkv": {"rate": 44_100},
    "stereo.mp4": {"layout": "stereo"},
    "5.1.mkv": {**PCM, "layout": "5.1"},
    "7.1.mkv": {**PCM, "layout": "7.1"},
    "7.1_opus.mkv": {**OPUS, "layout": "7.1"},
    "7.1_flac.mkv": {"sound": "flac", "layout": "7.1"},
    "16_channels.mov": {**PCM, "layout": "hexadecagonal"},
    "late_sound.mp4": {"late": 0.3},
    "late_sound.mkv": {**OPUS, "late": 0.3},
    "early_sound.mp4": {"late": -0.3},
    "early_sound.mkv": {"late": -0.3},
    "early_sound.ts": {"late": -0.3},
    "begins_late.mkv": {"begin": 1},
    "begins_late.ts": {"begin": 1},
    "anamorphic.mp4": {"shape": "4/3"},
    "narrow_pixels.mkv": {"shape": "8/9"},
}
SIDES = {"anamorphic.mp4": (128, 256), "narrow_pixels.mkv": (128, 171)}


def on_screen(frames, fps):
    """The recorded frames that 25 a second show, by plain arithmetic; less than two milliseconds early is in time."""
    fps = Fraction(fps)
    total = max(1, round(frames / fps * 25))
    return [min(frames - 1, int((Fraction(k, 25) + Fraction(1999, 10**6)) * fps)) for k in range(total)]


@pytest.mark.parametrize("name", CLIPS)
def test_each_picture_and_each_beep_is_where_it_was_recorded(tmp_path, name):
    recipe = CLIPS[name]
    path = make_clip(tmp_path / name, **recipe)
    reader = VideoReader(path)
    found = [number(frame) for frame in reader]
    fps = Fraction(recipe.get("fps", 25))
    assert found == on_screen(int(Fraction("2.2") * fps), fps)
    assert reader.notes == []
    assert (reader.height, reader.width) == SIDES.get(name, (128, 192))
    heard = beeps(read_sound(path))
    assert len(heard) == 2 and np.abs(np.array(heard) - [0.5, 1.5]).max() < 0.005
    for start in (1, 11, 12, 30, 53):
        assert [number(frame) for frame in reader.between(start, start + 2)] == found[start : start + 2]


def test_mpeg_program_streams_give_the_same_pictures_wherever_reading_begins(tmp_path):
    """FFmpeg guesses the timestamps of an MPEG-PS from where a seek lands."""
    reader = VideoReader(make_clip(tmp_path / "a.mpg", seconds=4, codec="mpeg2video", sound="mp2", options={"bf": "2"}))
    for start in range(1, 98, 3):
        assert [number(frame) for frame in reader.between(start, start + 2)] == [start, start + 1]


def test_the_order_of_decoding_in_another_container_is_not_taken_for_that_of_showing(tmp_path):
    """What was copied from AVI has AVI's timestamps, and nobody else's flag for it."""
    whole = make_clip(tmp_path / "a.mp4", sound=None, options={"bf": "3"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.pts, packet.stream = packet.dts, stream
                out.mux(packet)
    reader = VideoReader(tmp_path / "b.mkv")
    assert [number(frame) for frame in reader] == list(range(55))
    assert [number(frame) for frame in reader.between(30, 33)] == [30, 31, 32]


def test_pictures_without_any_timestamps_are_counted(tmp_path):
    path = make_clip(tmp_path / "a.h264", sound=None, kind="h264")
    assert [number(frame) for frame in VideoReader(path)] == list(range(55))


def test_a_picture_that_is_missing_leaves_the_one_before_on_screen(tmp_path):
    whole = make_clip(tmp_path / "a.mp4", sound=None, options={"bf": "0"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for k, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is not None and k not in (11, 23, 35):  # the last ones before key frames
                packet.stream = stream
                out.mux(packet)
    expected = [k - 1 if k in (11, 23, 35) else k for k in range(55)]
    assert [number(frame) for frame in VideoReader(tmp_path / "b.mkv")] == expected


def test_seeking_that_lands_somewhere_else_is_noticed(tmp_path, monkeypatch):
    """A container whose seeking goes nowhere: pictures come from the beginning then, and are the same."""
    path = make_clip(tmp_path / "a.mkv", sound=None)

    def lost(*_):
        raise Lost

    monkeypatch.setattr(KeyFrames, "seek", lost)
    assert [number(frame) for frame in VideoReader(path).between(30, 32)] == [30, 31]


def test_a_clock_of_pictures_that_jumps_by_hours_is_refused(tmp_path):
    whole = make_clip(tmp_path / "a.mp4", sound=None, options={"bf": "0"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                if packet.pts >= 12 * 512:
                    packet.pts = packet.dts = packet.pts + round(5 * 3600 / packet.time_base)
                packet.stream = stream
                out.mux(packet)
    with pytest.raises(VisemixError, match=r"the clock of .*b\.mkv jumps from 0\.44 s to 18000\.48 s"):
        list(VideoReader(tmp_path / "b.mkv"))
