"""The voices of the synthesisers that are installed, and how each says a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from visemix.corpus import espeak, flite, kokoro
from visemix.corpus.formants import synthesise_formants
from visemix.corpus.sentences import Sentence, phrase_book
from visemix.corpus.time_stretch import time_stretch
from visemix.corpus.transcript import change_speed
from visemix.data.phonemes import PAUSE, SOUNDS, Phone, PhoneSpec, parse_ipa, time_phones
from visemix.types import VisemixError

Synthesiser = Literal["espeak", "flite", "formants", "kokoro"]
SynthesiserChoice = Literal["auto", "all", "espeak", "flite", "formants", "kokoro"]
Sex = Literal["female", "male"]
SynthesisedSpeech = tuple[Float[np.ndarray, " _"], list[Phone]]  # 16 kHz, peak 1; from the first sound to the last

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
SEXES: dict[str, Sex] = {"f": "female", "m": "male"}
# voices made by rules: any language, and they sing
RULE_BASED: dict[str, Sex] = {name: SEXES[name[0]] for name in VOICES}
NAMES: Mapping[Synthesiser, Mapping[str, Sex]] = {
    "espeak": RULE_BASED,
    "flite": flite.SPEAKERS,
    "formants": RULE_BASED,
    "kokoro": kokoro.SPEAKERS,
}
RECORDED: tuple[Synthesiser, ...] = ("flite", "kokoro")  # few speakers, who speak English and do not sing
ENGLISH = "en"
BODIES = 0.08  # by which the size of a recorded speaker is varied, so that few become many


@dataclass(frozen=True)
class Voice:
    """A voice of a synthesiser, its language, and the pitch, rate and size of the speaker."""

    name: str
    language: str
    sex: Sex
    synthesiser: Synthesiser
    pitch: float = 1.0  # times that of the voice as it is
    rate: float = 1.0  # times the usual speed
    size: float = 1.0  # of a recorded speaker: resonances lower; tempo kept, and pitch where it can be set


def sample_voice(
    seed: int,
    language: str = "en",
    voice: str | None = None,
    synthesiser: SynthesiserChoice = "auto",
) -> Voice:
    """A voice by chance, or the one that is named.

    Args:
        seed: draws what is not named, and the speaker's own pitch, rate and (recorded voices) size.
        language: "en" or another of `languages()`.
        voice: "female", "male", or one of `NAMES`.
        synthesiser: "auto" and "all" draw from those that are installed (see `usable_synthesisers`), or take the one
            that has the voice.

    Raises:
        VisemixError: an unknown language or voice (the message offers those there are), or a synthesiser that is not
            installed or does not speak the language.
    """
    phrase_book(language)
    names = [name for family in NAMES.values() for name in family]
    if voice not in (None, *SEXES.values(), *names):
        raise VisemixError(f"no voice '{voice}'; choose female, male, {', '.join(dict.fromkeys(names))}")
    if synthesiser == "auto" or synthesiser == "all":
        families = usable_synthesisers(language, voice, slow=synthesiser == "all")
    else:
        families = [_required(synthesiser, language)]
    family = families[np.random.default_rng([seed, 6]).integers(len(families))]
    offered = _offered(family, voice)
    if not offered:
        raise VisemixError(f"{family} has no voice '{voice}'; choose female, male, {', '.join(NAMES[family])}")
    rng = np.random.default_rng([seed, 1])
    name = offered[rng.integers(len(offered))]
    pitch, rate = rng.uniform(0.93, 1.08), rng.uniform(0.9, 1.1)
    size = rng.uniform(1 - BODIES, 1 + BODIES) if family in RECORDED else 1.0
    return Voice(name, language, NAMES[family][name], family, float(pitch), float(rate), float(size))


def usable_synthesisers(language: str, voice: str | None = None, *, slow: bool = False) -> list[Synthesiser]:
    """The synthesisers that "auto" draws from: flite where it is installed and can say it, and espeak, or formants
    without; Kokoro, which is slow, only if the voice is one of its own. "all" draws from the `slow` one, too."""
    for family in RECORDED:
        if voice in NAMES[family]:
            return [_required(family, language)]
    here = {"flite": flite.installed(), "kokoro": slow and kokoro.installed()}
    recorded = [family for family in RECORDED if here[family] and language == ENGLISH]
    return [family for family in (*recorded, rule_based_synthesiser()) if _offered(family, voice)]


def rule_based_synthesiser() -> Synthesiser:
    """The better of the synthesisers here that speak every language and sing."""
    return "espeak" if espeak.installed() else "formants"


def _offered(family: Synthesiser, voice: str | None) -> list[str]:
    return [name for name, sex in NAMES[family].items() if voice in (None, name, sex)]


def _required(family: Synthesiser, language: str) -> Synthesiser:
    if family != "formants":
        {"espeak": espeak, "flite": flite, "kokoro": kokoro}[family].require()
    if family in RECORDED and language != ENGLISH:
        raise VisemixError(f"{family} speaks no '{language}', only '{ENGLISH}'; ask for espeak or formants")
    return family


def synthesise(sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool = False) -> SynthesisedSpeech:
    """A sentence from its first sound to its last, and the place of each sound.

    Raises:
        VisemixError: the synthesiser is not installed; or the voice is recorded and is to sing.
    """
    if singing and voice.synthesiser in RECORDED:
        raise VisemixError(f"the voices of {voice.synthesiser} do not sing; ask for the synthesiser espeak or formants")
    said = SYNTHESISE[voice.synthesiser](sentence, voice, rng, singing)
    return said if voice.size == 1 else change_speed(*said, voice.size)


def _flite(sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool) -> SynthesisedSpeech:
    slowness = 1 / (voice.rate * voice.size)
    ipa = " ".join(sentence.parts)
    return flite.synthesise(sentence.text, voice.name, ipa, slowness=slowness, pitch=voice.pitch * voice.size)


def _kokoro(sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool) -> SynthesisedSpeech:
    return kokoro.synthesise(sentence.parts, voice.name, slowness=1 / (voice.rate * voice.size))


def _espeak(sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool) -> SynthesisedSpeech:
    name = f"{phrase_book(voice.language)['espeak']}+{voice.name}"
    speed, height = round(165 * voice.rate), 100 * np.log2(voice.pitch)
    if not singing:
        return espeak.synthesise(sentence.text, name, speed=speed, pitch=round(50 + height))
    waves: list[np.ndarray] = []
    phones: list[Phone] = []
    note = 0
    for word in re.findall(WORDS, sentence.text):
        note = _step(note, rng)
        flat = round(min(45 + height + 64 * np.log2(SCALE[note]), 99))
        wave, sounds = espeak.synthesise(word, name, speed=speed, pitch=flat, range=0)
        wave, sounds = time_stretch(wave, sounds, [HELD if _is_vowel(p) else 1.2 for p in sounds])
        start = phones[-1].stop if phones else 0.0
        phones += [p.shifted(start) for p in sounds]
        waves.append(wave)
    return np.concatenate(waves), phones


def _formants(sentence: Sentence, voice: Voice, rng: np.random.Generator, singing: bool) -> SynthesisedSpeech:
    throat, pitch = VOICES[voice.name]
    phones: list[Phone] = []
    for part in sentence.parts:
        spelt = parse_ipa(part)
        if singing:
            spelt = [replace(s, length=s.length * (HELD if _is_vowel(s) else 1.2), stress=1.0) for s in spelt]
        if phones:
            phones.append(Phone(PAUSE, phones[-1].stop, phones[-1].stop + rng.uniform(0.12, 0.28), 0.0))
        phones += time_phones(spelt, phones[-1].stop if phones else 0.0, 1 / voice.rate)
    heights = _notes(phones, rng) if singing else _melody(phones, rng)
    return synthesise_formants(phones, pitch * voice.pitch * heights, throat, rng), phones


def _is_vowel(sound: PhoneSpec | Phone) -> bool:
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


SYNTHESISE: dict[Synthesiser, Callable[[Sentence, Voice, np.random.Generator, bool], SynthesisedSpeech]]
SYNTHESISE = {"espeak": _espeak, "flite": _flite, "formants": _formants, "kokoro": _kokoro}
