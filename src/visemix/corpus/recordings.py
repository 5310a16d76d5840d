"""An utterance as it was recorded: each stretch in another room, by another microphone, through another codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np

from visemix.corpus.acoustics import Babble, Recording, apply_recording, sample_recording
from visemix.corpus.utterance import Utterance, compose_utterance
from visemix.corpus.voices import SynthesiserChoice, sample_voice
from visemix.data.phonemes import PAUSE, Phone
from visemix.types import SAMPLE_RATE

STRETCH = 20.0  # seconds; after so many the recording may change, where nothing is said
PEOPLE = 3  # who babble
DEFAULT_RECORDING = Recording()


def record_utterance(
    utterance: Utterance, kinds: tuple[str, ...], seed: int, babble: Babble | None = None
) -> tuple[Utterance, list[dict[str, Any]]]:
    """The utterance under random recording conditions, its phones untouched, and how each stretch was recorded.

    Returns:
        The utterance, and for each stretch `start` (seconds) and what of `Recording` is not the default.
    """
    rng = np.random.default_rng([seed, 9])
    edges = [0, *(round(second * SAMPLE_RATE) for second in segment_boundaries(utterance.phones)), len(utterance.wave)]
    wave, told = utterance.wave.astype(np.float64), []
    for first, last in pairwise(edges):
        how = sample_recording(kinds, rng)
        wave[first:last] = apply_recording(wave[first:last], how, babble)
        changed = {key: value for key, value in asdict(how).items() if value != getattr(DEFAULT_RECORDING, key)}
        told.append({"start": first / SAMPLE_RATE, **changed})
    return replace(utterance, wave=wave.astype(np.float32)), told


def segment_boundaries(phones: Sequence[Phone]) -> list[float]:
    """Times (seconds) at which recording conditions change: in the middle of pauses, `STRETCH` or more apart."""
    found: list[float] = []
    end = phones[-1].stop
    for phone in phones:
        middle = (phone.start + phone.stop) / 2
        since = middle - (found[-1] if found else 0.0)
        if phone.symbol == PAUSE and phone.stop - phone.start > 0.2 and since >= STRETCH and end - middle > 1:
            found.append(middle)
    return found


def babble_source(language: str, synthesiser: SynthesiserChoice) -> Babble:
    """Function (seconds, seed) → the sound of other people, all speaking at once."""

    def babble(seconds: float, seed: int) -> np.ndarray:
        people = [
            compose_utterance(seconds + 1.0, sample_voice(seed + k, language, synthesiser=synthesiser), seed + k)
            for k in range(PEOPLE)
        ]
        return sum(person.wave[SAMPLE_RATE // 2 :] for person in people)  # type: ignore[return-value]

    return babble
