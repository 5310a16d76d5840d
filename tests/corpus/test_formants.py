import numpy as np
import pytest

from visemix.corpus.formants import formants, synthesise_formants
from visemix.data.phonemes import SOUNDS, Phone


def test_a_vowel_carries_its_formants():
    energy = {}
    for symbol in "ɑi":
        wave = synthesise_formants([Phone(symbol, 0.0, 1.0, 1.0)], np.array([100.0]), 1.0, np.random.default_rng(0))
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2  # one bin a hertz
        energy[symbol] = [spectrum[a:b].sum() / spectrum.sum() for a, b in ((150, 450), (550, 1300), (1900, 3300))]
    assert energy["i"][0] > 0.5 > energy["ɑ"][0]
    assert energy["ɑ"][1] > 0.4 > energy["i"][1]
    assert energy["i"][2] > energy["ɑ"][2]


def test_an_open_vowel_raises_the_first_formant_and_a_front_one_the_second():
    assert formants("a")[0] > 2 * formants("i")[0]
    assert formants("i")[1] > 2 * formants("u")[1]
    assert formants("y")[1] < formants("i")[1]  # rounding lowers it


def test_a_shorter_throat_and_a_higher_pitch_are_heard():
    def centre(throat):
        wave = synthesise_formants([Phone("ɑ", 0.0, 0.5, 1.0)], np.array([100.0]), throat, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(wave)) ** 2
        return (power * np.fft.rfftfreq(len(wave), 1 / 16000)).sum() / power.sum()

    assert centre(0.8) > 1.1 * centre(1.0)
    wave = synthesise_formants([Phone("ɑ", 0.0, 0.5, 1.0)], np.array([200.0]), 1.0, np.random.default_rng(0))
    echo = np.correlate(wave, wave, "full")[len(wave) - 1 :]
    assert 40 + echo[40:300].argmax() == pytest.approx(80, abs=2)  # samples in a period of 200 Hz


def test_pauses_and_closures_are_silent_and_a_stop_bursts_at_its_end():
    phones = [
        Phone("_", 0.0, 0.3, 0.0),
        Phone("a", 0.3, 0.6, 1.0),
        Phone("p", 0.6, 0.8, 1.0),
        Phone("a", 0.8, 1.1, 1.0),
    ]
    wave = synthesise_formants(phones, np.full(4, 120.0), 1.0, np.random.default_rng(0))
    assert np.abs(wave).max() == 1
    assert np.abs(wave[: int(0.25 * 16000)]).max() < 0.02
    assert np.abs(wave[int(0.65 * 16000) : int(0.77 * 16000)]).max() < 0.05
    assert np.abs(wave[int(0.785 * 16000) : int(0.8 * 16000)]).max() > 0.1


def test_a_hiss_is_high_and_a_voice_low():
    def share(symbol):
        wave = synthesise_formants([Phone(symbol, 0.0, 0.4, 1.0)], np.array([120.0]), 1.0, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(wave)) ** 2
        return power[int(3500 * 0.4) :].sum() / power.sum()

    assert share("s") > 0.8 > 0.2 > share("m")


@pytest.mark.parametrize("symbol", sorted(set(SOUNDS) - {"_", "ʔ"}))
def test_every_sound_can_be_heard(symbol):
    phones = [Phone("_", 0.0, 0.1, 0.0), Phone(symbol, 0.1, 0.25, 1.0), Phone("_", 0.25, 0.4, 0.0)]
    wave = synthesise_formants(phones, np.full(3, 120.0), 1.0, np.random.default_rng(0))
    assert np.isfinite(wave).all()
    assert np.abs(wave[1600:4800]).max() == 1.0
