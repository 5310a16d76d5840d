import hashlib
import subprocess
import sys

import numpy as np
import pytest

from visemix.data import espeak
from visemix.data.phonemes import SOUNDS
from visemix.data.utterance import VOICES, utter, voice_for
from visemix.types import VisemixError

SYNTHESISERS = [
    "formants",
    pytest.param("espeak", marks=pytest.mark.skipif(not espeak.installed(), reason="no extra 'corpus'")),
]


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_an_utterance_fills_its_time_to_the_sample_and_phones_cover_it(synthesiser):
    said = utter(4.03, voice_for(1, synthesiser=synthesiser), 5)
    assert said.wave.shape == (101 * 640,) and said.wave.dtype == np.float32
    assert np.abs(said.wave).max() == pytest.approx(0.7, abs=1e-6)
    assert said.phones[0].start == 0 and said.phones[-1].stop == pytest.approx(101 / 25)
    assert all(a.stop == b.start for a, b in zip(said.phones[:-1], said.phones[1:], strict=True))
    assert all(phone.symbol in SOUNDS and phone.stop > phone.start for phone in said.phones)
    assert said.phones[0].symbol == said.phones[-1].symbol == "_"
    assert said.text.endswith(".")


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_pauses_are_quiet_and_vowels_are_not(synthesiser):
    said = utter(6.0, voice_for(2, synthesiser=synthesiser), 1)

    def level(phone):
        middle = said.wave[int((phone.start + 0.02) * 16000) : int((phone.stop - 0.02) * 16000)]
        return np.sqrt((middle**2).mean())

    pauses = [level(p) for p in said.phones if p.symbol == "_" and p.stop - p.start > 0.1]
    vowels = [level(p) for p in said.phones if SOUNDS[p.symbol].kind == "vowel" and p.stop - p.start > 0.06]
    assert max(pauses) < 0.01 < 0.02 < np.quantile(vowels, 0.05)


def test_the_same_seed_gives_the_same_bytes_in_another_process():
    code = """
import hashlib
from visemix.data import espeak
from visemix.data.utterance import utter, voice_for

for synthesiser in ["formants"] + ["espeak"] * espeak.installed():
    for singing in (False, True):
        said = utter(5.0, voice_for(3, "de", "f2", synthesiser), 8, singing=singing)
        print(hashlib.sha256(said.wave.tobytes() + repr(said.phones).encode()).hexdigest())
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    mine = []
    for synthesiser in ["formants"] + ["espeak"] * espeak.installed():
        utter(2.0, voice_for(1, "en", synthesiser=synthesiser), 1)  # what was said before does not matter
        for singing in (False, True):
            said = utter(5.0, voice_for(3, "de", "f2", synthesiser), 8, singing=singing)
            mine.append(hashlib.sha256(said.wave.tobytes() + repr(said.phones).encode()).hexdigest())
    assert mine == other and len(set(mine)) == len(mine) >= 2


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_another_seed_says_something_else(synthesiser):
    voice = voice_for(3, "fr", synthesiser=synthesiser)
    assert utter(4.0, voice, 1).text != utter(4.0, voice, 2).text


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_sung_vowels_are_long_and_hold_their_pitch(synthesiser):
    voice = voice_for(0, "en", "m1", synthesiser)
    spoken, sung = utter(12.0, voice, 2), utter(12.0, voice, 2, singing=True)

    def vowels(said):
        return [p for p in said.phones if SOUNDS[p.symbol].kind == "vowel"]

    def typical(said):
        return np.median([p.stop - p.start for p in vowels(said)])

    assert typical(sung) > 2 * typical(spoken)
    for phone in [p for p in vowels(sung) if p.stop - p.start > 0.25][:6]:
        middle = (phone.start + phone.stop) / 2
        pitches = [pitch(sung.wave, middle + step) for step in (-0.05, 0.0, 0.05)]
        assert max(pitches) / min(pitches) < 1.04


def pitch(wave, second):
    """Hz, by autocorrelation over 60 ms."""
    part = wave[int((second - 0.03) * 16000) : int((second + 0.03) * 16000)].astype(float)
    echo = np.correlate(part, part, "full")[len(part) - 1 :]
    return 16000 / (60 + echo[60:230].argmax())


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_women_speak_higher_than_men(synthesiser):
    heard = {}
    for sex in ("female", "male"):
        voice = voice_for(0, "en", sex, synthesiser)
        assert voice.sex == sex and voice.name[0] == sex[0]
        said = utter(5.0, voice, 1)
        long = [p for p in said.phones if SOUNDS[p.symbol].kind == "vowel" and p.stop - p.start > 0.09]
        heard[sex] = np.median([pitch(said.wave, (p.start + p.stop) / 2) for p in long])
    assert heard["female"] > 1.3 * heard["male"]


def test_voices_are_drawn_by_seed_or_named():
    assert voice_for(7) == voice_for(7)
    assert len({voice_for(k).name for k in range(40)}) == len(VOICES)
    assert voice_for(3, "fr", "f2", "formants").name == "f2"


def test_too_short_a_time_for_any_sentence_is_silence_and_none_is_refused():
    said = utter(0.2, voice_for(0, synthesiser="formants"), 0)
    assert said.text == "" and [phone.symbol for phone in said.phones] == ["_"]
    with pytest.raises(VisemixError, match=r"0.0 seconds of speech .* ask for 0\.04"):
        utter(0.0, voice_for(0, synthesiser="formants"), 0)


def test_an_unknown_voice_or_language_is_answered_with_those_there_are():
    with pytest.raises(VisemixError, match="no voice 'bob'; choose female, male, f1, f2"):
        voice_for(0, "en", "bob")
    with pytest.raises(VisemixError, match="no language 'xx'; choose one of de, en, fr, zh"):
        voice_for(0, "xx")


def test_espeak_by_name_without_the_extra_is_refused_and_auto_takes_the_formants(monkeypatch):
    monkeypatch.setattr(espeak, "installed", lambda: False)
    assert voice_for(0).synthesiser == "formants"
    with pytest.raises(VisemixError, match="extra 'corpus'"):
        voice_for(0, synthesiser="espeak")
