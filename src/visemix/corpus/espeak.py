"""Speech from espeak-ng, which the extra `corpus` brings along: a library and its voices, no network, no command.

Only the corpus uses it, and only if asked or found: it is GPL-3, this package is not.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
import threading
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int16

from visemix.corpus.transcript import merge_phones, split_durations, trim_speech
from visemix.data.phonemes import PAUSE, Phone, parse_ipa
from visemix.types import VisemixError

RATE, PITCH, RANGE = 1, 3, 4  # espeak's numbers of its parameters
WORD, PHONEME, END = 1, 7, 5  # and of its events
SYNCHRONOUS, PHONEME_EVENTS, IPA, STAY, UTF8 = 2, 1, 2, 0x8000, 1
CLOSURES = tuple("ptk")  # stops whose event marks the burst: the closure is the silence before it
# How espeak writes some sounds of Mandarin, and the letters of `SOUNDS` for them.
RESPELT = {"s.": "ʂ", "i.": "ɨ", "i\u032a": "ɨ", "nɡ": "ŋ"}

_alone = threading.Lock()  # the library has one voice and one text at a time


@dataclass(frozen=True)
class EspeakEvent:
    """One of espeak's events: its number, its sample and its phoneme."""

    kind: int
    sample: int
    name: str = ""


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


def installed() -> bool:
    """Whether espeak-ng (the extra `corpus`) is installed."""
    return importlib.util.find_spec("espeakng_loader") is not None


def require() -> None:
    """Raise a VisemixError that says which extra is missing, unless it is here."""
    if not installed():
        raise VisemixError(
            "the espeak voices need the extra 'corpus': pip install -c constraints.txt -e '.[corpus]'; "
            "or ask for the synthesiser 'formants'"
        )


def synthesise(
    text: str, voice: str, *, speed: int = 165, pitch: int = 50, range: int = 50
) -> tuple[Float[np.ndarray, " S"], list[Phone]]:
    """A text as a waveform at 16 kHz of peak 1, from its first sound to its last, and the place of each sound.

    The same text gives the same samples, whatever was said before.

    Args:
        voice: a language and a variant in espeak's words, such as "en-us+f2".
        speed: words a minute.
        pitch: 0 to 99.
        range: of the melody, 0 (flat) to 99.

    Raises:
        VisemixError: espeak is not installed, or does not know the voice.
    """
    with _alone:
        wave, rate, marks = _synthesise(text, voice, {RATE: speed, PITCH: pitch, RANGE: range})
    phones = transcribe(marks, wave, rate)
    if not phones:
        raise VisemixError(f"espeak found nothing to say in '{text}'")
    return trim_speech(wave, rate, phones)


def _synthesise(
    text: str, voice: str, parameters: dict[int, int]
) -> tuple[Int16[np.ndarray, " S"], int, list[EspeakEvent]]:
    require()
    import espeakng_loader

    pieces: list[bytes] = []
    marks: list[EspeakEvent] = []

    def on_event(samples: int | None, count: int, events: ctypes._Pointer[_Event]) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        k = 0
        while events[k].type:
            event = events[k]
            name = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
            marks.append(
                EspeakEvent(event.type, event.sample, name.decode("utf-8", "ignore") if event.type == PHONEME else "")
            )
            k += 1
        return 0

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        callback = _Callback(on_event)
        data = str(espeakng_loader.get_data_path()).encode()
        rate = library.espeak_Initialize(SYNCHRONOUS, 0, data, PHONEME_EVENTS | IPA | STAY)
        library.espeak_SetSynthCallback(callback)
        if rate <= 0 or library.espeak_SetVoiceByName(voice.encode()):
            raise VisemixError(f"espeak has no voice '{voice}'")
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of the breath in some voices; the clock's otherwise
        for number, value in parameters.items():
            library.espeak_SetParameter(number, value, 0)
        written = text.encode()
        size = ctypes.c_size_t(len(written) + 1)
        library.espeak_Synth(written, size, ctypes.c_uint(0), 0, ctypes.c_uint(0), ctypes.c_uint(UTF8), None, None)
        library.espeak_Synchronize()
        library.espeak_Terminate()
    finally:
        _unload(library)  # the next text begins with the library's first state, noise included
    return np.frombuffer(b"".join(pieces), np.int16), rate, marks


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)


def transcribe(marks: list[EspeakEvent], wave: Int16[np.ndarray, " S"], rate: int) -> list[Phone]:
    """Espeak's events as phones without gaps between the first and the last.

    Its diphthongs and affricates come apart, marks of language go, short nothings join the sound before them, and the
    closure of a voiceless stop counts to the stop (espeak's event is its burst).
    """
    marks = [mark for mark in marks if not mark.name.startswith("(")]
    phones: list[Phone] = []
    word: list[tuple[str, int, int]] = []  # letters, first sample, last sample
    opened: int | None = None
    for mark, following in zip(marks, [*marks[1:], EspeakEvent(END, len(wave))], strict=True):
        if mark.kind in (WORD, END):
            phones += _word(word, rate)
            word = []
        if mark.kind == WORD:
            opened = mark.sample
        if mark.kind != PHONEME:
            continue
        letters, start = _letters(mark.name), mark.sample
        if letters and opened is not None:
            start, opened = opened, None
        elif letters.startswith(CLOSURES) and word:
            start = max(word[-1][1] + rate // 100, _closure_before(wave, word[-1][1], start))
            word[-1] = (*word[-1][:2], start)
        word.append((letters, start, following.sample))
    phones += _word(word, rate)
    return merge_phones(phones)


def _letters(name: str) -> str:
    for old, new in RESPELT.items():
        name = name.replace(old, new)
    return re.sub(r"(?<=[^\Wˈˌ])h$", "", name)  # of an aspirated stop


def _closure_before(wave: Int16[np.ndarray, " S"], earlier: int, sample: int) -> int:
    """Where the quiet before `sample` begins: under six hundredths of the sound that starts at `earlier`."""
    loud = np.abs(wave[earlier:sample].astype(np.int32))  # breathy voices are never quite silent
    sounding = np.flatnonzero(loud > 0.06 * loud.max(initial=0))
    return earlier + int(sounding[-1]) + 1 if len(sounding) else sample


def _word(parts: list[tuple[str, int, int]], rate: int) -> list[Phone]:
    """The sounds of one word; what espeak writes as one sound is shared out by how long its parts usually last."""
    spelt = parse_ipa("".join(letters for letters, _, _ in parts))
    phones: list[Phone] = []
    for letters, start, stop in parts:
        count = len(parse_ipa(letters))
        if not count:
            phones.append(Phone(PAUSE, start / rate, stop / rate, 0.0))
            continue
        sounds, spelt = spelt[:count], spelt[count:]
        phones += split_durations(sounds, start / rate, stop / rate)
    return phones
