"""What a face does while it speaks: mouth shapes that blend into one another, blinks, brows, nods, breath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from visemix.corpus.rig import Rig
from visemix.data.phonemes import PAUSE, SOUNDS, Phone
from visemix.face import FaceModel
from visemix.types import FPS

REACH = 0.03  # seconds by which a sound's pull goes beyond its own time
LIPS_REACH = 0.06  # the same of rounding and spreading, which come early (Perkell & Matthies 1992) and outlast it
BLOCK = 500  # frames that are acted at a time
MAX_DISTANCE = 10.0  # half lengths from its middle at which a sound pulls no more: e^−60
# of a `Articulation`, that move the mouth
SHAPES = ("kind", "open", "round", "spread", "lips", "tongue", "narrow", "bare")
Curves = dict[str, Float[np.ndarray, " T"]]
# Strength, rounding, spread and smile, in units of their drift's spread.
MANNERS = {
    "mumbling": (-1.3, 0.0, -0.3, 0.0),
    "clear": (1.3, 0.5, 0.3, 0.0),
    "pouting": (0.0, 1.3, -1.0, -0.8),
    "smiling": (0.0, -0.8, 1.0, 1.3),
}
VERSION = 3  # of how sounds move the mouth: clips of another are not mixed with these


@dataclass(frozen=True)
class Style:
    """How one speaker speaks, whatever is said. The defaults are a plain and even speaker's."""

    amplitude: float = 1.0  # of the jaw and lips
    lag: float = 0.0  # seconds by which the mouth comes after the sound; negative, before
    asymmetry: float = 0.0  # more on the left, or (negative) on the right
    smile: float = 0.0  # of the mouth at rest
    ajar: float = 0.0  # how far the jaw is down in pauses, as people's is (Ramanarayanan et al. 2013)
    freedom: float = 0.0  # 0: a sound always looks the same; 1: in as many ways as people's do
    held: bool = False  # one of a few manners for seconds at a time; otherwise they drift
    brows: float = 0.3
    head: float = 1.0  # liveliness
    breath: float = 4.0  # seconds a breath takes


def sample_style(rng: np.random.Generator) -> Style:
    """A speaker's style by chance."""
    return Style(
        amplitude=float(np.exp(np.clip(0.1 * rng.standard_normal(), -0.25, 0.25))),
        lag=float(rng.uniform(-0.02, 0.02)),
        asymmetry=float(np.clip(0.12 * rng.standard_normal(), -0.25, 0.25)),
        smile=float(rng.uniform(0.0, 0.2)),
        ajar=float(rng.uniform(0.0, 0.3)),
        freedom=1.0,
        brows=float(rng.uniform(0.15, 0.45)),
        head=float(rng.uniform(0.6, 1.3)),
        breath=float(rng.uniform(3.0, 5.0)),
    )


@dataclass(frozen=True)
class Performance:
    """What `animate` returns: expression and head pose in each frame."""

    expression: Float[Tensor, "T E"]
    pose: Float[Tensor, "T 6"]  # Euler XYZ in radians, then translation in decimetres


def animate(phones: Sequence[Phone], frames: int, style: Style, face: FaceModel, seed: int) -> Performance:
    """`Performance` of the phones, frame by frame: mouth shapes, blinks, brows, head motion and breath.

    The seed draws everything that the sound does not decide. With the style's `freedom` that includes the manner of
    speaking: slow changes of how far the mouth opens, rounds, smiles and spreads, so that one sentence can be said in
    many ways and a regression from sound learns only their mean.

    Raises:
        VisemixError: a face model whose expressions are not known here.
    """
    rig = Rig(face)
    rng = np.random.default_rng([seed, 3])
    seconds = (np.arange(frames) + 0.5) / FPS
    ways = manner(frames, style.freedom, rng, held=style.held)
    shapes = mouth_shapes(phones, seconds - style.lag)
    stress = _stress(phones, seconds)
    curves = lip_actions(shapes, ways, style)
    curves["blink"] = _blinks(seconds, rng)
    curves["brow"] = style.brows * (stress + 0.6 * _drift(frames, 0.6, rng).clip(-0.5, 1.5))
    expression = rig.seal(rig.perform(curves, style.asymmetry), np.maximum(shapes["seal"], shapes["narrow"]))
    return Performance(torch.from_numpy(expression).float(), _head(seconds, stress, style, rng))


def mouth_shapes(phones: Sequence[Phone], seconds: Float[np.ndarray, " T"]) -> Curves:
    """Blended mouth shapes at given times, by dominance (Cohen & Massaro 1993).

    Each sound pulls with a strength that fades with distance from its middle; a shape is the mean of all targets,
    weighted by the pull. So sounds colour their neighbours, and short weak ones hardly show.
    """
    (middle, half), parts = _places(phones), []
    for part in np.split(seconds, range(BLOCK, len(seconds), BLOCK)):
        # an hour's sounds are too many to be weighed at every frame
        distance = np.maximum(part[0] - middle, middle - part[-1]) / (half + max(REACH, LIPS_REACH))
        near = [phones[k] for k in np.flatnonzero(distance <= MAX_DISTANCE)]
        parts.append(_blend_shapes(near or phones, part))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _places(phones: Sequence[Phone]) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    """Middle and half length of each sound, seconds."""
    start, stop = np.array([(phone.start, phone.stop) for phone in phones]).T
    return (start + stop) / 2, (stop - start) / 2


def _blend_shapes(phones: Sequence[Phone], seconds: Float[np.ndarray, " T"]) -> Curves:
    sounds = [SOUNDS[phone.symbol] for phone in phones]
    made = {name: np.array([getattr(sound, name) for sound in sounds]) for name in SHAPES}
    sealed, bitten = made["lips"] == "seal", made["lips"] == "bite"
    pull, slow = (_dominance(phones, seconds, reach) for reach in (REACH, LIPS_REACH))
    firm = np.where(sealed | bitten, 1.0, 0.45 + 0.55 * np.array([phone.stress for phone in phones]))
    said = np.array([float(phone.symbol != PAUSE) for phone in phones])
    targets = {
        "open": made["open"] * firm * said,
        "narrow": made["narrow"],
        "bare": made["bare"] * firm,
        "tongue": made["tongue"],
        "puff": (sealed & (made["kind"] == "stop")).astype(float),
        "speech": said,
    }
    curves = {name: pull @ target for name, target in targets.items()}
    curves["round"] = slow @ (made["round"] * (0.4 + 0.6 * firm))
    curves["spread"] = slow @ (made["spread"] * firm)
    for name, touching in (("seal", sealed), ("bite", bitten)):
        curves[name] = _smoothstep((pull[:, touching].sum(1) - 0.3) / 0.4)  # lips meet, or they do not
    return curves


def _dominance(phones: Sequence[Phone], seconds: Float[np.ndarray, " T"], reach: float) -> Float[np.ndarray, "T P"]:
    """Dominance (T, P) of each sound over the mouth's shape at each time; rows add up to about 1."""
    middle, half = _places(phones)
    distance = np.abs(seconds[:, None] - middle) / (half + reach)
    pull = np.array([SOUNDS[p.symbol].hold for p in phones]) * np.exp(-1.5 * distance**1.6)
    return pull / (pull.sum(1, keepdims=True) + 1e-6)  # type: ignore[no-any-return]


def lip_actions(shapes: Curves, ways: Curves, style: Style) -> Curves:
    """Curves of jaw and lip actions for mouth shapes, spoken in the manner of `ways`."""
    talking = shapes["speech"]
    low = (1 - np.exp(-2.5 * shapes["open"])) / (1 - np.exp(-2.5))  # half open is not far from open
    opened = low * style.amplitude * ways["strength"] + style.ajar * (1 - talking)
    rounded = shapes["round"] * style.amplitude * ways["rounding"]
    free, flat = 1 - shapes["seal"], (1 - rounded).clip(0)
    return {
        "jaw": opened * (1 - 0.35 * rounded.clip(0, 1)) * (1 - 0.8 * shapes["bite"]),
        "funnel": rounded * (0.2 + 0.7 * shapes["open"]) * free,
        "pucker": rounded * (1 - 0.35 * shapes["open"]),
        "spread": (shapes["spread"] * style.amplitude + 0.25 * talking * ways["spread"]).clip(0) * flat,
        "smile": (style.smile + 0.25 * ways["smile"] + 0.15 * shapes["spread"]).clip(0) * (1 - 0.7 * rounded).clip(0),
        "lower": (0.5 * shapes["bare"] + 0.25 * shapes["spread"]) * free,
        "upper": (0.2 * shapes["bite"] + 0.4 * shapes["bare"] + 0.12 * shapes["spread"]) * free,
        "bite": shapes["bite"],
        "press": 0.6 * shapes["seal"],
        "puff": 0.2 * shapes["puff"] * shapes["seal"],
        "tongue": shapes["tongue"],
    }


def manner(frames: int, freedom: float, rng: np.random.Generator, *, held: bool = False) -> Curves:
    """Curves (T,) of a slowly changing manner of speaking: factors for opening and rounding, amounts of spread and
    smile.

    They drift, each on its own, or are `held`: one of `MANNERS` for six to twelve seconds, then another.
    """
    drawn = _held(frames, rng) if held else np.stack([_drift(frames, 1.0, rng) for _ in range(4)], 1)
    strength, rounding, spread, smile = freedom * drawn.T
    return {"strength": np.exp(0.32 * strength), "rounding": np.exp(0.3 * rounding), "spread": spread, "smile": smile}


def _held(frames: int, rng: np.random.Generator) -> Float[np.ndarray, "T 4"]:
    drawn, last, start = np.empty((frames, 4)), -1, 0
    while start < frames:
        last = int(rng.choice([k for k in range(len(MANNERS)) if k != last]))
        stop = start + round(rng.uniform(6.0, 12.0) * FPS)
        drawn[start:stop] = list(MANNERS.values())[last]
        start = stop
    return gaussian_filter1d(drawn, 0.1 * FPS, axis=0, mode="nearest")  # nobody changes from frame to frame


def reconstruction_noise(
    expression: Float[Tensor, "T E"], face: FaceModel, seed: int, *, drift: float = 0.02, jitter: float = 0.02
) -> Float[Tensor, "T E"]:
    """The expression with the errors of a fitted 3DMM: every coefficient drifts slowly and trembles from frame to
    frame.

    Args:
        drift: standard deviation of what changes over two seconds, as a share of each coefficient's range.
        jitter: the same of what changes with every frame.
    """
    rng = np.random.default_rng([seed, 4])
    low, high = face.expression_range.T.cpu()
    frames, width = expression.shape
    slow = np.stack([_drift(frames, 2.0, rng) for _ in range(width)], 1)
    noise = torch.from_numpy(drift * slow + jitter * rng.standard_normal((frames, width))).float()
    return torch.minimum(torch.maximum(expression + (high - low) * noise, low), high)


def _stress(phones: Sequence[Phone], seconds: np.ndarray) -> np.ndarray:
    middles = [(phone.start + phone.stop) / 2 for phone in phones]
    return gaussian_filter1d(np.interp(seconds, middles, [phone.stress for phone in phones]), 0.12 * FPS)


def _head(seconds: np.ndarray, stress: np.ndarray, style: Style, rng: np.random.Generator) -> Float[Tensor, "T 6"]:
    frames = len(seconds)
    turn = np.stack([_drift(frames, width, rng) for width in (0.7, 0.9, 0.8)], 1) * np.radians([2.5, 5.0, 2.0])
    turn[:, 0] += np.radians(2.5) * (stress - stress.mean())  # a nod on what is stressed
    shift = np.stack([_drift(frames, 1.0, rng) for _ in range(3)], 1) * [0.04, 0.03, 0.06]
    lungs = np.sin(2 * np.pi * seconds / style.breath + rng.uniform(0, 2 * np.pi))
    shift[:, 1] += 0.012 * lungs
    turn[:, 0] -= np.radians(0.4) * lungs
    return torch.from_numpy(np.concatenate([style.head * turn, shift], 1)).float()


def _smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _drift(frames: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random curve (T,) of about unit standard deviation, within ±2."""
    extra = round(4 * seconds * FPS)
    noise = gaussian_filter1d(rng.standard_normal(frames + 2 * extra), seconds * FPS)[extra:-extra]
    return np.tanh(noise * np.sqrt(2 * np.sqrt(np.pi) * seconds * FPS) / 2) * 2


def _blinks(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    closed, time = np.zeros(len(seconds)), rng.uniform(0.5, 2.5)
    while time < seconds[-1]:
        closed = np.maximum(closed, np.exp(-(((seconds - time) / 0.075) ** 4)))
        time += rng.uniform(1.5, 5.0)
    return closed
