"""Speech from flite: four recorded speakers, and where each of their sounds is, from a command that Debian packages.

Black & Lenzo (2001), www.cmuflite.org. BSD-like; it is run, not linked, and only where it is found on the path.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import soundfile
from jaxtyping import Float

from visemix.corpus.transcript import merge_phones, split_durations, trim_speech, with_stress
from visemix.data.phonemes import PAUSE, Phone, parse_ipa
from visemix.types import VisemixError

SPEAKERS: dict[str, Literal["female", "male"]] = {"slt": "female", "rms": "male", "awb": "male", "kal16": "male"}
PATIENCE = 60  # seconds after which a sentence is given up
# Its phones, those of CMUdict and a few of its own, in the letters of `SOUNDS`.
PHONES = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "eh": "ɛ", "er": "ɚ",
    "ey": "eɪ", "ih": "ɪ", "ix": "ɪ", "iy": "i", "ow": "oʊ", "oy": "ɔɪ", "uh": "ʊ", "uw": "u", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "dx": "ɾ", "el": "l", "em": "m", "en": "n", "f": "f", "g": "ɡ", "hh": "h", "hv": "h",
    "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n", "ng": "ŋ", "nx": "n", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ",
    "t": "t", "th": "θ", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ", "pau": PAUSE, "brth": PAUSE, "h#": PAUSE,
}  # fmt: skip


def installed() -> bool:
    """Whether the command is on the path."""
    return shutil.which("flite") is not None


def require() -> None:
    """Raise a VisemixError that says how to get it, unless the command is here."""
    if not installed():
        raise VisemixError(
            "the recorded voices need the command flite: apt-get install flite; or ask for the synthesiser 'formants'"
        )


def synthesise(
    text: str, speaker: str, ipa: str, *, slowness: float = 1.0, pitch: float = 1.0
) -> tuple[Float[np.ndarray, " S"], list[Phone]]:
    """A sentence as a waveform at 16 kHz of peak 1, from its first sound to its last, and the place of each sound.

    Args:
        text: one sentence of English.
        speaker: one of `SPEAKERS`.
        ipa: how it sounds, for the stress, of which flite says nothing.
        slowness: how many times as long as usual it lasts.
        pitch: times the speaker's own; `rms` keeps his.

    Raises:
        VisemixError: flite is missing, fails, or says nothing or more than a sentence.
    """
    require()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        options = ["-voice", speaker, "--setf", f"duration_stretch={slowness:.4f}", "--setf", f"f0_shift={pitch:.4f}"]
        told = _run(["flite", *options, "-psdur", "-t", text, "-o", str(file)])
        phones = transcribe(told, text)
        wave, rate = soundfile.read(file, dtype="float64", always_2d=True)
    return trim_speech(wave[:, 0], rate, with_stress(phones, ipa))


def _run(command: list[str]) -> str:
    try:
        said = subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
        return said.stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise VisemixError(f"flite failed ({error}); ask for another synthesiser") from error


def transcribe(told: str, text: str = "") -> list[Phone]:
    """What `-psdur` prints (a sound and its end in seconds, one sentence a line) as phones from first sound to last.

    Every stress is 1. (`kal16` joins pieces from middle to middle and leaves out half of the last pause; all before it
    is in its place.)

    Raises:
        VisemixError: nothing is said, more than a sentence, or a phone that is not known here.
    """
    lines = [line.split() for line in told.splitlines() if ":" in line]
    if len(lines) != 1:
        raise VisemixError(f"flite is given one sentence at a time, and made {len(lines)} of '{text}'")
    phones = merge_phones(list(_phones(lines[0])))
    if not phones:
        raise VisemixError(f"flite found nothing to say in '{text}'")
    return phones


def _phones(parts: Iterable[str]) -> Iterable[Phone]:
    start = 0.0
    for part in parts:
        name, _, end = part.partition(":")
        if name not in PHONES:
            raise VisemixError(f"flite has a sound '{name}' that is not known here; ask for another synthesiser")
        stop, letters = float(end), PHONES[name]
        if letters == PAUSE:
            yield Phone(PAUSE, start, stop, 0.0)
        else:
            yield from split_durations(parse_ipa(letters), start, stop)
        start = stop
