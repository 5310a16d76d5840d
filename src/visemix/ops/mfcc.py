"""Mel-frequency cepstral coefficients as SyncNet's audio tower was trained on (`python_speech_features` 0.6).

25 ms rectangular windows every 10 ms, pre-emphasis 0.97, 512-point power spectrum, 26 triangular mel filters from 0 to
8 kHz, logarithm, orthonormal DCT-II, 13 coefficients, lifter 22; the first is replaced by the log energy.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.fft import dct

RATE, WINDOW, HOP, POINTS = 16_000, 400, 160, 512
FILTERS, COEFFICIENTS, LIFTER, EMPHASIS = 26, 13, 22, 0.97
TINY = np.finfo(float).eps


def mfcc(samples: Float[np.ndarray, " S"]) -> Float[np.ndarray, "R 13"]:
    """A row for every 160 samples at 16 kHz; the last windows are filled up with zeros.

    Give samples on the scale of 16-bit integers, as SyncNet wants them: in [-1, 1] the log energy is 20.79 lower.

    >>> mfcc(np.zeros(16_000)).shape
    (99, 13)
    """
    emphasised = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1])
    rows = 1 + max(0, math.ceil((len(samples) - WINDOW) / HOP))
    padded = np.pad(emphasised, (0, (rows - 1) * HOP + WINDOW - len(emphasised)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows, POINTS)) ** 2 / POINTS
    energy = power.sum(1)
    bands = power @ _filters().T
    cepstrum = dct(np.log(np.where(bands == 0, TINY, bands)), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    lifted = cepstrum * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    lifted[:, 0] = np.log(np.where(energy == 0, TINY, energy))
    return lifted


@lru_cache(maxsize=1)
def _filters() -> Float[np.ndarray, "26 257"]:
    """Triangles whose corners lie on whole bins."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corners = np.floor((POINTS + 1) * hertz / RATE)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    bins = np.arange(POINTS // 2 + 1)
    rising = np.where((bins >= low) & (bins < middle), (bins - low) / (middle - low), 0)
    falling = np.where((bins >= middle) & (bins < high), (high - bins) / (high - middle), 0)
    return rising + falling
