"""Utterances: sentences until the time is full, and the time of every sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from visemix.corpus.acoustics import PEAK
from visemix.corpus.halting import hesitate
from visemix.corpus.sentences import SIZES, compose_sentence
from visemix.corpus.transcript import change_speed
from visemix.corpus.voices import Voice, synthesise
from visemix.data.phonemes import PAUSE, Phone
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VisemixError

ROOM = 1e-3  # the sound of an empty room, so that a pause is quiet and not nothing


@dataclass(frozen=True)
class Utterance:
    """A waveform and its exact transcription."""

    wave: Float[np.ndarray, " S"]  # 16 kHz mono, float32, peak 0.7
    phones: tuple[Phone, ...]  # cover the whole of it without gaps; pauses are "_"
    text: str


def compose_utterance(
    seconds: float, voice: Voice, seed: int, *, singing: bool = False, halting: bool = False, speed: float = 1.0
) -> Utterance:
    """Sentences with pauses between, `round(25 · seconds)` frames of 640 samples in all.

    The same voice and seed give the same bytes, in any process. Sung, every syllable holds a note and its vowel lasts
    three times as long. Halting, the speaker breathes, hesitates, waits and holds sounds in between.

    Args:
        speed: at which a sentence is played, its pitch higher by as much.

    Raises:
        VisemixError: less than a frame is asked for, or as `synthesise`.
    """
    frames = round(seconds * FPS)
    if frames < 1:
        raise VisemixError(f"{seconds} seconds of speech are less than a frame; ask for 0.04 or more")
    rng = np.random.default_rng([seed, 2])
    samples = frames * SAMPLES_PER_FRAME
    wave = ROOM * rng.standard_normal(samples)
    phones: list[Phone] = []
    texts = []
    time = rng.uniform(0.25, 0.6)
    size: str | None = str(rng.choice(SIZES[:3]))
    while size:
        sentence = compose_sentence(voice.language, rng, size)
        text, (said, sounds) = sentence.text, synthesise(sentence, voice, rng, singing)
        if halting:
            before, (said, sounds) = hesitate((said, sounds), voice, rng)
            text = before + text
        if speed != 1:
            said, sounds = change_speed(said, sounds, 1 / speed)
        start = round(time * SAMPLE_RATE)
        if start + len(said) + 0.15 * SAMPLE_RATE > samples:
            size = next(iter(SIZES[SIZES.index(size) + 1 :]), None)  # a shorter one may fit
            continue
        wave[start : start + len(said)] += PEAK * said
        phones += [p.shifted(time) for p in sounds]
        texts.append(text)
        time = start / SAMPLE_RATE + len(said) / SAMPLE_RATE + rng.uniform(0.3, 0.9)
        size = str(rng.choice(SIZES, p=(0.3, 0.35, 0.25, 0.1)))
    loudest = float(np.abs(wave).max())
    whole = PEAK / loudest * wave if texts else wave
    return Utterance(whole.astype(np.float32), _filled(phones, samples / SAMPLE_RATE), " ".join(texts))


def _filled(phones: Sequence[Phone], seconds: float) -> tuple[Phone, ...]:
    """The phones with a pause wherever nothing is said, from 0 to `seconds`."""
    filled: list[Phone] = []
    time = 0.0
    for phone in [*phones, Phone(PAUSE, seconds, seconds, 0.0)]:
        if phone.start - time > 1e-4:
            filled.append(Phone(PAUSE, time, phone.start, 0.0))
        if phone.symbol == PAUSE and filled and filled[-1].symbol == PAUSE:
            filled[-1] = replace(filled[-1], stop=phone.stop)
        elif phone.stop > phone.start:
            filled.append(replace(phone, start=filled[-1].stop if filled else 0.0))
        time = phone.stop
    return tuple(filled)
