"""Someone says something: a voice, sentences until the time is full, and every sound's place in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from visemix.data import espeak
from visemix.data.formants import speak
from visemix.data.phonemes import PAUSE, SOUNDS, Phone, Spelt, lay_out, spell
from visemix.data.sentences import SIZES, Sentence, compose_sentence, phrase_book
from visemix.data.stretch import stretch
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VisemixError

PEAK = 0.7
ROOM = 1e-3  # the sound of an empty room, so that a pause is quiet and not nothing
SCALE = (1.0, 9 / 8, 5 / 4, 3 / 2, 5 / 3)  # what is sung: the steps of a pentatonic scale
HELD = 3.0  # how many times as long as spoken a sung vowel lasts
WORDS = r"[一-鿿]|[^\W_一-鿿]+(?:['-][^\W_]+)*"  # a Chinese character is sung like a word
# Throat length and pitch in Hz of the formant voices; espeak has variants of the same names.
VOICES = {
    "f1": (0.86, 205.0),
    "f2": (0.84, 225.0),
    "f3": (0.88, 190.0),
    "f4": (0.82, 240.0),
    "m1": (1.0, 112.0),
    "m2": (0.98, 126.0),
    "m3": (1.03, 100.0),
    "m4": (0.96, 138.0),
}
SEXES = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class Voice:
    """Whose voice, speaking what."""

    name: str
    language: str
    sex: Literal["female", "male"]
    synthesiser: Literal["espeak", "formants"]
    pitch: float = 1.0  # times that of the voice as it is
    rate: float = 1.0  # times the usual speed


@dataclass(frozen=True)
class Utterance:
    """Sound and its exact transcription."""

    wave: Float[np.ndarray, " S"]  # 16 kHz mono, float32, peak 0.7
    phones: tuple[Phone, ...]  # cover the whole of it without gaps; pauses are "_"
    text: str


def voice_for(
    seed: int,
    language: str = "en",
    voice: str | None = None,
    synthesiser: Literal["auto", "espeak", "formants"] = "auto",
) -> Voice:
    """A voice by chance, or the one that is named.

    Args:
        seed: draws what is not named, and the speaker's own pitch and rate.
        language: "en" or another of `languages()`.
        voice: "female", "male", or one of `VOICES`.
        synthesiser: "auto" takes espeak where it is installed.

    Raises:
        VisemixError: an unknown language or voice (the message offers those there are), or a synthesiser that is not
            installed.
    """
    phrase_book(language)
    offered = [name for name in VOICES if voice in (None, name, SEXES[name[0]])]
    if not offered:
        raise VisemixError(f"no voice '{voice}'; choose female, male, {', '.join(VOICES)}")
    if synthesiser == "auto":
        synthesiser = "espeak" if espeak.installed() else "formants"
    elif synthesiser == "espeak":
        espeak.require()
    rng = np.random.default_rng([seed, 1])
    name = offered[rng.integers(len(offered))]
    pitch, rate = rng.uniform(0.93, 1.08), rng.uniform(0.9, 1.1)
    sex: Literal["female", "male"] = "female" if name[0] == "f" else "male"
    return Voice(name, language, sex, synthesiser, float(pitch), float(rate))


def utter(seconds: float, voice: Voice, seed: int, *, singing: bool = False) -> Utterance:
    """Sentences with pauses between, `round(25 · seconds)` frames of 640 samples in all.

    The same voice and seed give the same bytes, in any process. Sung, every syllable holds a note and its vowel lasts
    three times as long.
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
    say = {"espeak": _espeak, "formants": _formants}[voice.synthesiser]
    size: str | None = str(rng.choice(SIZES[:3]))
    while size:
        sentence = compose_sentence(voice.language, rng, size)
        said, sounds = say(sentence, voice, rng, singing)
        start = round(time * SAMPLE_RATE)
        if start + len(said) + 0.15 * SAMPLE_RATE > samples:
            size = next(iter(SIZES[SIZES.index(size) + 1 :]), None)  # a shorter one may fit
            continue
        wave[start : start + len(said)] += PEAK * said
        phones += [replace(p, start=p.start + time, stop=p.stop + time) for p in sounds]
        texts.append(sentence.text)
        time = start / SAMPLE_RATE + len(said) / SAMPLE_RATE + rng.uniform(0.3, 0.9)
        size = str(rng.choice(SIZES, p=(0.3, 0.35, 0.25, 0.1)))
    loudest = float(np.abs(wave).max())
    whole = PEAK / loudest * wave if texts else wave
    return Utterance(whole.astype(np.float32), _filled(phones, samples / SAMPLE_RATE), " ".join(texts))


def _espeak(
    sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool
) -> tuple[np.ndarray, list[Phone]]:
    name = f"{phrase_book(voice.language)['espeak']}+{voice.name}"
    speed, height = round(165 * voice.rate), 100 * np.log2(voice.pitch)
    if not singing:
        return espeak.say(sentence.text, name, speed=speed, pitch=round(50 + height))
    waves: list[np.ndarray] = []
    phones: list[Phone] = []
    note = 0
    for word in re.findall(WORDS, sentence.text):
        note = _step(note, rng)
        flat = round(min(45 + height + 64 * np.log2(SCALE[note]), 99))
        wave, sounds = espeak.say(word, name, speed=speed, pitch=flat, range=0)
        wave, sounds = stretch(wave, sounds, [HELD if _is_vowel(p) else 1.2 for p in sounds])
        start = phones[-1].stop if phones else 0.0
        phones += [replace(p, start=p.start + start, stop=p.stop + start) for p in sounds]
        waves.append(wave)
    return np.concatenate(waves), phones


def _formants(
    sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool
) -> tuple[np.ndarray, list[Phone]]:
    throat, pitch = VOICES[voice.name]
    phones: list[Phone] = []
    for part in sentence.parts:
        spelt = spell(part)
        if singing:
            spelt = [replace(s, length=s.length * (HELD if _is_vowel(s) else 1.2), stress=1.0) for s in spelt]
        if phones:
            phones.append(Phone(PAUSE, phones[-1].stop, phones[-1].stop + rng.uniform(0.12, 0.28), 0.0))
        phones += lay_out(spelt, phones[-1].stop if phones else 0.0, 1 / voice.rate)
    heights = _notes(phones, rng) if singing else _melody(phones, rng)
    return speak(phones, pitch * voice.pitch * heights, throat, rng), phones


def _is_vowel(sound: Spelt | Phone) -> bool:
    return SOUNDS[sound.symbol].kind == "vowel"


def _melody(phones: Sequence[Phone], rng: np.random.Generator) -> np.ndarray:
    """Pitch of each phone about the voice's own: falling through the sentence, higher where it is stressed."""
    through = np.array([(p.start + p.stop) / 2 for p in phones]) / phones[-1].stop
    accent = np.array([p.stress for p in phones]) - 0.6
    return (1.1 - 0.25 * through) * (1 + (0.25 + 0.1 * rng.standard_normal(len(phones))) * accent)


def _notes(phones: Sequence[Phone], rng: np.random.Generator) -> np.ndarray:
    """A note for every syllable: pitch changes where a vowel begins."""
    notes, note = np.empty(len(phones)), 0
    for k, phone in enumerate(phones):
        if _is_vowel(phone) and not (k and _is_vowel(phones[k - 1])):
            note = _step(note, rng)
        notes[k] = SCALE[note]
    return notes


def _step(note: int, rng: np.random.Generator) -> int:
    return int(np.clip(note + rng.integers(-2, 3), 0, len(SCALE) - 1))


def _filled(phones: Sequence[Phone], seconds: float) -> tuple[Phone, ...]:
    """The phones with a pause wherever nothing is said, from 0 to `seconds`."""
    filled: list[Phone] = []
    time = 0.0
    for phone in [*phones, Phone(PAUSE, seconds, seconds, 0.0)]:
        if phone.start - time > 1e-4:
            filled.append(Phone(PAUSE, time, phone.start, 0.0))
        if phone.stop > phone.start:
            filled.append(replace(phone, start=filled[-1].stop if filled else 0.0))
        time = phone.stop
    return tuple(filled)
