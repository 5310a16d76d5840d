from itertools import pairwise

import numpy as np
import pytest

from visemix.corpus.acting import mouth_shapes
from visemix.corpus.halting import breath, concatenate, lengthen_vowel, silence
from visemix.corpus.sentences import hesitation, languages
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import sample_voice
from visemix.data.phonemes import PAUSE, SOUNDS, Phone, parse_ipa


def test_a_breath_is_quiet_noise_with_the_lips_ajar_and_stands_in_the_phones():
    wave, (air,) = breath(np.random.default_rng(1))
    assert air.symbol == "h" and air.stop == len(wave) / 16000 and 0.02 < np.abs(wave).max() < 0.11
    power = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / 16000)
    assert power[(hertz > 400) & (hertz < 5000)].sum() > 0.8 * power.sum()
    phones = [
        Phone(PAUSE, 0.0, 0.5, 0.0),
        Phone("h", 0.5, 1.0, 0.0),
        Phone(PAUSE, 1.0, 1.5, 0.0),
        Phone("ɑ", 1.5, 1.7, 1.0),
    ]
    shut, ajar, wide = mouth_shapes(phones, np.array([0.2, 0.75, 1.6]))["open"]
    assert shut < ajar < 0.5 * wide


def test_a_held_sound_lasts_longer_and_the_others_as_long_as_before():
    phones = [Phone("m", 0.0, 0.1, 1.0), Phone("ɑ", 0.1, 0.3, 1.0), Phone("i", 0.3, 0.4, 1.0)]
    wave = np.sin(2 * np.pi * 150 * np.arange(6400) / 16000)
    longer, moved = lengthen_vowel((wave, phones), np.random.default_rng(0), longest=True)
    seconds = [p.stop - p.start for p in moved]
    assert seconds[0] == pytest.approx(0.1) and seconds[2] == pytest.approx(0.1) and 0.4 <= seconds[1] <= 0.6
    assert len(longer) == round(moved[-1].stop * 16000)
    assert lengthen_vowel((wave[:1600], phones[:1]), np.random.default_rng(0))[1] == phones[:1]  # nothing to hold


def test_pauses_that_meet_become_one_and_everything_follows_on():
    wave, phones = concatenate([silence(0.5), silence(0.25), breath(np.random.default_rng(0)), silence(0.1)])
    assert [p.symbol for p in phones] == ["_", "h", "_"] and phones[0].stop == 0.75
    assert all(a.stop == b.start for a, b in pairwise(phones)) and len(wave) == round(phones[-1].stop * 16000)


def test_a_halting_speaker_breathes_hesitates_and_waits_with_every_sound_named():
    voice = sample_voice(0, "en", "f1", "formants")
    fluent, halting = compose_utterance(60.0, voice, 4), compose_utterance(60.0, voice, 4, halting=True)
    assert halting.phones[0].start == 0 and halting.phones[-1].stop == 60.0
    assert all(a.stop == b.start for a, b in pairwise(halting.phones))
    assert not any(a.symbol == b.symbol == "_" for a, b in pairwise(halting.phones))
    assert ("Um…" in halting.text or "Uh…" in halting.text) and "…" not in fluent.text
    breaths = [p for p in halting.phones if p.symbol == "h" and p.stress == 0]
    assert len(breaths) >= 3 and not any(p.symbol == "h" and p.stress == 0 for p in fluent.phones)
    for p in breaths:
        part = halting.wave[round(p.start * 16000) : round(p.stop * 16000)]
        assert 0.003 < np.sqrt((part**2).mean()) < 0.03
    longest = [max(p.stop - p.start for p in s.phones if p.symbol == "_") for s in (fluent, halting)]
    assert longest[0] < 1.3 < longest[1]


@pytest.mark.parametrize("language", languages())
def test_every_language_has_hesitations_in_known_sounds(language):
    for seed in range(4):
        said = hesitation(language, np.random.default_rng(seed))
        assert said.text.endswith(",") and {s.symbol for s in parse_ipa(said.parts[0])} <= set(SOUNDS)
