import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import correlate

from visemix.corpus.acoustics import (
    KINDS,
    RECORDED,
    Recording,
    apply_recording,
    parse_conditions,
    pink,
    room_impulse_response,
    sample_recording,
)
from visemix.corpus.codecs import RATES, apply_codec
from visemix.corpus.recordings import babble_source, record_utterance, segment_boundaries
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import sample_voice
from visemix.types import VisemixError


@pytest.fixture(scope="module")
def said():
    return compose_utterance(8.0, sample_voice(1, "en", "f2", "formants"), 5)


@pytest.fixture(scope="module")
def babble():
    return babble_source("en", "formants")


def lag(one, other):
    """Samples by which `one` is late."""
    return int(correlate(one, other, "full").argmax()) - len(other) + 1


HARD = {
    "room": {"room": 0.8, "direct": 0.0},
    "pink": {"noise": "pink", "snr": 5.0},
    "babble": {"noise": "babble", "snr": 5.0},
    "microphone": {"low": 300.0, "high": 3000.0, "tilt": 3.0},
    "clipping": {"clipping": 12.0},
    "level": {"peak": 0.05},
    **{
        f"{codec} {kilobits}": {"codec": codec, "kilobits": kilobits}
        for codec, pair in RATES.items()
        for kilobits in pair
    },
}


@pytest.mark.parametrize("name", HARD)
def test_no_condition_moves_a_sound_even_at_its_hardest(said, babble, name):
    how = Recording(**HARD[name], seed=3)
    wave = apply_recording(said.wave, how, babble)
    assert wave.shape == said.wave.shape and np.abs(wave).max() == pytest.approx(how.peak)
    assert not np.allclose(wave, said.wave, atol=1e-4)
    places = [slice(0, None), slice(16000, 48000), slice(64000, 112000)]  # at the end as at the beginning
    assert [abs(lag(wave[p], said.wave[p])) <= 1 for p in places] == [True] * 3
    np.testing.assert_array_equal(wave, apply_recording(said.wave, how, babble))


@pytest.mark.parametrize("codec", RATES)
def test_a_codec_puts_sound_back_in_its_place_whatever_its_length(codec):
    rng = np.random.default_rng(0)
    for samples in (5000, 16123):
        wave = 0.2 * np.convolve(rng.standard_normal(samples), np.hanning(32) / 8, "same")
        back = apply_codec(wave, codec, RATES[codec][1])
        assert len(back) == samples and abs(lag(back, wave)) <= 1 and np.corrcoef(back, wave)[0, 1] > 0.9


def test_each_kind_does_what_it_says(said, babble):
    wave = said.wave.astype(float)
    quiet = apply_recording(wave, Recording(peak=0.1))
    np.testing.assert_allclose(quiet, wave / 7, atol=1e-9)
    clipped = apply_recording(wave, Recording(clipping=9.0))
    assert (np.abs(clipped) > 0.699).mean() > 0.01 > 100 * (np.abs(wave) > 0.699).mean()
    narrow = np.abs(np.fft.rfft(apply_recording(wave, Recording(codec="telephone", kilobits=64)))) ** 2
    assert narrow[len(narrow) * 9 // 16 :].sum() < 1e-3 * narrow.sum()
    pauses = [p for p in said.phones if p.symbol == "_" and p.stop - p.start > 0.2]

    def hush(sound):
        parts = [sound[round((p.start + 0.1) * 16000) : round((p.stop - 0.05) * 16000)] for p in pauses]
        return np.sqrt((np.concatenate(parts) ** 2).mean())

    assert hush(apply_recording(wave, Recording(room=0.8, direct=0.0))) > 3 * hush(wave)
    loud, soft = (hush(apply_recording(wave, Recording(noise="pink", snr=snr))) for snr in (5.0, 25.0))
    assert loud / soft == pytest.approx(10, rel=0.3)


def test_a_room_answers_at_once_and_dies_away():
    answer = room_impulse_response(0.4, 6.0, np.random.default_rng(0))
    assert answer[0] == 1 and not answer[1:32].any() and np.abs(answer).argmax() == 0
    assert (answer[1:] ** 2).sum() == pytest.approx(10**-0.6)
    early, late = (answer[k : k + 800] ** 2 for k in (800, 4800))
    assert 10 * np.log10(early.sum() / late.sum()) == pytest.approx(60 * 0.25 / 0.4, abs=3)


def test_pink_noise_falls_by_three_decibels_an_octave():
    power = np.abs(np.fft.rfft(pink(160000, np.random.default_rng(0)))) ** 2
    octaves = [power[k : 2 * k].mean() for k in (2000, 4000, 8000, 16000)]
    falls = [10 * np.log10(a / b) for a, b in pairwise(octaves)]
    assert falls == pytest.approx([3.0] * 3, abs=0.4)


def test_silence_stays_silence_and_what_is_recorded_plainly_is_untouched(said):
    assert not apply_recording(np.zeros(6400), Recording(noise="pink", room=0.5, codec="opus", kilobits=8)).any()
    np.testing.assert_array_equal(apply_recording(said.wave, Recording(seed=8)), said.wave)
    faint = apply_recording(0.01 * said.wave, Recording(noise="pink"))  # a stretch in which hardly anything is said
    assert np.abs(faint).max() == pytest.approx(0.007)


def test_conditions_are_drawn_of_the_kinds_asked_for_and_some_are_clean():
    rng = np.random.default_rng(0)
    drawn = [sample_recording(KINDS, rng) for _ in range(300)]
    plain = [replace(how, seed=0) == Recording() for how in drawn]
    assert 0.15 < np.mean(plain) < 0.35
    assert {how.codec for how in drawn} == {"", *RATES} and {how.noise for how in drawn} == {"", "pink", "babble"}
    assert 0.2 < np.mean([how.room > 0 for how in drawn]) < 0.6 and max(how.peak for how in drawn) <= 0.95
    rooms = [replace(sample_recording(("room",), rng), room=0.0, direct=6.0, seed=0) for _ in range(50)]
    assert set(rooms) == {Recording()}


def test_an_utterance_changes_its_recording_in_pauses_and_keeps_its_phones(babble):
    utterance = compose_utterance(65.0, sample_voice(1, "en", "f2", "formants"), 5)
    recording, told = record_utterance(utterance, RECORDED, 4, babble)
    assert (
        recording.phones == utterance.phones
        and recording.wave.shape == utterance.wave.shape
        and recording.wave.dtype == np.float32
    )
    assert np.abs(recording.wave).max() <= 0.951
    starts = [each["start"] for each in told]
    assert (
        starts == pytest.approx([0.0, *segment_boundaries(utterance.phones)], abs=1e-4)
        and len(starts) == 3
        and len({str(each) for each in told}) == 3
    )
    for start in starts[1:]:
        assert any(p.symbol == "_" and p.start + 0.1 <= start <= p.stop - 0.1 for p in utterance.phones)
    again, _ = record_utterance(utterance, RECORDED, 4, babble)
    np.testing.assert_array_equal(recording.wave, again.wave)


def test_conditions_give_the_same_bytes_in_another_process():
    code = """
import hashlib
from visemix.corpus.acoustics import KINDS, Recording, apply_recording
from visemix.corpus.utterance import compose_utterance
from visemix.corpus.voices import sample_voice

said = compose_utterance(4.0, sample_voice(3, "en", "m2", "formants"), 8, halting=True, speed=0.95)
for codec in ("aac", "mp3", "opus", "telephone"):
    how = Recording(room=0.4, noise="pink", low=100.0, tilt=1.0, codec=codec, kilobits=20, seed=2)
    print(hashlib.sha256(apply_recording(said.wave, how).tobytes()).hexdigest())
"""
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert answers[0] == answers[1] and len(set(answers[0].split())) == 4


def test_what_is_asked_for_is_put_in_order_and_what_is_unknown_is_named():
    assert (
        parse_conditions("clean") == ()
        and parse_conditions("all") == KINDS
        and parse_conditions("codec, room") == ("room", "codec")
    )
    with pytest.raises(
        VisemixError, match="no condition 'echo'; choose clean, all, or some of speed, hesitation, room"
    ):
        parse_conditions("room,echo")
