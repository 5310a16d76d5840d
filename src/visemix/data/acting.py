"""What a face does while it speaks: mouth shapes that blend into one another, blinks, brows, nods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from visemix.data.formants import Phone
from visemix.face import FaceModel
from visemix.types import FPS

# Mouth shape of each sound, in the toy face's expressions. A name without a side means both.
VISEMES: dict[str, dict[str, float]] = {
    "a": {"jaw_drop": 0.85, "lower_lip_down": 0.15},
    "e": {"jaw_drop": 0.5, "smile": 0.2, "stretch": 0.15},
    "i": {"jaw_drop": 0.22, "smile": 0.3, "stretch": 0.4, "lower_lip_down": 0.15},
    "o": {"jaw_drop": 0.55, "funnel": 0.55, "pucker": 0.25},
    "u": {"jaw_drop": 0.2, "pucker": 0.8, "funnel": 0.3},
    "m": {"jaw_drop": 0.04, "lips_press": 0.5, "lips_close": 0.05},
    "p": {"jaw_drop": 0.02, "lips_press": 0.7, "cheek_puff": 0.15},
    "f": {"jaw_drop": 0.12, "lower_lip_in": 0.8, "upper_lip_raise": 0.3},
    "s": {"jaw_drop": 0.06, "stretch": 0.2, "lower_lip_down": 0.2, "upper_lip_raise": 0.1},
    "_": {},
}
# How firmly a sound holds its shape against its neighbours: lips must meet for m and p, s leaves them to the vowels.
HOLD = {"m": 3.5, "p": 3.5, "f": 2.5, "s": 0.8, "_": 0.8}
SIDED = ("smile", "stretch", "blink", "brow")
FACE_NAMES = tuple(
    name + side
    for name in (*sorted({shape for viseme in VISEMES.values() for shape in viseme}), "blink", "brow")
    for side in (("_left", "_right") if name in SIDED else ("",))
)


@dataclass(frozen=True)
class Acted:
    """A performance, frame by frame."""

    expression: Float[Tensor, "T E"]
    pose: Float[Tensor, "T 6"]  # Euler XYZ in radians, then translation in decimetres


def act(phones: Sequence[Phone], frames: int, mouth: float, face: FaceModel, rng: np.random.Generator) -> Acted:
    """Mouth shapes of the phones at each frame's middle, with blinks, brows and head motion of their own."""
    seconds = (np.arange(frames) + 0.5) / FPS
    curves = mouth_shapes(phones, seconds)
    curves["jaw_drop"] = curves["jaw_drop"] * mouth
    stress = gaussian_filter1d(np.interp(seconds, [p.start for p in phones], [_stress(p) for p in phones]), 0.15 * FPS)
    curves["blink"] = _blinks(seconds, rng)
    curves["brow"] = 0.25 * stress + 0.25 * _drift(frames, 0.6, rng)
    expression = torch.zeros(frames, face.expression.shape[-1])
    for name, values in curves.items():
        for side in ("_left", "_right") if name in SIDED else ("",):
            expression[:, face.expression_names.index(name + side)] = torch.from_numpy(values).float()
    low, high = face.expression_range.T
    turn = np.stack([_drift(frames, width, rng) for width in (0.7, 0.9, 0.8)], 1) * np.radians([2.5, 5.0, 2.0])
    turn[:, 0] += np.radians(2.5) * (stress - stress.mean())  # a nod on what is stressed
    shift = np.stack([_drift(frames, 1.0, rng) for _ in range(3)], 1) * [0.04, 0.03, 0.06]
    pose = torch.from_numpy(np.concatenate([turn, shift], 1)).float()
    return Acted(torch.minimum(torch.maximum(expression, low), high), pose)


def mouth_shapes(phones: Sequence[Phone], seconds: Float[np.ndarray, " T"]) -> dict[str, Float[np.ndarray, " T"]]:
    """Blended mouth shapes at given times, by dominance (Cohen & Massaro 1993).

    Each sound pulls with a strength that fades with distance from its middle; a shape is the mean of all targets,
    weighted by the pull. So sounds colour their neighbours, and short weak ones hardly show.
    """
    middle = np.array([(p.start + p.stop) / 2 for p in phones])
    half = np.array([(p.stop - p.start) / 2 for p in phones])
    hold = np.array([HOLD.get(p.name, 1.0) for p in phones])
    away = np.abs(seconds[:, None] - middle) / (half + 0.03)
    pull = hold * np.exp(-1.5 * away**1.6)  # (T, phones)
    pull = pull / (pull.sum(1, keepdims=True) + 1e-6)
    curves = {}
    for name in sorted({shape for viseme in VISEMES.values() for shape in viseme}):
        target = np.array([VISEMES[p.name].get(name, 0.0) * (0.4 + 0.6 * p.stress) for p in phones])
        curves[name] = pull @ target
    closed = pull[:, [p.name in "mp" for p in phones]].sum(1)
    curves["lips_close"] = np.maximum(curves["lips_close"], closed * curves["jaw_drop"])  # what is left of the gap
    return curves


def _stress(phone: Phone) -> float:
    return 0.0 if phone.name == "_" else phone.stress


def _drift(frames: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random motion of unit spread."""
    extra = round(4 * seconds * FPS)
    noise = gaussian_filter1d(rng.standard_normal(frames + 2 * extra), seconds * FPS)[extra:-extra]
    return np.tanh(noise * np.sqrt(2 * np.sqrt(np.pi) * seconds * FPS) / 2) * 2


def _blinks(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    closed, time = np.zeros(len(seconds)), rng.uniform(0.5, 2.5)
    while time < seconds[-1]:
        closed = np.maximum(closed, np.exp(-(((seconds - time) / 0.075) ** 4)))
        time += rng.uniform(1.5, 5.0)
    return closed
