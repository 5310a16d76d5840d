"""Synthesisers' outputs brought to one form: sounds at their places in time, without gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np
import soxr
from jaxtyping import Float

from visemix.data.phonemes import FULL, PAUSE, SOUNDS, WEAK, Phone, PhoneSpec, parse_ipa, stress_at
from visemix.types import SAMPLE_RATE

SHORTEST_PAUSE = 0.06  # seconds; less of nothing belongs to the sound before
REDUCED = frozenset("əɚɨɐ")  # vowels that are never stressed


def split_durations(sounds: Sequence[PhoneSpec], start: float, stop: float) -> list[Phone]:
    """The sounds that a synthesiser takes for one, between its times: each lasts as long as it usually does among the
    others.

    >>> [(p.symbol, round(p.stop, 2)) for p in split_durations(parse_ipa("aʊ"), 0.0, 0.21)]
    [('a', 0.13), ('ʊ', 0.21)]
    """
    usual = np.cumsum([0.0] + [SOUNDS[sound.symbol].seconds for sound in sounds])
    edges = start + (stop - start) * usual / usual[-1]
    return [Phone(s.symbol, float(edges[k]), float(edges[k + 1]), s.stress) for k, s in enumerate(sounds)]


def merge_phones(phones: Sequence[Phone]) -> list[Phone]:
    """The phones without empty ones, short pauses and gaps; from the first sound to the last."""
    kept: list[Phone] = []
    for phone in phones:
        brief = phone.stop - phone.start < SHORTEST_PAUSE
        if kept and (phone.symbol == PAUSE and (brief or kept[-1].symbol == PAUSE)):
            kept[-1] = replace(kept[-1], stop=phone.stop)
        elif phone.stop > phone.start and (kept or phone.symbol != PAUSE):
            if kept and kept[-1].stop != phone.start:
                kept[-1] = replace(kept[-1], stop=phone.start)
            kept.append(phone)
    return kept[:-1] if kept and kept[-1].symbol == PAUSE else kept


def trim_speech(wave: np.ndarray, rate: int, phones: Sequence[Phone]) -> tuple[Float[np.ndarray, " S"], list[Phone]]:
    """A synthesiser's sound (any scale, `rate` Hz) from the first phone to the last, at 16 kHz, of peak 1."""
    first, last = round(phones[0].start * rate), round(phones[-1].stop * rate)
    sound = soxr.resample(wave[first:last].astype(np.float64), rate, SAMPLE_RATE)
    return sound / max(float(np.abs(sound).max()), 1e-9), [p.shifted(-first / rate) for p in phones]


def change_speed(
    wave: Float[np.ndarray, " S"], phones: Sequence[Phone], factor: float
) -> tuple[Float[np.ndarray, " R"], list[Phone]]:
    """Wave and phones as if played slower: `factor` times as long, all frequencies that much lower."""
    slow = soxr.resample(wave, SAMPLE_RATE, SAMPLE_RATE * factor)
    return slow, [replace(p, start=p.start * factor, stop=p.stop * factor) for p in phones]


def with_stress(phones: Sequence[Phone], ipa: str) -> list[Phone]:
    """The phones with the stress of a transcription, for synthesisers that do not tell: sounds are matched in order.

    Those that the transcription spells otherwise are stressed if their vowel can be; a consonant is like the vowel
    it leads to, or else like the one before.
    """
    said = [k for k, phone in enumerate(phones) if phone.symbol != PAUSE]
    known = _matched(phones, said, parse_ipa(ipa))
    vowels = {
        k: known.get(k, WEAK if phones[k].symbol in REDUCED else FULL)
        for k in said
        if SOUNDS[phones[k].symbol].kind == "vowel"
    }
    stress = dict.fromkeys(range(len(phones)), 0.0)
    for k in said:
        stress[k] = known.get(k, stress_at(k, vowels))
    return [replace(phone, stress=stress[k]) for k, phone in enumerate(phones)]


def _matched(phones: Sequence[Phone], said: Sequence[int], spelt: Sequence[PhoneSpec]) -> dict[int, float]:
    """The stress of those phones, by number, that a transcription spells as they are `said`."""
    match = SequenceMatcher(None, [phones[k].symbol for k in said], [s.symbol for s in spelt], autojunk=False)
    return {
        said[block.a + j]: spelt[block.b + j].stress for block in match.get_matching_blocks() for j in range(block.size)
    }
