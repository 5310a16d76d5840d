import itertools

import pytest

from visemix.data.phonemes import SOUNDS, parse_ipa, time_phones
from visemix.types import VisemixError


def letters(ipa):
    return "".join(sound.symbol for sound in parse_ipa(ipa))


def test_diphthongs_and_affricates_come_apart_and_marks_go():
    assert letters("tʃˈɔɪs") == "tʃɔɪs"
    assert letters("bɔ̃ʒˈuːʁ") == "bɔʒuʁ"
    assert letters("fʏnf vˈɪç") == "fʏnfvɪç"


def test_stress_is_the_marked_vowels_and_the_consonants_before_it():
    stress = {sound.symbol: sound.stress for sound in parse_ipa("əbˈaʊt")}
    assert stress == {"ə": 0.55, "b": 1.0, "a": 1.0, "ʊ": 1.0, "t": 1.0}
    assert [sound.stress for sound in parse_ipa("ˌapa")] == [0.75, 0.55, 0.55]


def test_a_letter_that_is_no_sound_is_named():
    with pytest.raises(VisemixError, match="'a&b' has the letter '&'"):
        parse_ipa("a&b")


def test_sounds_follow_one_another_and_stressed_and_last_vowels_are_longer():
    phones = time_phones(parse_ipa("papˈapa"), start=1.0)
    assert phones[0].start == 1.0
    assert all(one.stop == other.start for one, other in itertools.pairwise(phones))
    first, second, third = (phone.stop - phone.start for phone in phones if phone.symbol == "a")
    assert second > 1.2 * first and third > 1.2 * first
    slow = time_phones(parse_ipa("papˈapa"), slowness=2.0)
    assert slow[-1].stop == pytest.approx(2 * (phones[-1].stop - 1))


def test_every_sound_that_closes_the_lips_or_bites_them_holds_firmly():
    assert {s for s, sound in SOUNDS.items() if sound.lips == "seal"} == set("pbm")
    assert {s for s, sound in SOUNDS.items() if sound.lips == "bite"} == set("fv")
    assert min(sound.hold for sound in SOUNDS.values() if sound.lips) > 2
