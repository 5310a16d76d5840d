"""What people do between their words: breathe, wait, say "um", and hold a sound while they think."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from visemix.corpus.sentences import hesitation
from visemix.corpus.time_stretch import time_stretch
from visemix.corpus.voices import SynthesisedSpeech, Voice, synthesise
from visemix.data.phonemes import PAUSE, SOUNDS, WEAK, Phone
from visemix.types import SAMPLE_RATE

BREATH = "h"  # what the IPA has for it; without stress the mouth is hardly open
BAND = (400.0, 5000.0)  # Hz, of a breath


def hesitate(speech: SynthesisedSpeech, voice: Voice, rng: np.random.Generator) -> tuple[str, SynthesisedSpeech]:
    """A sentence with what may come before it (a long silence, a breath, a hesitation) and a sound in it that is held.

    Returns:
        What is said before the sentence, in letters, and the whole.
    """
    text, pieces = "", []
    if rng.random() < 0.15:
        pieces.append(silence(rng.uniform(0.8, 2.5)))
    if rng.random() < 0.5:
        pieces += [breath(rng), silence(rng.uniform(0.03, 0.2))]
    if rng.random() < 0.35:
        thought = hesitation(voice.language, rng)
        text = thought.text.rstrip(",") + "… "
        pieces += [lengthen_vowel(synthesise(thought, voice, rng), rng, longest=True), silence(rng.uniform(0.1, 0.5))]
    if rng.random() < 0.3:
        speech = lengthen_vowel(speech, rng)
    return text, concatenate([*pieces, speech])


def silence(seconds: float) -> SynthesisedSpeech:
    """`seconds` of silence, labelled as a pause."""
    samples = round(seconds * SAMPLE_RATE)
    return np.zeros(samples), [Phone(PAUSE, 0.0, samples / SAMPLE_RATE, 0.0)]


def breath(rng: np.random.Generator) -> SynthesisedSpeech:
    """Air drawn in, quietly, with the lips ajar: 0.25 to 0.6 s of noise, labelled with an unstressed "h"."""
    samples = round(rng.uniform(0.25, 0.6) * SAMPLE_RATE)
    noise = sosfilt(butter(2, BAND, "bandpass", fs=SAMPLE_RATE, output="sos"), rng.standard_normal(samples))
    swell = np.sin(np.pi * (np.arange(samples) + 0.5) / samples) ** 1.5
    air = noise / np.abs(noise).max() * swell * rng.uniform(0.03, 0.1)
    return air, [Phone(BREATH, 0.0, samples / SAMPLE_RATE, 0.0)]


def lengthen_vowel(speech: SynthesisedSpeech, rng: np.random.Generator, *, longest: bool = False) -> SynthesisedSpeech:
    """The speech with one vowel two to three times as long; with `longest`, the one that is longest as it is."""
    wave, phones = speech
    lasting = [k for k, phone in enumerate(phones) if SOUNDS[phone.symbol].kind == "vowel" and phone.stress >= WEAK]
    if not lasting:
        return speech
    chosen = max(lasting, key=lambda k: phones[k].stop - phones[k].start) if longest else rng.choice(lasting)
    factors = np.ones(len(phones))
    factors[chosen] = rng.uniform(2.0, 3.0)
    return time_stretch(wave, phones, factors.tolist())


def concatenate(pieces: Sequence[SynthesisedSpeech]) -> SynthesisedSpeech:
    """The pieces one after the other; pauses that meet become one."""
    phones: list[Phone] = []
    samples = 0
    for wave, sounds in pieces:
        start = samples / SAMPLE_RATE
        for phone in sounds:
            moved = phone.shifted(start)
            if phones and phones[-1].symbol == moved.symbol == PAUSE:
                phones[-1] = Phone(PAUSE, phones[-1].start, moved.stop, 0.0)
            else:
                phones.append(moved)
        samples += len(wave)
    return np.concatenate([wave for wave, _ in pieces]), phones
