"""A detector of lag between lips and sound that needs no downloaded weights. It is not a lip-sync score.

A ridge regression from the mel spectrum around a frame to how far the mouth is open, how high and how wide it is, and
how fast that changes; then the lag at which what the sound foretells correlates best with what is seen. It was fitted
on a handful of real clips (`benchmarks/avproxy.py` makes the file with its card, and the table) whose true lags nobody
knows, so its zero is only relative. Never average, rank or compare it with LSE, and never train a model on it. A clip
that it was fitted on is judged by a fit that left it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from torch import Tensor

from visemix.ops.audio import ROWS_PER_FRAME, log_mel
from visemix.ops.store import read_tensors
from visemix.types import FPS, SAMPLES_PER_FRAME

FILE = Path(__file__).with_name("avlag.safetensors")
REACH = 15  # frames to either side that are tried
SHORTEST = 4 * FPS  # frames
BANDS, CONTEXT = 26, 8  # mel bands; frames before and after that are listened to
LOUDNESS = float(np.log(1000.0))  # 60 dB under the loudest is silence
DRIFT = 25.0  # frames; slower changes (of pose, of mood) are taken out
RIDGE = 1.0
STILL = 1e-3  # of the eye distance, of spread of the mouth's opening
QUIET = 0.1  # of spread of the log mel bands
CLEAR = 2.0  # standard deviations that the best lag must stand out by: laughter does by less, every speech by more

Rows = Float[np.ndarray, "_ _"]  # frames × channels
Frames = TypeVar("Frames", np.ndarray, Tensor)


@dataclass(frozen=True)
class Lag:
    """The lag that the detector found in a clip, and how far it stands out."""

    offset: int  # frames; above 0 the sound is early
    correlations: Float[np.ndarray, "31"]  # with the sound moved by −15 to 15 frames
    peak_z: float  # standard deviations by which the best is above the bests of the same sound far out of step

    @property
    def at_zero(self) -> float:
        """Correlation with the sound left where it is."""
        return float(self.correlations[REACH])

    @property
    def doubt(self) -> str:
        """Why the offset would be a guess; empty where it is none."""
        if abs(self.offset) == REACH:
            return f"the best lag is at the edge ({self.offset} frames): nothing to trust"
        if self.peak_z < CLEAR:
            return f"no lag stands out (z {self.peak_z:.1f}, at least {CLEAR:g} is wanted): is this speech?"
        return ""


class LagUndetermined(Exception):
    """A clip cannot be judged, for the reason given."""


class StillMouth(LagUndetermined):
    """The mouth does not move."""


def mouth_rows(landmarks: Float[Tensor, "T 68 2"], fps: float) -> Rows:
    """Mouth shape rows (T, 6): inner-lip opening, height, width and their speeds, of an upright face, standardised.

    At 25 frames a second, whatever the video's rate. Frames without a face (NaN) are interpolated.

    Raises:
        StillMouth: the mouth does not move.
    """
    points = landmarks.double().numpy()
    frames = np.arange(len(points))
    found = np.flatnonzero(~np.isnan(points).any((1, 2)))
    clock = np.arange(0, len(points) - 1 + 1e-6, fps / FPS)
    flat = points[found].reshape(len(found), -1)
    points = np.stack([np.interp(clock, frames[found], column) for column in flat.T], 1).reshape(-1, 68, 2)
    eyes = points[:, 45] - points[:, 36]
    right = eyes / np.square(eyes).sum(1, keepdims=True)
    down = np.stack([-right[:, 1], right[:, 0]], 1)

    def extent(start: int, stop: int, axis: np.ndarray) -> np.ndarray:
        return ((points[:, stop] - points[:, start]) * axis).sum(1)

    shape = np.column_stack([extent(62, 66, down), extent(51, 57, down), extent(48, 54, right)])
    if not shape[:, 0].std() > STILL:
        raise StillMouth("the mouth does not move")
    detrended = _detrend(shape)
    return _standardise(np.concatenate([detrended, np.gradient(detrended, axis=0)], 1))


def audio_rows(sound: Float[Tensor, " S"], frames: int) -> Rows:
    """Log-mel rows of each frame with its neighbours' (T, C), detrended.

    Raises:
        LagUndetermined: there is silence.
    """
    wanted = frames * SAMPLES_PER_FRAME
    wave = torch.nn.functional.pad(sound[:wanted], (0, max(0, wanted - len(sound))))
    rows = log_mel(wave.unsqueeze(0), BANDS)[0].double()
    loud = torch.maximum(rows, rows.quantile(0.99) - LOUDNESS)
    bands = loud.unflatten(0, (-1, ROWS_PER_FRAME)).mean(1).numpy()
    if not bands.std() > QUIET:
        raise LagUndetermined("the sound is silence")
    padded = np.pad(_detrend(_standardise(bands)), ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + frames] for k in range(2 * CONTEXT + 1)], 1)


def _detrend(rows: Rows) -> Rows:
    return rows - gaussian_filter1d(rows, DRIFT, axis=0, mode="nearest")


def _standardise(rows: Rows) -> Rows:
    return (rows - rows.mean(0)) / (rows.std(0) + 1e-6)


def fit(pairs: Iterable[tuple[Rows, Rows, int]]) -> Rows:
    """Weights of the ridge regression from audio rows to mouth rows, by (audio, mouth, offset) of several clips."""
    both = [overlap(sound, mouth, offset) for sound, mouth, offset in pairs]
    sounds, shapes = (np.concatenate(rows) for rows in zip(*both, strict=True))
    ridge = RIDGE * len(sounds) * np.eye(sounds.shape[1])
    return np.linalg.solve(sounds.T @ sounds + ridge, sounds.T @ shapes)


def overlap(sound: Frames, mouth: Frames, offset: int) -> tuple[Frames, Frames]:
    """The frames that belong together if the sound is early by `offset` of them.

    >>> overlap(np.arange(5), np.arange(5), 2)
    (array([0, 1, 2]), array([2, 3, 4]))
    """
    first, last = max(0, offset), min(len(mouth), len(sound) + offset)
    last = max(first, last)
    return sound[first - offset : last - offset], mouth[first:last]


def find_lag(predicted: Rows, mouth: Rows) -> Lag:
    """The lag at which the mouth that was predicted from sound correlates best with the one that is seen.

    >>> mouth = np.random.default_rng(0).standard_normal((200, 3))
    >>> find_lag(np.roll(mouth, 4, axis=0), mouth).offset  # the sound is four frames late
    -4
    """
    correlations = np.array([_correlation(*overlap(predicted, mouth, k)) for k in range(-REACH, REACH + 1)])
    spectra = [np.fft.rfft(rows - rows.mean(0), axis=0) for rows in (predicted, mouth)]
    around = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(1), len(mouth))
    around /= np.linalg.norm(predicted - predicted.mean(0)) * np.linalg.norm(mouth - mouth.mean(0))
    far = 2 * REACH + 1
    bests = maximum_filter1d(around, far, mode="wrap")[far:-far]
    peak = float(correlations.max())
    return Lag(int(correlations.argmax()) - REACH, correlations, (peak - bests.mean()) / max(bests.std(), 1e-6))


def _correlation(a: Rows, b: Rows) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


@lru_cache(maxsize=1)
def load_detector() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The fitted matrices ("all", and without each clip by its sha256), and how they came about."""
    return read_tensors(FILE)


def detect(landmarks: Float[Tensor, "T 68 2"], sound: Float[Tensor, " S"], fps: float, sources: Iterable[str]) -> Lag:
    """The lag of a clip; `sources` are the sha256 of the recordings that it was made from.

    Raises:
        LagUndetermined: it cannot be judged.
    """
    frames = min(int((len(landmarks) - 1) * FPS / fps + 1e-6) + 1, len(sound) // SAMPLES_PER_FRAME)
    if frames < SHORTEST:
        raise LagUndetermined(f"{frames} frames with sound; a lag needs {SHORTEST} ({SHORTEST / FPS:g} s) or more")
    matrices, _ = load_detector()
    mouth = mouth_rows(landmarks, fps)
    own = next((source for source in sources if source in matrices), "all")
    return find_lag(audio_rows(sound, frames) @ matrices[own].double().numpy(), mouth[:frames])
