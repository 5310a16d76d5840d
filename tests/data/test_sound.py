import av
import numpy as np
import pytest
import soundfile
import torch
from tiny_videos import beeps, grey

from visemix.data import VideoWriter, is_silent, read_sound, whole_frames
from visemix.data.sound import sound_blocks
from visemix.types import VisemixError


def tone(rate, seconds=0.5, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_every_rate_becomes_the_same_16_khz_tone(tmp_path, rate, kind):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, tone(rate), rate)
    wave = read_sound(path)
    assert wave.dtype == torch.float32 and len(wave) == 8000
    assert np.abs(wave.numpy() - tone(16_000))[200:-200].max() < 2e-3


def test_mp3_is_read(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, tone(44_100, 1.0), 44_100)
    wave = read_sound(path)
    assert abs(len(wave) - 16_000) < 1200
    assert 0.33 < wave[2000:-2000].square().mean().sqrt() < 0.37  # 0.5 / √2


def test_stereo_is_averaged(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([tone(16_000), np.zeros(8000)], 1), 16_000, subtype="FLOAT")
    assert np.abs(read_sound(path).numpy() - tone(16_000) / 2).max() < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path, bad):
    samples = tone(16_000)
    samples[4000] = bad
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(VisemixError, match=r"a\.wav holds samples that are no numbers"):
        read_sound(tmp_path / "a.wav")


def test_a_small_overshoot_is_clipped_and_another_scale_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000) * 2.4, 16_000, subtype="FLOAT")
    assert read_sound(path).abs().max() == 1
    soundfile.write(path, tone(16_000) * 32767, 16_000, subtype="FLOAT")
    with pytest.raises(VisemixError, match="far outside"):
        read_sound(path)


def test_less_than_a_frame_of_sound_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000, 0.04), 16_000)
    assert len(read_sound(path)) == 640
    soundfile.write(path, tone(16_000, 0.039), 16_000)
    with pytest.raises(VisemixError, match=r"a\.wav holds 0\.039 s of sound, less than one video frame"):
        read_sound(path)


def test_a_video_without_sound_is_refused_by_name(tmp_path):
    with VideoWriter(tmp_path / "mute.mp4") as out:
        out.write(grey(5))
    with pytest.raises(VisemixError, match=r"mute\.mp4 has no sound track"):
        read_sound(tmp_path / "mute.mp4")


def test_the_sound_of_a_video_starts_with_its_first_picture(tmp_path):
    """Pictures begin 0.2 s (five frames) after the sound: sample 0 is where they begin."""
    path = tmp_path / "late.mkv"
    sound = beeps(20, every=7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for k, picture in enumerate(grey(15)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), "rgb24")
            frame.pts = k + 5
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray((sound.numpy() * 32767).astype(np.int16)[None], "s16", "mono")
        block.sample_rate = 16_000
        container.mux(audio.encode(block))
    wave = read_sound(path)
    assert (wave[: 15 * 640] - sound[5 * 640 :][: len(wave)]).abs().max() < 1e-3


@pytest.mark.parametrize(("gap", "silence"), [(0.002, 0), (0.02, 320), (0.3, 4800)])
def test_sound_that_is_missing_in_the_file_is_silence_and_what_follows_stays_in_time(tmp_path, gap, silence):
    """Half a second, then nothing for a while by the file's own clock, then half a second more."""
    path, samples = tmp_path / "gap.mkv", (tone(16_000) * 32767).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for start in (0, 8000 + round(gap * 16_000)):
            block = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            block.sample_rate, block.pts = 16_000, start
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    wave = read_sound(path)
    assert len(wave) == 16_000 + silence and not wave[8000 : 8000 + silence].any()
    assert np.abs(wave[8000 + silence :].numpy() - tone(16_000)).max() < 1e-3


def test_silence_is_told_from_faint_sound():
    assert is_silent(torch.zeros(1000))
    assert is_silent(torch.full((1000,), 3e-5))
    assert not is_silent(torch.nn.functional.one_hot(torch.tensor(5), 1000) * 1e-3)


def test_sound_is_padded_or_cut_to_whole_frames():
    wave = torch.ones(1000)
    assert len(whole_frames(wave)) == 1280  # 1.56 frames are nearest to two
    assert whole_frames(wave)[1000:].abs().sum() == 0
    assert len(whole_frames(torch.ones(900))) == 640
    assert torch.equal(whole_frames(wave, 1), wave[:640])
    assert len(whole_frames(wave, 3)) == 1920


def test_sound_comes_in_pieces(tmp_path):
    """An hour of sound is never in memory as it was recorded."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((480_000, 2)), 48_000)
    rate, channels, blocks = sound_blocks(path)
    sizes = [block.shape for block in blocks]
    assert (rate, channels) == (48_000, 2)
    assert sum(size[1] for size in sizes) == 480_000 and max(size[1] for size in sizes) < 10_000


def test_real_silence_and_real_speech(assets):
    assert is_silent(read_sound(assets / "clips/silent_audio_30fps.mp4"))
    assert not is_silent(read_sound(assets / "clips/may_5s.mp4"))
