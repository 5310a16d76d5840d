"""Speech sounds: one small alphabet for every language and every synthesiser, and how the mouth makes each sound."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from visemix.ops.store import write_text
from visemix.types import VisemixError

PAUSE = "_"
WEAK, HALF, FULL = 0.55, 0.75, 1.0  # stress of a vowel without a mark, after ˌ and after ˈ
SAME = {"g": "ɡ", "ɝ": "ɚ", "ʍ": "w", "ʀ": "ʁ", "ɻ": "ɹ", "ʋ": "v", "ɫ": "l", "ɬ": "l", "ᵻ": "ɪ", "ʉ": "u"}
MARKS = ".-'|0123456789ˑʰʲʷˤ˞"  # of tone, syllables and shades that this alphabet does not tell apart


@dataclass(frozen=True)
class Phone:
    """A sound at its place in time: an IPA letter, or "_" for a pause; seconds; stress, 1 where it is full."""

    symbol: str
    start: float
    stop: float
    stress: float

    def shifted(self, seconds: float) -> Phone:
        """The same sound so many seconds later."""
        return replace(self, start=self.start + seconds, stop=self.stop + seconds)


@dataclass(frozen=True)
class Articulation:
    """How a sound is made. The same numbers move the face and tune the formant voice."""

    kind: Literal["vowel", "stop", "nasal", "fricative", "glide", "pause"]
    seconds: float  # usual length
    open: float = 0.1  # 0 jaw up, 1 as low as for "ah"
    front: float = 0.5  # where the tongue is: 0 back, 1 front
    round: float = 0.0  # of the lips
    spread: float = 0.0  # of the lips' corners
    lips: Literal["", "seal", "bite"] = ""  # they meet; or the lower one touches the upper teeth
    tongue: float = 0.0  # how much of it shows between the teeth
    hold: float = 1.0  # how firmly the mouth keeps this shape against its neighbours'
    narrow: float = 0.0  # share of what the jaw opens that the lips take back
    bare: float = 0.0  # how far the lips draw off the teeth, wherever the jaw is


def _vowel(open: float, front: float, round: float = 0.0, *, seconds: float = 0.11, **lips: float) -> Articulation:
    return Articulation("vowel", seconds, open, front, round, **lips)  # type: ignore[arg-type]


# Lips after Fromkin (1964) and Abry & Boë (1986): rounding narrows the opening, whatever the jaw does; so does an
# English r (King & Ferragne 2020). The jaw is high for s and ʃ (Keating et al. 1994), but they show the teeth; p b m f
# and v must touch, whatever is said beside them (Edwards et al. 2016). The amounts are rounded from what people's
# mouths in `benchmarks/mouths.py` agree on.
SOUNDS = {
    "i": _vowel(0.16, 1.0, spread=0.4),
    "y": _vowel(0.16, 0.9, round=0.9, narrow=0.6),
    "ɨ": _vowel(0.14, 0.6, spread=0.25),
    "ɪ": _vowel(0.28, 0.85, spread=0.1, seconds=0.08),
    "ʏ": _vowel(0.28, 0.8, round=0.75, narrow=0.6, seconds=0.08),
    "e": _vowel(0.36, 0.95, spread=0.2),
    "ø": _vowel(0.36, 0.85, round=0.8, narrow=0.5),
    "ɛ": _vowel(0.58, 0.85, spread=0.25),
    "œ": _vowel(0.58, 0.75, round=0.6, narrow=0.4),
    "æ": _vowel(0.82, 0.8, spread=0.35, seconds=0.13),
    "a": _vowel(0.95, 0.5, spread=0.25, seconds=0.13),
    "ɑ": _vowel(1.0, 0.1, seconds=0.13, spread=0.15),
    "ɐ": _vowel(0.7, 0.45, seconds=0.07),
    "ə": _vowel(0.36, 0.5, narrow=0.15, seconds=0.055),
    "ɜ": _vowel(0.48, 0.5, round=0.15, narrow=0.1, seconds=0.1),
    "ɚ": _vowel(0.36, 0.5, round=0.7, narrow=0.5, seconds=0.09),
    "ʌ": _vowel(0.68, 0.35, seconds=0.09, narrow=0.15),
    "ɔ": _vowel(0.68, 0.1, round=0.6, narrow=0.7),
    "o": _vowel(0.42, 0.05, round=0.85, narrow=0.7),
    "ɤ": _vowel(0.42, 0.15, spread=0.15),
    "u": _vowel(0.18, 0.05, round=1.0, narrow=0.6, hold=1.5),
    "ʊ": _vowel(0.28, 0.15, round=0.75, narrow=0.6, seconds=0.08, hold=1.5),
    "ɯ": _vowel(0.18, 0.15, spread=0.2),
    "p": Articulation("stop", 0.085, 0.06, 0.3, round=0.4, lips="seal", hold=4.0),
    "b": Articulation("stop", 0.07, 0.06, 0.3, round=0.4, lips="seal", hold=4.0),
    "m": Articulation("nasal", 0.075, 0.08, 0.3, round=0.4, lips="seal", hold=4.0),
    "f": Articulation("fricative", 0.1, 0.12, 0.4, round=0.4, lips="bite", hold=4.0, narrow=0.5),
    "v": Articulation("fricative", 0.065, 0.14, 0.4, round=0.4, lips="bite", hold=4.0, narrow=0.5),
    "w": Articulation("glide", 0.07, 0.12, 0.05, round=0.8, hold=2.0, narrow=0.6),
    "ɥ": Articulation("glide", 0.06, 0.12, 0.9, round=0.9, hold=2.0, narrow=0.6),
    "θ": Articulation("fricative", 0.1, 0.2, 0.65, tongue=0.8, hold=1.6, narrow=0.2),
    "ð": Articulation("fricative", 0.05, 0.2, 0.65, tongue=0.7, hold=1.4, narrow=0.2),
    "t": Articulation("stop", 0.08, 0.14, 0.7, spread=0.1, bare=0.2),
    "d": Articulation("stop", 0.06, 0.15, 0.7, spread=0.1, bare=0.2),
    "n": Articulation("nasal", 0.065, 0.16, 0.7, spread=0.05, hold=0.8, bare=0.2),
    "ɲ": Articulation("nasal", 0.075, 0.16, 0.95, spread=0.15),
    "ŋ": Articulation("nasal", 0.075, 0.26, 0.1, hold=0.6),
    "s": Articulation("fricative", 0.105, 0.07, 0.75, spread=0.2, hold=1.5, bare=0.6),
    "z": Articulation("fricative", 0.075, 0.08, 0.75, spread=0.2, hold=1.4, bare=0.6),
    "ʃ": Articulation("fricative", 0.11, 0.1, 0.75, round=0.5, hold=1.8, bare=0.8),
    "ʒ": Articulation("fricative", 0.075, 0.1, 0.75, round=0.5, hold=1.7, bare=0.8),
    "ʂ": Articulation("fricative", 0.11, 0.1, 0.6, round=0.4, hold=1.6, bare=0.6),
    "ʐ": Articulation("fricative", 0.075, 0.12, 0.6, round=0.4, hold=1.4, bare=0.6),
    "ɕ": Articulation("fricative", 0.11, 0.08, 0.95, spread=0.3, hold=1.4, bare=0.5),
    "ç": Articulation("fricative", 0.09, 0.14, 0.95, spread=0.25),
    "x": Articulation("fricative", 0.09, 0.3, 0.1, hold=0.6),
    "χ": Articulation("fricative", 0.09, 0.34, 0.05, hold=0.6),
    "ʁ": Articulation("fricative", 0.06, 0.34, 0.1, hold=0.6),
    "h": Articulation("fricative", 0.06, 0.4, 0.5, hold=0.3),
    "k": Articulation("stop", 0.085, 0.24, 0.3, hold=0.6, bare=0.2),
    "ɡ": Articulation("stop", 0.065, 0.24, 0.3, hold=0.6, bare=0.2),
    "ʔ": Articulation("stop", 0.03, 0.3, 0.5, hold=0.3),
    "l": Articulation("glide", 0.06, 0.26, 0.6, tongue=0.2, hold=0.8),
    "ɹ": Articulation("glide", 0.065, 0.18, 0.4, round=0.8, hold=1.5, narrow=0.5),
    "ɾ": Articulation("glide", 0.03, 0.22, 0.65, hold=0.6),
    "r": Articulation("glide", 0.07, 0.24, 0.6, hold=0.7),
    "j": Articulation("glide", 0.055, 0.14, 1.0, spread=0.2),
    PAUSE: Articulation("pause", 0.25, 0.0, hold=0.9),
}
VOCABULARY = (PAUSE, *(symbol for symbol in SOUNDS if symbol != PAUSE))  # a trained recogniser answers in this order


@dataclass(frozen=True)
class PhoneSpec:
    """A sound to be said: its letter, its stress, and how much longer than usual it lasts."""

    symbol: str
    stress: float
    length: float = 1.0


def parse_ipa(ipa: str) -> list[PhoneSpec]:
    """The sounds of an IPA transcription: words with blanks between, ˈ and ˌ before what is stressed, ː after long.

    Diphthongs and affricates come apart into two sounds; nasality, aspiration, tone and syllable marks are left out. A
    consonant has the stress of the vowel it leads to, or else of the one it follows.

    Raises:
        VisemixError: a letter that is not in `SOUNDS`.
    """
    spelt: list[PhoneSpec] = []
    for word in ipa.split():
        spelt += _spell_word(word)
    return spelt


def _spell_word(word: str) -> list[PhoneSpec]:
    symbols, lengths, marks = _letters(word)
    vowels = [k for k, symbol in enumerate(symbols) if SOUNDS[symbol].kind == "vowel"]
    stress = dict.fromkeys(vowels, WEAK)
    for place, value in marks.items():
        for k in [k for k in vowels if k >= place][:1]:
            stress[k] = value
    for k in vowels[1:]:
        if k - 1 in stress:  # a diphthong's second half
            stress[k] = max(stress[k], stress[k - 1])
            lengths[k - 1], lengths[k] = 0.8 * lengths[k - 1], 0.6 * lengths[k]
    return [
        PhoneSpec(symbol, stress_at(k, stress), length)
        for k, (symbol, length) in enumerate(zip(symbols, lengths, strict=True))
    ]


def _letters(word: str) -> tuple[list[str], list[float], dict[int, float]]:
    """The symbols of a word, how long each lasts, and its stress marks by the number of the symbol they precede."""
    symbols: list[str] = []
    lengths: list[float] = []
    marks: dict[int, float] = {}
    for letter in unicodedata.normalize("NFD", word).replace("c\u0327", "ç"):
        letter = SAME.get(letter, letter)
        if letter in "ˈˌ":
            marks[len(symbols)] = FULL if letter == "ˈ" else HALF
        elif letter == "ː" and lengths:
            lengths[-1] *= 1.35
        elif letter in SOUNDS:
            symbols.append(letter)
            lengths.append(1.0)
        elif letter not in MARKS and not unicodedata.combining(letter):
            raise VisemixError(f"'{word}' has the letter '{letter}', for which no sound is known")
    return symbols, lengths, marks


def stress_at(k: int, vowels: dict[int, float]) -> float:
    """The stress of the vowel that sound k leads to, or else of the last one, by the vowels' numbers in order.

    >>> stress_at(2, {1: 1.0, 4: 0.75}), stress_at(5, {1: 1.0, 4: 0.75}), stress_at(0, {}) == WEAK
    (0.75, 0.75, True)
    """
    following = [value for place, value in vowels.items() if place >= k]
    return (following or list(vowels.values())[-1:] or [WEAK])[0]


def time_phones(spelt: Sequence[PhoneSpec], start: float = 0.0, slowness: float = 1.0) -> list[Phone]:
    """One sound after the other from `start` on, weak ones shorter, the last syllable longer as speakers do."""
    phones, time = [], start
    last = max((k for k, s in enumerate(spelt) if SOUNDS[s.symbol].kind == "vowel"), default=0)
    for k, sound in enumerate(spelt):
        seconds = SOUNDS[sound.symbol].seconds * sound.length * slowness * (0.62 + 0.5 * sound.stress)
        seconds *= 1.35 if k >= last else 1.0
        phones.append(Phone(sound.symbol, time, time + seconds, sound.stress))
        time += seconds
    return phones


def write_phonemes(path: Path, phones: Sequence[Phone]) -> None:
    """Write `phonemes.csv`: start and end in seconds, and the sound: an IPA letter, or "_" for a pause."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(("start", "end", "symbol"))
    rows.writerows((f"{phone.start:.4f}", f"{phone.stop:.4f}", phone.symbol) for phone in phones)
    write_text(path, file.getvalue())


def read_phonemes(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, sound) of each row of a `phonemes.csv`, seconds.

    Raises:
        VisemixError: a table that is none, or with a letter that is not in `SOUNDS`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(float(row["start"]), float(row["end"]), row["symbol"]) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError) as error:
        raise VisemixError(f"{path} is damaged; make the clip again with visemix corpus --overwrite") from error
    for _, _, symbol in rows:
        if symbol not in SOUNDS:
            raise VisemixError(f"{path} has '{symbol}', which is no known sound; make the clip again with --overwrite")
    return rows


def phones_between(phones: Sequence[tuple[float, float, str]], start: float, stop: float) -> list[int]:
    """Numbers in `VOCABULARY` of the sounds whose middle lies between two times, in order, without pauses.

    >>> phones_between([(0.0, 0.4, "_"), (0.4, 0.5, "i"), (0.5, 0.7, "y"), (0.7, 0.8, "i")], 0.46, 0.76)
    [2, 1]
    """
    inside = (symbol for first, last, symbol in phones if start <= (first + last) / 2 < stop)
    return [VOCABULARY.index(symbol) for symbol in inside if symbol != PAUSE]
