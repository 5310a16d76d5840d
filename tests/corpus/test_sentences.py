import numpy as np
import pytest

from visemix.corpus.sentences import SIZES, compose_sentence, languages, phrase_book
from visemix.data.phonemes import SOUNDS, parse_ipa
from visemix.types import VisemixError


def test_four_languages_have_phrase_books():
    assert languages() == ["de", "en", "fr", "zh"]


@pytest.mark.parametrize("language", ["de", "en", "fr", "zh"])
def test_every_phrase_can_be_spelt_and_every_pattern_filled(language):
    book = phrase_book(language)
    said = {
        sound.symbol for phrases in book["phrases"].values() for ipa in phrases.values() for sound in parse_ipa(ipa)
    }
    assert {"m", "p", "f", "a", "i"} <= said <= set(SOUNDS)
    assert len(said) > 25
    for size in SIZES:
        for seed in range(30):
            sentence = compose_sentence(language, np.random.default_rng(seed), size)
            assert "{" not in sentence.text and sentence.text[-1] in ".。"
            assert sum(len(parse_ipa(part)) for part in sentence.parts) >= 2


def test_a_sentence_is_its_phrases_joined_with_a_part_for_every_comma():
    sentence = compose_sentence("en", np.random.default_rng(4), "long")
    assert len(sentence.parts) == sentence.text.count(",") + 1
    assert sentence.text[0].isupper()
    assert sentence == compose_sentence("en", np.random.default_rng(4), "long")
    assert len({compose_sentence("en", np.random.default_rng(k), "middle").text for k in range(40)}) > 35


def test_an_unknown_language_is_answered_with_those_there_are():
    with pytest.raises(VisemixError, match="no language 'xx'; choose one of de, en, fr, zh"):
        phrase_book("xx")
