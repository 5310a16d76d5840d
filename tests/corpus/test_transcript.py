import numpy as np
import pytest

from visemix.corpus.transcript import change_speed, merge_phones, trim_speech, with_stress
from visemix.data.phonemes import Phone, parse_ipa


def phones(letters, seconds=0.1):
    return [Phone(letter, k * seconds, (k + 1) * seconds, 1.0) for k, letter in enumerate(letters)]


def test_short_pauses_and_gaps_join_the_sound_before_and_long_ones_stay():
    given = [
        Phone("_", 0.0, 0.3, 0.0),
        Phone("m", 0.3, 0.4, 1.0),
        Phone("_", 0.4, 0.45, 0.0),
        Phone("a", 0.5, 0.6, 1.0),
        Phone("_", 0.6, 0.7, 0.0),
        Phone("_", 0.7, 0.9, 0.0),
        Phone("i", 0.9, 1.0, 1.0),
        Phone("_", 1.0, 1.4, 0.0),
    ]
    told = [(p.symbol, p.start, p.stop) for p in merge_phones(given)]
    assert told == [("m", 0.3, 0.5), ("a", 0.5, 0.6), ("_", 0.6, 0.9), ("i", 0.9, 1.0)]


def test_a_sound_is_cut_from_its_first_phone_to_its_last_and_is_of_peak_one():
    wave = np.zeros(24000)
    wave[6000:18000] = 300 * np.sin(np.arange(12000))
    sound, moved = trim_speech(wave, 24000, [Phone("m", 0.25, 0.5, 1.0), Phone("a", 0.5, 0.75, 1.0)])
    assert len(sound) == 8000 and np.abs(sound).max() == 1
    assert [(p.start, p.stop) for p in moved] == [(0.0, 0.25), (0.25, 0.5)]


def test_what_is_played_slower_is_where_its_phones_say():
    wave = np.zeros(16000)
    wave[4000:8000] = np.sin(2 * np.pi * 400 * np.arange(4000) / 16000)
    slow, moved = change_speed(wave, [Phone("_", 0.0, 0.25, 0.0), Phone("a", 0.25, 0.5, 1.0)], 1.25)
    inside = slow[round(moved[1].start * 16000) : round(moved[1].stop * 16000)]
    assert len(inside) == 5000 and (inside**2).sum() / (slow**2).sum() > 0.995
    assert np.abs(np.fft.rfft(inside)).argmax() * 16000 / 5000 == pytest.approx(320, abs=4)


def test_stress_is_that_of_the_transcription_and_what_it_spells_otherwise_is_guessed():
    said = with_stress(phones("ənʌðɚ"), "ɐnˈʌðɚ")  # the first vowel is another than the transcription's
    assert [(p.symbol, p.stress) for p in said] == [("ə", 0.55), ("n", 1.0), ("ʌ", 1.0), ("ð", 0.55), ("ɚ", 0.55)]
    assert [s.symbol for s in parse_ipa("ɐnˈʌðɚ")] == list("ɐnʌðɚ")
    assert with_stress(phones("a_m"), "ˈam")[1].stress == 0
