"""One clock for pictures and sound: each picture by its number, each beep by its time, whatever a file is made of."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch
from numbered_clips import beeping, beeps, make_clip, number, picture

from visemix.data import VideoReader, read_sound
from visemix.data.sound import sound_blocks
from visemix.data.timeline import KeyFrames
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


def test_opus_in_matroska_by_an_old_ffmpeg_is_heard_with_its_pictures(tmp_path):
    """Its muxer moved pictures back by the codec's delay and counted that delay again, see `counted_twice`."""
    path = make_clip(tmp_path / "a.mkv", sound="libopus", begin="0.04", fps=25)
    path.write_bytes(path.read_bytes().replace(b"Lavf62.", b"Lavf59."))
    now, before = beeps(read_sound(path)), [0.5, 1.5]
    assert np.abs(np.array(now) - before - 0.0065).max() < 0.001


def turned(path, matrix):
    """The display matrix in the track header, 16.16 fixed point (2.30 in the last column)."""
    body = path.read_bytes()
    here = body.index(b"tkhd") + 4 + 40
    a, b, c, d = (v << 16 for v in matrix)
    entries = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    path.write_bytes(body[:here] + b"".join(v.to_bytes(4, "big", signed=True) for v in entries) + body[here + 36 :])


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p.flip(2)),
        ((1, 0, 0, -1), lambda p: p.flip(1)),
        ((-1, 0, 0, -1), lambda p: p.rot90(2, (1, 2))),
        ((0, 1, -1, 0), lambda p: p.rot90(-1, (1, 2))),  # a quarter turn clockwise
        ((0, -1, 1, 0), lambda p: p.rot90(1, (1, 2))),
        ((0, 1, 1, 0), lambda p: p.transpose(1, 2)),
        ((0, -1, -1, 0), lambda p: p.transpose(1, 2).flip(1, 2)),
    ],
)
def test_all_eight_ways_to_turn_and_mirror_a_picture(tmp_path, matrix, shown):
    path = make_clip(tmp_path / "a.mp4", seconds=0.2, sound=None)
    stored = next(iter(VideoReader(path)))
    turned(path, matrix)
    reader = VideoReader(path)
    assert torch.equal(next(iter(reader)), shown(stored))
    assert (reader.height, reader.width) == tuple(shown(stored).shape[1:])


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
    monkeypatch.setattr(KeyFrames, "seek", lambda *_: iter_lost())
    assert [number(frame) for frame in VideoReader(path).between(30, 32)] == [30, 31]


def iter_lost():
    from visemix.data.timeline import Lost

    raise Lost


def timed_sound(path, times, *, block=960, rate=48_000, seconds=None):
    """Beeping PCM whose blocks have these times, in seconds, beside one picture a second."""
    wave = beeping(seconds or len(times) * block / rate, rate)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        audio.time_base = Fraction(1, rate)
        packets = []
        for k in range(max(1, int(len(wave) / rate))):
            frame = av.VideoFrame.from_ndarray(picture(k, 32, 32), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1)
            packets += video.encode(frame)
        packets += video.encode(None)
        for k, time in enumerate(times):
            samples = (wave[k * block : (k + 1) * block] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(time * rate), Fraction(1, rate)
            packets += audio.encode(frame)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


@pytest.mark.parametrize("speed", [0.998, 0.9995, 1.0005, 1.002, 1.02])
def test_sound_that_was_recorded_by_another_clock_stays_in_time(tmp_path, speed):
    path = timed_sound(tmp_path / "a.mkv", [k * 0.02 * speed for k in range(1000)])
    heard = beeps(read_sound(path))
    assert len(heard) == 20
    assert np.abs(np.array(heard) - (np.arange(20) + 0.5) * speed).max() < 0.005


def test_a_clock_that_jitters_neither_shifts_nor_tears_sound(tmp_path):
    jitter = np.random.default_rng(0).uniform(-0.01, 0.01, 500)
    jitter[0] = 0
    path = timed_sound(tmp_path / "a.mkv", [max(0, k * 0.02 + jitter[k]) for k in range(500)])
    heard = beeps(read_sound(path))
    assert len(heard) == 10 and np.abs(np.array(heard) - np.arange(10) - 0.5).max() < 0.005


def test_sound_by_a_clock_of_its_own_is_not_distorted(tmp_path):
    """A pure tone, moved by half a percent, keeps all but a ten-thousandth of its energy in one place."""
    rate = 48_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(5 * rate) / rate)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for k in range(250):
            block = av.AudioFrame.from_ndarray(
                (tone[None, k * 960 : (k + 1) * 960] * 32767).astype(np.int16), "s16", "mono"
            )
            block.sample_rate, block.pts = rate, round(k * 960 * 1.005)
            container.mux(audio.encode(block))
    wave = read_sound(tmp_path / "a.mkv").numpy()[16_000:48_000]
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    peak = int(power.argmax())
    assert abs(peak / 2 - 1000 / 1.005) < 1  # bins of half a hertz
    assert power[peak - 6 : peak + 7].sum() > 0.9999 * power.sum()


def test_a_hole_of_ten_minutes_is_silence_in_small_pieces(tmp_path):
    path = timed_sound(tmp_path / "a.mkv", [0.02 * k + (600 if k >= 50 else 0) for k in range(100)])
    heard = beeps(read_sound(path))
    assert np.abs(np.array(heard) - [0.5, 601.5]).max() < 0.005
    _, _, blocks = sound_blocks(path)
    assert max(block.shape[1] for block in blocks) <= 48_000


@pytest.mark.parametrize("jump", [4 * 3600, 1000 * 3600])
def test_a_jump_of_hours_is_refused_before_anything_is_filled(tmp_path, jump):
    path = timed_sound(tmp_path / "a.mkv", [0.02 * k + (jump if k >= 50 else 0) for k in range(100)])
    with pytest.raises(VisemixError, match=r"a\.mkv .* clock jumps on by"):
        read_sound(path)


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


@pytest.mark.parametrize("other", [-1, -0.9])
def test_channels_that_cancel_each_other_out_are_not_averaged(tmp_path, other, caplog):
    wave = beeping(2, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([wave, other * wave], 1), 16_000, subtype="FLOAT")
    assert np.abs(read_sound(tmp_path / "a.wav").numpy() - wave).max() < 1e-6
    assert "cancel each other out" in caplog.text


def test_channels_that_differ_are_averaged_without_a_word(tmp_path, caplog):
    noise = 0.1 * np.random.default_rng(0).standard_normal((16_000, 2))
    soundfile.write(tmp_path / "a.wav", noise, 16_000, subtype="FLOAT")
    assert np.abs(read_sound(tmp_path / "a.wav").numpy() - noise.mean(1)).max() < 1e-6
    assert not caplog.records


@pytest.mark.parametrize("rate", [1, 50, 999])
def test_a_rate_at_which_nothing_can_be_heard_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.zeros(100 * rate), rate)
    with pytest.raises(VisemixError, match=rf"has {rate} samples a second"):
        read_sound(tmp_path / "a.wav")


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_of_several_tracks_the_default_one_is_heard(tmp_path, kind):
    with av.open(str(tmp_path / f"a.{kind}"), "w") as container:
        tracks = [container.add_stream("aac", rate=16_000, layout="mono") for _ in range(3)]
        for track, default in zip(tracks, (False, True, False), strict=True):
            track.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
        for track, level in zip(tracks, (0, 0.5, 0), strict=True):
            tone = level * np.sin(np.arange(16_000) / 5)
            frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    assert read_sound(tmp_path / f"a.{kind}").abs().max() > 0.4


def test_sound_that_lasts_longer_than_the_pictures_is_nothing_that_breaks_off(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=2, sound=None)
    longer = tmp_path / "b.mkv"
    with av.open(str(path)) as source, av.open(str(longer), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        audio = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        sound = [*audio.encode(frame), *audio.encode(None)]
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
        for packet in sound:
            out.mux(packet)
    reader = VideoReader(longer)
    assert len(list(reader)) == 50 and reader.notes == []


def test_pictures_that_change_size_midway_are_brought_to_the_first_ones(tmp_path):
    parts = []
    for k, (width, height) in enumerate(((192, 128), (96, 64))):
        path = tmp_path / f"{k}.h264"
        with av.open(str(path), "w", format="h264") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for n in range(5):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(5 * k + n, width, height), "rgb24")))
            out.mux(stream.encode(None))
        parts.append(path.read_bytes())
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    reader = VideoReader(tmp_path / "both.h264")
    frames = list(reader)
    assert {frame.shape for frame in frames} == {(3, 128, 192)}
    assert [number(frame) for frame in frames] == list(range(10))
    assert reader.notes == ["its pictures change size midway; all are brought to the first one's"]


@pytest.mark.parametrize(("transfer", "name", "grey"), [(18, "HLG", 192), (16, "PQ", 148)])
def test_hdr_is_tone_mapped_and_said(tmp_path, transfer, name, grey):
    """White paper, 203 cd/m² (75 % of HLG, 58 % of PQ), is bright on an ordinary screen, and black is black."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, 9, 9, 1
        flat = np.zeros((64, 64, 3), np.uint8)
        flat[:, 32:] = grey
        yuv = av.VideoFrame.from_ndarray(flat, "rgb24").reformat(format="yuv420p10le", dst_colorspace=9)
        out.mux(stream.encode(yuv))
        out.mux(stream.encode(None))
    reader = VideoReader(path)
    frame = next(iter(reader)).float()
    assert frame[:, :, :28].max() < 3 and 215 < frame[:, :, 36:].mean() < 250
    assert frame[:, 20, 50].max() - frame[:, 20, 50].min() < 4  # grey stays grey
    assert reader.notes == [f"its pictures are HDR ({name}); they are tone-mapped for an ordinary screen"]


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    av.VideoFrame.from_ndarray(picture(37), "rgb24").to_image().save(path)
    (frame,) = VideoReader(path)
    assert number(frame) == 37


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nfile://{}\n#EXT-X-ENDLIST\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        '<Representation id="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.txt", "a.ffconcat"])
def test_lists_of_other_files_open_none(tmp_path, text, name):
    other = make_clip(tmp_path / "other.ts", seconds=1)
    (tmp_path / name).write_text(text.format(other))
    (tmp_path / f"relative_{name}").write_text(text.format("other.ts"))
    for path in (tmp_path / name, tmp_path / f"relative_{name}"):
        for use in (VideoReader, read_sound):
            with pytest.raises(VisemixError, match="is not a readable video or sound file"):
                use(path)


@pytest.mark.parametrize("name", ["10:30.mp4", "http:a.mp4", "concat:b.mp4", "50%.mp4", "a b|c.mp4", "%03d.mp4"])
def test_no_name_is_a_protocol(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", seconds=1).rename(tmp_path / name)
    assert len(list(VideoReader(name))) == 25
    assert len(read_sound(name)) >= 15_000
