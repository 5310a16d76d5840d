import itertools
import sys

import numpy as np
import pytest

from visemix.corpus import espeak
from visemix.corpus.espeak import EspeakEvent, synthesise, transcribe
from visemix.corpus.sentences import phrase_book
from visemix.data.phonemes import SOUNDS
from visemix.types import VisemixError

here = pytest.mark.skipif(not espeak.installed(), reason="the extra 'corpus' is not installed")
WORD, PHONEME = espeak.WORD, espeak.PHONEME


def told(phones):
    return [(phone.symbol, round(phone.start, 3), round(phone.stop, 3)) for phone in phones]


def test_events_become_sounds_without_gaps_and_a_word_begins_where_it_is_marked():
    wave = np.ones(1000, np.int16)
    marks = [
        EspeakEvent(WORD, 100),
        EspeakEvent(PHONEME, 150, "f"),
        EspeakEvent(PHONEME, 200, "ˈɑː"),
        EspeakEvent(PHONEME, 400, ""),
    ]
    assert told(transcribe(marks, wave, 1000)) == [("f", 0.1, 0.2), ("ɑ", 0.2, 0.4)]


def test_a_diphthong_shares_its_time():
    marks = [EspeakEvent(PHONEME, 0, "ˈaʊ"), EspeakEvent(PHONEME, 210, "")]
    assert told(transcribe(marks, np.ones(210, np.int16), 1000)) == [("a", 0.0, 0.13), ("ʊ", 0.13, 0.21)]


def test_the_quiet_before_a_voiceless_stop_is_its_closure():
    wave = np.full(600, 1000, np.int16)
    wave[340:380] = 20  # breath
    marks = [
        EspeakEvent(WORD, 0),
        EspeakEvent(PHONEME, 0, "ˈa"),
        EspeakEvent(PHONEME, 380, "p"),
        EspeakEvent(PHONEME, 420, "ə"),
    ]
    assert told(transcribe(marks, wave, 1000)) == [("a", 0.0, 0.34), ("p", 0.34, 0.42), ("ə", 0.42, 0.6)]


def test_language_marks_go_short_nothings_join_and_pauses_stay():
    marks = [
        EspeakEvent(PHONEME, 0, "(en)"),
        EspeakEvent(PHONEME, 0, "a"),
        EspeakEvent(PHONEME, 100, ""),
        EspeakEvent(PHONEME, 120, "m"),
    ]
    marks += [EspeakEvent(PHONEME, 200, ""), EspeakEvent(PHONEME, 400, "i"), EspeakEvent(PHONEME, 500, "")]
    phones = transcribe(marks, np.ones(500, np.int16), 1000)
    assert told(phones) == [("a", 0.0, 0.12), ("m", 0.12, 0.2), ("_", 0.2, 0.4), ("i", 0.4, 0.5)]


def test_mandarin_letters_are_those_of_the_alphabet():
    marks = [
        EspeakEvent(PHONEME, 0, "ts.h"),
        EspeakEvent(PHONEME, 100, "ˈonɡ"),
        EspeakEvent(PHONEME, 200, "s."),
        EspeakEvent(PHONEME, 300, "ˈi."),
    ]
    assert "".join(p.symbol for p in transcribe(marks, np.ones(400, np.int16), 1000)) == "tʂoŋʂɨ"


@here
def test_a_text_is_spoken_with_every_sound_in_its_place():
    wave, phones = synthesise("Papa, my puppy.", "en-us+f2")
    assert len(wave) == pytest.approx(phones[-1].stop * 16000, abs=2)
    assert phones[0].start == 0 and all(a.stop == b.start for a, b in itertools.pairwise(phones))
    assert np.abs(wave).max() == 1
    stops = [wave[int(p.start * 16000) : int(p.stop * 16000)] for p in phones[1:] if p.symbol == "p"]
    assert len(stops) == 3
    for stop in stops:  # ten milliseconds of closed lips
        assert min(np.abs(stop[k : k + 160]).max() for k in range(len(stop) - 160)) < 0.04


@here
def test_the_same_text_gives_the_same_samples_whatever_was_said_before():
    first, places = synthesise("We measure the moon.", "en-us+f3")
    synthesise("Etwas ganz anderes.", "de+m1")
    second, again = synthesise("We measure the moon.", "en-us+f3")
    np.testing.assert_array_equal(first, second)
    assert places == again


@here
@pytest.mark.parametrize("language", ["de", "en", "fr", "zh"])
def test_every_phrase_of_every_language_is_written_in_sounds_that_are_known(language):
    book = phrase_book(language)
    texts = [text for phrases in book["phrases"].values() for text in phrases]
    _, phones = synthesise(". ".join(texts), book["espeak"])
    assert {phone.symbol for phone in phones} <= set(SOUNDS)
    assert len(phones) > 300


@here
def test_an_unknown_voice_is_named():
    with pytest.raises(VisemixError, match="espeak has no voice 'xx-none'"):
        synthesise("hello", "xx-none")


def test_without_the_extra_the_error_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(espeak, "installed", lambda: False)
    with pytest.raises(VisemixError, match=r"need the extra 'corpus': pip install .*; or ask for .*'formants'"):
        synthesise("hello", "en-us")
