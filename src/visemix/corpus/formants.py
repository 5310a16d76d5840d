"""A small voice made of formulas: pulses or noise through a row of resonators, after Klatt (1980).

It needs no library and no licence, and speaks the same sounds, at the same places in time, as the espeak voices do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from visemix.data.phonemes import SOUNDS, Phone
from visemix.types import SAMPLE_RATE

BLOCK = 80  # samples (5 ms) between changes of loudness, pitch and resonators
OPEN = 0.6  # part of a pitch period in which the glottis is open
GLIDE, BEND = 0.010, 0.022  # seconds in which loudness, and formants, move from sound to sound
RELEASE = 0.012  # seconds before a stop's end at which it bursts
BINS = 257  # of the filters' frequency responses
BANDWIDTHS = np.array([70.0, 100.0, 140.0, 250.0])  # Hz
VOICED = {"vowel": 1.0, "glide": 0.5, "nasal": 0.25, "fricative": 0.12, "stop": 0.06, "pause": 0.0}  # loudness
VOICELESS = frozenset("ptkʔfθsʃʂɕçxχh")
HISS = {  # loudness, and the band in Hz
    "f": (0.04, 2500, 7500),
    "v": (0.02, 2500, 7500),
    "θ": (0.035, 3500, 7500),
    "ð": (0.012, 3500, 7500),
    "s": (0.12, 4500, 7500),
    "z": (0.06, 4500, 7500),
    "ʃ": (0.14, 2200, 6000),
    "ʒ": (0.07, 2200, 6000),
    "ʂ": (0.12, 2000, 5500),
    "ʐ": (0.05, 2000, 5500),
    "ɕ": (0.12, 3000, 7000),
    "ç": (0.07, 2800, 6500),
    "x": (0.06, 1000, 3500),
    "χ": (0.06, 800, 3000),
    "ʁ": (0.02, 800, 3000),
    "h": (0.03, 600, 4500),
}
BURST = {
    "p": (0.3, 400, 2500),
    "b": (0.12, 400, 2500),
    "t": (0.4, 3000, 7500),
    "d": (0.16, 3000, 7500),
    "k": (0.35, 1200, 3500),
    "ɡ": (0.14, 1200, 3500),
}


def synthesise_formants(
    phones: Sequence[Phone], pitch: Float[np.ndarray, " P"], throat: float, rng: np.random.Generator
) -> Float[np.ndarray, " S"]:
    """The phones as a waveform at 16 kHz, of peak 1.

    Args:
        pitch: Hz at each phone.
        throat: length of the vocal tract; 1 is a man's, shorter raises every formant.
    """
    samples = round(phones[-1].stop * SAMPLE_RATE)
    ticks = np.arange(-(-samples // BLOCK) + 1) * BLOCK / SAMPLE_RATE
    at = np.searchsorted([phone.stop for phone in phones], ticks, side="right").clip(max=len(phones) - 1)

    def track(values: Sequence[float] | np.ndarray, seconds: float) -> np.ndarray:
        return gaussian_filter1d(np.asarray(values, float)[at], seconds * SAMPLE_RATE / BLOCK, mode="nearest")

    def fine(values: np.ndarray) -> np.ndarray:
        return np.interp(np.arange(samples) / SAMPLE_RATE, ticks, values)

    voiced = fine(track([_voice(phone) for phone in phones], GLIDE))
    tuned = np.stack([track([formants(p.symbol)[k] for p in phones], BEND) for k in range(4)], 1) / throat
    wave = _shape(_pulses(fine(track(pitch, 0.04)), rng) * voiced, _resonance(tuned))
    loud = fine(track([HISS[p.symbol][0] * p.stress if p.symbol in HISS else 0.0 for p in phones], GLIDE))
    colour = gaussian_filter1d(np.stack([_band(phone.symbol) for phone in phones])[at], 0.5, axis=0)
    hiss = _shape((loud + _bursts(phones, samples)) * rng.standard_normal(samples), colour)
    wave = wave / max(float(np.abs(wave).max()), 1e-9) + hiss
    return wave / max(float(np.abs(wave).max()), 1e-9)


def formants(symbol: str) -> tuple[float, float, float, float]:
    """The four formants of a sound, Hz, of a man's vocal tract: an open mouth raises the first, a front tongue the
    second.

    >>> [round(f) for f in formants("i")], [round(f) for f in formants("ɑ")]
    ([291, 2259, 2900, 3500], [740, 1168, 2495, 3500])
    """
    sound = SOUNDS[symbol]
    back, front = 820 + 280 * sound.open, 2350 - 570 * sound.open
    second = (back + (front - back) * sound.front) * (1 - 0.16 * sound.round)
    third = 2450 + 450 * sound.front - 400 * sound.round * sound.front
    return 205 + 535 * sound.open, second, third, 3500.0


def _voice(phone: Phone) -> float:
    sound = SOUNDS[phone.symbol]
    if phone.symbol in VOICELESS:
        return 0.0
    return VOICED[sound.kind] * phone.stress * (0.45 + 0.55 * sound.open if sound.kind == "vowel" else 1.0)


def _pulses(pitch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Glottal source: derivative of the flow (KLGLOTT88), a little unsteady, with a little breath."""
    unsteady = np.repeat(rng.standard_normal(len(pitch) // BLOCK + 1), BLOCK)[: len(pitch)]
    phase = np.cumsum(pitch * (1 + 0.008 * unsteady) / SAMPLE_RATE) % 1.0
    flow = np.where(phase < OPEN, 2 * phase - 3 * phase**2 / OPEN, 0.0)
    return flow + 0.01 * rng.standard_normal(len(pitch))


def _shape(source: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The source through a filter that varies in time: windows of two blocks, each by its own frequency response (tick,
    bins)."""
    window = np.sin(np.pi * (np.arange(2 * BLOCK) + 0.5) / (2 * BLOCK)) ** 2  # two of them overlap and add up to one
    ticks, tail = len(response), BINS * 2 - 2
    padded = np.pad(source, (BLOCK, (ticks + 1) * BLOCK - len(source)))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, 2 * BLOCK)[::BLOCK][:ticks] * window
    shaped = np.fft.irfft(np.fft.rfft(pieces, tail) * response, tail)
    out = np.zeros((ticks + tail // BLOCK + 1) * BLOCK)
    for k in range(0, tail, BLOCK):  # the k-th block of every window lands k blocks later
        part = shaped[:, k : k + BLOCK]
        out.reshape(-1, BLOCK)[k // BLOCK : k // BLOCK + ticks, : part.shape[1]] += part
    return out[BLOCK : BLOCK + len(source)]


def _resonance(centres: np.ndarray) -> np.ndarray:
    """Frequency response (tick, bins) of four resonators in a row, of gain 1 at 0 Hz."""
    delay = np.exp(-2j * np.pi * np.arange(BINS) / (2 * BINS - 2))
    radius = np.exp(-np.pi * BANDWIDTHS / SAMPLE_RATE)
    response = np.ones((len(centres), BINS), complex)
    for turn, r in zip(2 * np.pi * centres.T / SAMPLE_RATE, radius, strict=True):
        first = -2 * r * np.cos(turn)[:, None]
        response *= (1 + first + r**2) / (1 + first * delay + r**2 * delay**2)
    return response


def _band(symbol: str) -> np.ndarray:
    """Amplitude of each frequency in a sound's noise; unit power over all."""
    _, low, high = (HISS | BURST).get(symbol, (0.0, 500, 5000))
    hertz = np.linspace(1, SAMPLE_RATE / 2, BINS)
    band = 1 / np.sqrt((1 + (low / hertz) ** 6) * (1 + (hertz / high) ** 6))
    return band / np.sqrt((band**2).mean())


def _bursts(phones: Sequence[Phone], samples: int) -> np.ndarray:
    """Loudness of the bursts that end the closures of stops."""
    out = np.zeros(samples)
    length = round(0.03 * SAMPLE_RATE)
    for phone in phones:
        if phone.symbol in BURST:
            start = max(0, round((phone.stop - RELEASE) * SAMPLE_RATE))
            puff = BURST[phone.symbol][0] * phone.stress * np.exp(-np.arange(length) / (0.006 * SAMPLE_RATE))
            out[start : start + length] += puff[: max(0, samples - start)]
    return out
