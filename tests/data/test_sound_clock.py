"""Sound whose clock drifts, jitters, jumps, and channels and tracks that are not to be heard."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from numbered_clips import beeping, beeps, make_clip, picture

from visemix.data import read_sound
from visemix.data.sound import sound_blocks
from visemix.types import VisemixError


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


def test_opus_in_matroska_by_an_old_ffmpeg_is_heard_with_its_pictures(tmp_path):
    """Its muxer moved pictures back by the codec's delay and counted that delay again, see `counted_twice`."""
    path = make_clip(tmp_path / "a.mkv", sound="libopus", begin="0.04", fps=25)
    path.write_bytes(path.read_bytes().replace(b"Lavf62.", b"Lavf59."))
    now, before = beeps(read_sound(path)), [0.5, 1.5]
    assert np.abs(np.array(now) - before - 0.0065).max() < 0.001
