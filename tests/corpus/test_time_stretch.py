import numpy as np
import pytest

from visemix.corpus.time_stretch import time_stretch
from visemix.data.phonemes import Phone


def tone(hertz, seconds):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16000)) / 16000)


def test_a_stretched_tone_is_longer_and_keeps_its_pitch_and_loudness():
    wave, (phone,) = time_stretch(tone(200, 0.5), [Phone("a", 0.0, 0.5, 1.0)], [3.0])
    assert len(wave) == 24000
    assert (phone.start, phone.stop) == (0.0, 1.5)
    middle = wave[4000:20000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() == 200  # one bin a hertz
    assert np.sqrt((middle**2).mean()) == pytest.approx(np.sqrt(0.5), rel=0.05)


def test_sounds_keep_to_their_places():
    quiet, loud = np.zeros(3200), tone(150, 0.2)
    phones = [Phone("_", 0.0, 0.2, 0.0), Phone("a", 0.2, 0.4, 1.0), Phone("_", 0.4, 0.6, 0.0)]
    wave, moved = time_stretch(np.concatenate([quiet, loud, quiet]), phones, [1.0, 2.0, 1.0])
    assert [phone.stop for phone in moved] == pytest.approx([0.2, 0.6, 0.8])
    assert np.abs(wave[: int(0.17 * 16000)]).max() < 1e-6
    assert np.abs(wave[int(0.63 * 16000) :]).max() < 1e-6
    assert np.sqrt((wave[int(0.25 * 16000) : int(0.55 * 16000)] ** 2).mean()) > 0.6


def test_a_factor_of_one_changes_nothing():
    noise = np.random.default_rng(0).standard_normal(8000)
    wave, _ = time_stretch(noise, [Phone("s", 0.0, 0.5, 1.0)], [1.0])
    np.testing.assert_allclose(wave, noise, atol=1e-9)
