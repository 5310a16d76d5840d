"""A small voice made of formulas: pulses or noise through a row of resonators, after Klatt (1980).

It speaks a string of sounds, not words: enough for a mouth to have something to follow, with no licence attached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import convolve1d
from scipy.signal import butter, sosfilt

from visemix.types import SAMPLE_RATE

BLOCK = 80  # samples (5 ms) between changes of the resonators
OPEN = 0.6  # part of a pitch period in which the glottis is open
SMOOTH = 0.03  # seconds in which loudness and formants glide from sound to sound


@dataclass(frozen=True)
class Sound:
    """One speech sound, and how long it lasts in seconds (shortest, longest)."""

    formants: tuple[int, int, int]  # Hz; a consonant's are where it bends its neighbours to
    seconds: tuple[float, float]
    voice: float = 0.0  # loudness of the pulses
    noise: float = 0.0  # loudness of the hiss
    band: tuple[float, float] = (2000.0, 7000.0)  # Hz, of the hiss
    burst: bool = False  # silence, then a short puff, instead of an even hiss


SOUNDS = {
    "a": Sound((730, 1090, 2440), (0.14, 0.24), voice=1.0),
    "e": Sound((530, 1840, 2480), (0.12, 0.20), voice=0.7),
    "i": Sound((270, 2290, 3010), (0.11, 0.19), voice=0.42),
    "o": Sound((570, 840, 2410), (0.13, 0.22), voice=0.8),
    "u": Sound((300, 870, 2240), (0.11, 0.19), voice=0.4),
    "m": Sound((250, 1000, 2200), (0.09, 0.13), voice=0.16),
    "p": Sound((300, 800, 2300), (0.10, 0.13), noise=0.5, band=(400.0, 3000.0), burst=True),
    "f": Sound((340, 1100, 2100), (0.10, 0.14), noise=0.05, band=(3000.0, 7500.0)),
    "s": Sound((320, 1600, 2600), (0.10, 0.15), noise=0.12, band=(4500.0, 7500.0)),
    "_": Sound((500, 1500, 2500), (0.15, 0.45)),
}
VOWELS, CONSONANTS = "aeiou", "mpfs"
BANDWIDTHS = np.array([70.0, 100.0, 140.0, 250.0])  # Hz


@dataclass(frozen=True)
class Phone:
    """A sound at its place in time, in seconds, with its stress (1 is full)."""

    name: str
    start: float
    stop: float
    stress: float


@dataclass(frozen=True)
class Voice:
    """Whose voice: pitch in Hz, and the length of the throat (1 is a man's; shorter raises every formant)."""

    pitch: float
    throat: float


def babble(seconds: float, rng: np.random.Generator) -> list[Phone]:
    """Random words of open syllables with pauses between them, that fill `seconds`; silence at both ends."""
    phones: list[Phone] = []
    time = _say(phones, "_", 0.0, 1.0, rng)
    while time < seconds:
        for _ in range(rng.integers(1, 4)):
            stress = rng.uniform(0.55, 1.0)
            if rng.random() < 0.85:
                time = _say(phones, str(rng.choice(list(CONSONANTS))), time, stress, rng)
            time = _say(phones, str(rng.choice(list(VOWELS))), time, stress, rng)
        if rng.random() < 0.5:
            time = _say(phones, "_", time, 1.0, rng)
    kept = [phone for phone in phones if phone.stop < seconds - 0.2]
    return [*kept, Phone("_", kept[-1].stop if kept else 0.0, seconds, 1.0)]


def _say(phones: list[Phone], name: str, time: float, stress: float, rng: np.random.Generator) -> float:
    length = rng.uniform(*SOUNDS[name].seconds) * (0.8 + 0.3 * stress)
    phones.append(Phone(name, time, time + length, stress))
    return time + length


def speak(phones: Sequence[Phone], voice: Voice, rng: np.random.Generator) -> Float[np.ndarray, " S"]:
    """The phones as a waveform at 16 kHz, peak 0.7."""
    samples = round(phones[-1].stop * SAMPLE_RATE)
    voiced = _glide(_steps(phones, samples, [SOUNDS[p.name].voice * p.stress for p in phones]))
    vowels = _resonate(_pulses(phones, samples, voice, rng) * voiced, _formants(phones, samples, voice))
    wave = vowels / max(float(np.abs(vowels).max()), 1e-9)
    for name, sound in SOUNDS.items():
        if sound.noise:
            loud = _hiss(phones, samples, name)
            band = butter(2, sound.band, "bandpass", fs=SAMPLE_RATE, output="sos")
            hiss = sosfilt(band, rng.standard_normal(samples))
            wave = wave + loud * hiss / hiss.std()
    return (0.7 * wave / max(float(np.abs(wave).max()), 1e-9)).astype(np.float32)


def _steps(phones: Sequence[Phone], samples: int, values: Sequence[float]) -> np.ndarray:
    out = np.zeros(samples)
    for phone, value in zip(phones, values, strict=True):
        out[round(phone.start * SAMPLE_RATE) : round(phone.stop * SAMPLE_RATE)] = value
    return out


def _glide(track: np.ndarray, seconds: float = SMOOTH) -> np.ndarray:
    window = np.hanning(2 * round(seconds * SAMPLE_RATE / 2) + 3)
    return convolve1d(track, window / window.sum(), mode="nearest")


def _formants(phones: Sequence[Phone], samples: int, voice: Voice) -> np.ndarray:
    """(S, 4) centre frequencies, Hz."""
    tracks = [
        _glide(_steps(phones, samples, [float(SOUNDS[p.name].formants[k]) for p in phones]), 0.05) for k in range(3)
    ]
    return np.stack([*tracks, np.full(samples, 3500.0)], 1) / voice.throat


def _pulses(phones: Sequence[Phone], samples: int, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """The glottis: derivative of its flow (KLGLOTT88), its pitch wavering with jitter, and a little breath."""
    seconds = np.arange(samples) / SAMPLE_RATE
    stress = _glide(_steps(phones, samples, [p.stress for p in phones]), 0.15)
    wander = _glide(np.repeat(rng.standard_normal(samples // BLOCK + 1), BLOCK)[:samples], 0.3)
    jitter = np.repeat(rng.standard_normal(samples // BLOCK + 1), BLOCK)[:samples]
    pitch = voice.pitch * (0.8 + 0.25 * stress - 0.05 * np.sin(seconds) + 0.6 * wander + 0.01 * jitter)
    phase = np.cumsum(pitch / SAMPLE_RATE) % 1.0
    flow = np.where(phase < OPEN, 2 * phase - 3 * phase**2 / OPEN, 0.0)
    return flow + 0.01 * rng.standard_normal(samples)


def _resonate(source: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Four resonators in a row whose frequencies move every block; their state is carried over."""
    out = np.empty_like(source)
    state = np.zeros((4, 2))
    radius = np.exp(-np.pi * BANDWIDTHS / SAMPLE_RATE)
    for start in range(0, len(source), BLOCK):
        turn = 2 * np.pi * formants[start] / SAMPLE_RATE
        first, second = -2 * radius * np.cos(turn), radius**2
        zero = np.zeros(4)
        sections = np.stack([1 + first + second, zero, zero, np.ones(4), first, second], 1)
        out[start : start + BLOCK], state = sosfilt(sections, source[start : start + BLOCK], zi=state)
    return out


def _hiss(phones: Sequence[Phone], samples: int, name: str) -> np.ndarray:
    """Loudness of one sound's noise over time."""
    sound = SOUNDS[name]
    if not sound.burst:
        return _glide(_steps(phones, samples, [sound.noise * p.stress * (p.name == name) for p in phones]))
    out = np.zeros(samples)
    length = round(0.03 * SAMPLE_RATE)
    for phone in phones:
        if phone.name == name:
            start = round(phone.stop * SAMPLE_RATE) - length // 2  # the lips open at the end of the closure
            puff = sound.noise * phone.stress * np.exp(-np.arange(length) / (0.006 * SAMPLE_RATE))
            out[start : start + length] += puff[: max(0, samples - start)]
    return out
