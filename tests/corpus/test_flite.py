import itertools
import subprocess

import numpy as np
import pytest

from visemix.corpus import flite
from visemix.corpus.sentences import phrase_book
from visemix.data.phonemes import SOUNDS, parse_ipa
from visemix.types import VisemixError

here = pytest.mark.skipif(not flite.installed(), reason="the command flite is not installed")
TOLD = "pau:0.220 m:0.295 ay:0.505 pau:0.525 jh:0.700 oy:0.990 pau:1.200 \n\n"


def told(phones):
    return [(phone.symbol, round(phone.start, 3), round(phone.stop, 3)) for phone in phones]


def test_what_it_prints_becomes_sounds_without_the_pauses_around():
    assert told(flite.transcribe(TOLD)) == [
        ("m", 0.22, 0.295),
        ("a", 0.295, 0.425),
        ("ɪ", 0.425, 0.525),  # and the 20 ms of nothing after it
        ("d", 0.525, 0.603),
        ("ʒ", 0.603, 0.7),
        ("ɔ", 0.7, 0.868),
        ("ɪ", 0.868, 0.99),
    ]


def test_all_its_phones_are_sounds():
    assert {s.symbol for letters in flite.PHONES.values() for s in parse_ipa(letters)} <= set(SOUNDS)
    assert len(flite.PHONES) == 51


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (TOLD + TOLD, "one sentence at a time, and made 2 of 'Hm'"),
        ("", "and made 0 of 'Hm'"),
        ("pau:0.2 pau:0.4", "found nothing to say in 'Hm'"),
        ("pau:0.2 qq:0.4", "a sound 'qq' that is not known"),
    ],
)
def test_what_cannot_be_understood_is_named(printed, words):
    with pytest.raises(VisemixError, match=words):
        flite.transcribe(printed, "Hm")


def test_it_is_run_without_a_shell_and_its_failure_is_ours(monkeypatch):
    seen = []

    def run(command, **options):
        seen.append((command, options))
        raise subprocess.CalledProcessError(1, "flite")

    monkeypatch.setattr(flite, "installed", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(VisemixError, match="flite failed"):
        flite.synthesise("$(reboot); `ls`", "slt", "")
    command, options = seen[0]
    assert "$(reboot); `ls`" in command and command[:3] == ["flite", "-voice", "slt"] and not options.get("shell")


def test_without_the_command_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(flite, "installed", lambda: False)
    with pytest.raises(VisemixError, match=r"apt-get install flite; or ask for .*'formants'"):
        flite.synthesise("hello", "slt", "")


@here
@pytest.mark.parametrize("speaker", flite.SPEAKERS)
def test_every_sound_is_in_its_place(speaker):
    wave, phones = flite.synthesise("Papa saw a puppy.", speaker, "pˈɑːpə sˈɔː ə pˈʌpi")
    assert len(wave) == pytest.approx(phones[-1].stop * 16000, abs=2) and np.abs(wave).max() == 1
    assert phones[0].start == 0 and all(a.stop == b.start for a, b in itertools.pairwise(phones))
    levels = {}
    for phone in phones:
        middle = (phone.start + phone.stop) / 2
        part = wave[int((middle - 0.02) * 16000) : int((middle + 0.02) * 16000)]
        levels.setdefault(SOUNDS[phone.symbol].kind, []).append(np.sqrt((part**2).mean()))
        if phone.symbol == "s":  # its middle is hiss, not voice
            power = np.abs(np.fft.rfft(part)) ** 2
            assert power[len(power) // 4 :].sum() > 3 * power[: len(power) // 8].sum()
    assert np.median(levels["vowel"]) > 3 * np.median(levels["stop"])


@here
def test_slower_is_longer_and_a_higher_pitch_changes_no_time():
    ipa = "mˈaɪ mˈuːn"
    (plain, one), (slow, _), (high, other) = (
        flite.synthesise("My moon.", "slt", ipa, **changes) for changes in ({}, {"slowness": 1.3}, {"pitch": 1.2})
    )
    assert len(slow) / len(plain) == pytest.approx(1.3, abs=0.03)
    assert told(one) == told(other) and not np.allclose(plain, high)
    np.testing.assert_array_equal(plain, flite.synthesise("My moon.", "slt", ipa)[0])


@here
def test_every_phrase_is_one_sentence_in_known_sounds():
    phrases = phrase_book("en")["phrases"]
    text = ", ".join(text for kinds in phrases.values() for text in kinds)
    _, phones = flite.synthesise(text, "kal16", "")
    assert {phone.symbol for phone in phones} <= set(SOUNDS) and len(phones) > 300
