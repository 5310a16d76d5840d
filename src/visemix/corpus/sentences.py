"""Sentences to be said: phrases of a language, and how they sound, joined by patterns and chance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from visemix.types import VisemixError

FOLDER = Path(__file__).parent / "languages"
SIZES = ("long", "middle", "short", "tiny")


@dataclass(frozen=True)
class Sentence:
    """What is said, and how: parts of IPA words, with a short pause wherever the text has a comma."""

    text: str
    parts: tuple[str, ...]


def languages() -> list[str]:
    """Languages that have a phrase book: the names of the files in `data/languages`."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def phrase_book(language: str) -> dict[str, Any]:
    """A language's patterns and phrases.

    Raises:
        VisemixError: there is none; the message offers those there are.
    """
    if language not in languages():
        raise VisemixError(f"no language '{language}'; choose one of {', '.join(languages())}")
    book = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{language}.yaml"))
    assert isinstance(book, dict)
    return {str(key): value for key, value in book.items()}


def compose_sentence(language: str, rng: np.random.Generator, size: str = "middle") -> Sentence:
    """A sentence by chance, as long as one of `SIZES` says; no phrase comes twice in it."""
    book = phrase_book(language)
    patterns = book["sentences"][size]
    pattern = patterns[rng.integers(len(patterns))]
    used: set[str] = set()
    text, sound = "", ""
    for slot, joint, mark in re.findall(r"\{(\w+)\}|([^\W\d_]+)|([,.?!，。？！、]\s*|\s+)", pattern):
        if slot:
            phrases = [phrase for phrase in book["phrases"][slot] if phrase not in used]
            phrase = phrases[rng.integers(len(phrases))]
            used.add(phrase)
            text, sound = text + phrase, f"{sound} {book['phrases'][slot][phrase]}"
        elif joint:
            text, sound = text + joint, f"{sound} {book['joints'][joint]}"
        else:
            text, sound = text + mark, sound + ("" if mark.isspace() else "|")
    parts = tuple(part.strip() for part in sound.split("|") if part.strip())
    return Sentence(text[:1].upper() + text[1:], parts)


def hesitation(language: str, rng: np.random.Generator) -> Sentence:
    """What a speaker of the language says while thinking, by chance: "Um," or the like."""
    known = phrase_book(language)["hesitations"]
    text = list(known)[rng.integers(len(known))]
    return Sentence(text[:1].upper() + text[1:] + ",", (known[text],))
