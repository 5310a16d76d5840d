"""Time stretching of speech at the same pitch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from visemix.data.phonemes import Phone
from visemix.types import SAMPLE_RATE

HOP = 200  # samples; windows are twice as long and overlap by half
REACH = 100  # samples by which a piece may move to fit the last one: a pitch period of 80 Hz in all


def time_stretch(
    wave: Float[np.ndarray, " S"], phones: Sequence[Phone], factors: Sequence[float]
) -> tuple[Float[np.ndarray, " R"], list[Phone]]:
    """The wave and its phones with each phone so many times as long, at the same pitch.

    Windows of the wave are laid closer or further apart, each taken from where it best continues the one before
    (WSOLA, Verhelst & Roelands 1993).

    Args:
        phones: of the whole wave, without gaps, from 0 on.
    """
    old = np.array([0.0] + [phone.stop for phone in phones])
    new = np.concatenate([[0.0], np.cumsum(np.diff(old) * np.asarray(factors))])
    length = round(new[-1] * SAMPLE_RATE)
    margin = 2 * HOP + REACH
    padded = np.pad(wave, (margin, margin + 2 * HOP))
    window = np.hanning(2 * HOP + 1)[:-1]
    out = np.zeros(length + 4 * HOP)
    last = 0
    for place in range(0, length + 2 * HOP, HOP):  # the window's middle; it is written one hop later than it lies
        middle = round(float(np.interp(place / SAMPLE_RATE, new, old)) * SAMPLE_RATE)
        start = _best(padded, last + HOP, middle - HOP + margin) if place else margin - HOP
        out[place : place + 2 * HOP] += window * padded[start : start + 2 * HOP]
        last = start
    moved = [replace(p, start=float(a), stop=float(b)) for p, a, b in zip(phones, new[:-1], new[1:], strict=True)]
    return out[HOP : HOP + length], moved


def _best(wave: Float[np.ndarray, " S"], following: int, wanted: int) -> int:
    """The start near `wanted` from which the wave is most like what would have followed."""
    first = max(0, min(wanted - REACH, len(wave) - 2 * HOP - 2 * REACH))
    natural = wave[following : following + 2 * HOP]
    searched = wave[first : first + 2 * HOP + 2 * REACH]
    if len(natural) < 2 * HOP or not natural.any():
        return wanted
    return first + int(np.correlate(searched, natural, "valid").argmax())
