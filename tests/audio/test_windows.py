"""Windows, on a stand-in for the model inside: no extra is needed."""

import numpy as np
import pytest
import torch

from visemix.audio.base import stream_features
from visemix.audio.windows import WindowedEncoder
from visemix.types import Speech, VisemixError


class Standin(WindowedEncoder):
    """The mean of every 384 samples, and as a second feature that of the whole window: it hears all it is given."""

    hop, centre = 384.0, 192.0

    def __init__(self, chunk=4, look_back=6, look_ahead=3, digest="00" * 32):
        super().__init__(chunk, look_back, look_ahead, 2, digest)
        self.lengths = []

    def encode(self, wave):
        self.lengths.append(len(wave))
        rows = wave[: len(wave) // 384 * 384].reshape(-1, 384).mean(1)
        return np.stack([rows, np.full(len(rows), wave.mean())], 1)


def noise(frames, seed=0):
    return torch.randn(1, frames * 640, generator=torch.Generator().manual_seed(seed))


def changed_rows(encoder, at, frames=40):
    wave = noise(frames)
    other = wave.clone()
    other[:, at * 640 : (at + 1) * 640] += 1
    moved = (encoder(Speech(wave)).values - encoder(Speech(other)).values).abs().amax((0, 2)) > 1e-6
    return moved.nonzero().flatten().tolist()


def test_rows_lie_at_the_middle_of_their_frames():
    ramp = torch.arange(40 * 640.0).unsqueeze(0)
    values = Standin()(Speech(ramp)).values[0, 6:30, 0]
    expected = 640 * torch.arange(6, 30) + 319.5  # the mean of samples 0 … 639 is 319.5
    torch.testing.assert_close(values, expected, atol=0.1, rtol=0)


def test_a_row_hears_its_chunk_the_look_back_and_the_look_ahead_and_no_more():
    # chunks of 4 frames: that from frame s on hears s − 6 … s + 6, so frame 20 is heard by those from 16, 20 and 24 on
    assert changed_rows(Standin(), 20) == list(range(16, 28))


def test_every_window_is_as_long_however_short_or_long_the_sound():
    encoder = Standin()
    for frames in (1, 3, 4, 41):
        encoder(Speech(noise(frames)))
    assert set(encoder.lengths) == {13 * 640}


@pytest.mark.parametrize("frames", [1, 7, 12, 40, 61])
def test_a_stream_says_what_one_pass_says_to_the_bit(frames, monkeypatch):
    monkeypatch.setattr("visemix.audio.base.BLOCK_FRAMES", 10)  # no multiple of the chunk: it must be cut at 8
    encoder, speech = Standin(), Speech(noise(frames))
    streamed = torch.cat([piece.values for piece in stream_features(encoder, speech)], 1)
    torch.testing.assert_close(streamed, encoder(speech).values, atol=0, rtol=0)


def test_a_training_window_that_brings_its_surroundings_hears_what_the_whole_sound_does():
    encoder, speech = Standin(), Speech(noise(60))
    window = speech.part(20, 34, *encoder.context)
    torch.testing.assert_close(encoder(window).values, encoder(speech).values[:, 20:34], atol=0, rtol=0)
    assert not torch.equal(encoder(Speech(window.wave)).values, encoder(window).values)


def test_a_part_of_speech_brings_so_many_frames_before_and_so_many_after_as_are_known():
    speech = Speech(torch.arange(10 * 640.0)[None])
    part = speech.part(4, 6, past=3, ahead=1)
    spans = (part.before, 1, 4), (part.wave, 4, 6), (part.after, 6, 7)
    assert all(torch.equal(sound[0], torch.arange(640.0 * first, 640.0 * last)) for sound, first, last in spans)
    inner, edge = part.part(0, 1, past=2, ahead=2), speech.part(1, 9, past=3, ahead=3)
    assert torch.equal(torch.cat([inner.before, inner.wave, inner.after], 1), speech.wave[:, 2 * 640 : 7 * 640])
    assert (edge.before.shape[1], edge.after.shape[1]) == (640, 640)
    assert edge.around(3, 2)[0, :1280].abs().sum() == 0 and edge.around(3, 2)[0, -640:].abs().sum() == 0


def test_silence_and_a_tenth_of_a_second_and_nothing_at_all():
    encoder = Standin()
    assert encoder(Speech(torch.zeros(2, 1600))).values.shape == (2, 2, 2)
    assert encoder(Speech(torch.zeros(1, 100))).values.shape == (1, 0, 2)


def test_a_checkpoint_of_another_model_file_is_refused():
    encoder = Standin()
    encoder.load_state_dict(Standin(digest="11" * 32).state_dict())
    with pytest.raises(VisemixError, match="another version of the 'standin' model"):
        encoder(Speech(noise(5)))


@pytest.mark.parametrize("options", [{"chunk": 0}, {"look_back": -1}, {"look_ahead": -1}])
def test_windows_that_cannot_be_are_refused(options):
    with pytest.raises(VisemixError, match=r"audio\.chunk=.*audio\.look_back=.*audio\.look_ahead="):
        Standin(**options)
