"""Where and how speech is recorded: rooms, noise, microphones, levels, codecs. Nothing here moves a sound in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve

from visemix.corpus.codecs import RATES, apply_codec
from visemix.types import SAMPLE_RATE, VisemixError

SPOKEN = ("speed", "hesitation")  # kinds of condition that change what is said, sound and truth
RECORDED = ("room", "noise", "microphone", "clipping", "codec", "level")  # and those that change the sound alone
KINDS = (*SPOKEN, *RECORDED)
CLEAN = 0.2  # share of stretches with no condition at all
PART = {"room": 0.5, "noise": 0.5, "microphone": 0.5, "clipping": 0.1, "codec": 0.4, "level": 0.7}  # of the others
PEAK = 0.7  # of an utterance, and of its recording if the level is not drawn
FULL = 0.99

Wave = Float[np.ndarray, " S"]
Babble = Callable[[float, int], Wave]  # so many seconds of other people, by a seed


@dataclass(frozen=True)
class Recording:
    """How a stretch of sound is recorded. The defaults change nothing but its level."""

    room: float = 0.0  # seconds until its echoes are 60 dB down
    direct: float = 6.0  # dB by which what comes straight is louder than the echoes
    noise: str = ""  # "pink" or "babble"
    snr: float = 20.0  # dB of speech over noise
    low: float = 0.0  # Hz below which the microphone is deaf
    high: float = SAMPLE_RATE / 2  # and above which
    tilt: float = 0.0  # dB an octave, about 1 kHz
    clipping: float = 0.0  # dB by which it was recorded too loud
    codec: str = ""  # one of `codecs.RATES`
    kilobits: int = 0
    peak: float = PEAK  # of an utterance; a quiet part of one is quieter
    seed: int = 0  # of echoes and noise


def parse_conditions(text: str) -> tuple[str, ...]:
    """Kinds of condition as they are asked for: "clean", "all", or some of `KINDS` with commas between.

    Raises:
        VisemixError: a word that is no kind of condition.

    >>> parse_conditions("noise,room")
    ('room', 'noise')
    """
    asked = {"clean": (), "all": KINDS}.get(text, tuple(word.strip() for word in text.split(",")))
    for word in asked:
        if word not in KINDS:
            raise VisemixError(f"no condition '{word}'; choose clean, all, or some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in asked)


def sample_recording(kinds: tuple[str, ...], rng: np.random.Generator) -> Recording:
    """A recording by chance, with some of these kinds of condition."""
    clean = rng.random() < CLEAN
    here = {kind for kind in RECORDED if rng.random() < PART[kind] and kind in kinds and not clean}
    codec = str(rng.choice(list(RATES)))
    drawn: dict[str, dict[str, Any]] = {
        "room": {"room": rng.uniform(0.15, 0.8), "direct": rng.uniform(0.0, 12.0)},
        "noise": {"noise": str(rng.choice(["pink", "babble"])), "snr": rng.uniform(5.0, 30.0)},
        "microphone": {
            "low": rng.uniform(50.0, 300.0),
            "high": float(np.exp(rng.uniform(np.log(3000.0), np.log(8000.0)))),
            "tilt": rng.uniform(-3.0, 3.0),
        },
        "clipping": {"clipping": rng.uniform(3.0, 12.0)},
        "codec": {"codec": codec, "kilobits": int(rng.integers(RATES[codec][0], RATES[codec][1] + 1))},
        "level": {"peak": float(np.exp(rng.uniform(np.log(0.05), np.log(0.95))))},
    }
    seed = int(rng.integers(2**31))
    chosen = {key: value for kind in RECORDED if kind in here for key, value in drawn[kind].items()}
    return Recording(seed=seed, **chosen)


def apply_recording(wave: Wave, recording: Recording, babble: Babble | None = None) -> Wave:
    """The wave under these recording conditions: same length and timing, unclipped unless `recording` says so.

    Args:
        wave: 16 kHz, in [-1, 1].
        babble: other people; needed for that noise.
    """
    rng = np.random.default_rng([recording.seed, 7])
    sound = wave.astype(np.float64)
    level = recording.peak / PEAK * float(np.abs(sound).max())
    if not level or replace(recording, seed=0) == Recording():
        return sound
    if recording.room:
        sound = fftconvolve(sound, room_impulse_response(recording.room, recording.direct, rng))[: len(sound)]
    if recording.noise:
        other = babble(len(sound) / SAMPLE_RATE, recording.seed) if recording.noise == "babble" and babble else None
        noise = pink(len(sound), rng) if other is None else other[: len(sound)]
        sound = sound + noise * _level(sound) / max(_level(noise), 1e-9) * 10 ** (-recording.snr / 20)
    if recording.low or recording.tilt or recording.high < SAMPLE_RATE / 2:
        sound = apply_microphone(sound, recording.low, recording.high, recording.tilt)
    sound /= np.abs(sound).max()
    if recording.clipping:
        sound = (sound * 10 ** (recording.clipping / 20)).clip(-1, 1)
    if recording.codec:
        sound = apply_codec(FULL * sound, recording.codec, recording.kilobits)
    return level * sound / float(np.abs(sound).max())


def room_impulse_response(seconds: float, direct: float, rng: np.random.Generator) -> Float[np.ndarray, " R"]:
    """A room's impulse response: a click, then from 2 to 8 ms on noise that decays by 60 dB in `seconds` (RT60).

    Args:
        direct: dB by which the click is louder than all that follows.
    """
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail[time < rng.uniform(0.002, 0.008)] = 0.0
    tail *= 10 ** (-direct / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return tail


def apply_microphone(wave: Wave, low: float, high: float, tilt: float) -> Wave:
    """The wave through a microphone of band `low` … `high` Hz (12 dB an octave beyond) and `tilt` (dB an octave),
    without delay."""
    hertz = np.fft.rfftfreq(2 * len(wave), 1 / SAMPLE_RATE).clip(20.0)
    gain = (hertz / 1000.0) ** (tilt / 20 / np.log10(2)) / np.sqrt((1 + (low / hertz) ** 4) * (1 + (hertz / high) ** 4))
    return np.fft.irfft(np.fft.rfft(wave, 2 * len(wave)) * gain)[: len(wave)]


def pink(samples: int, rng: np.random.Generator) -> Wave:
    """Noise whose power falls by 3 dB an octave."""
    hertz = np.fft.rfftfreq(samples + samples % 2, 1 / SAMPLE_RATE).clip(20.0)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(samples + samples % 2)) / np.sqrt(hertz))[:samples]


def _level(wave: Wave) -> float:
    """Root mean square of the louder half of its frames: pauses do not count."""
    frames = (wave[: len(wave) // 640 * 640].reshape(-1, 640) ** 2).mean(1) if len(wave) >= 640 else (wave**2)[:1]
    return float(np.sqrt(np.sort(frames)[len(frames) // 2 :].mean()))
