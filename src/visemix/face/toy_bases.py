"""How the toy head varies: people (identity), what faces do (expression), colours. Decimetres."""

from __future__ import annotations

import numpy as np

from visemix.face.toy_parts import hair_weight, lip_weight
from visemix.face.toy_surface import (
    EYE,
    MOUTH_CORNER,
    MOUTH_ROW,
    MOUTH_Y,
    Array,
    Head,
    both,
    bump,
    mouth_arc,
    skin_surface,
)

HINGE = np.array([0.0, -0.02, -0.50])  # the jaw turns here
EXPRESSIONS = {
    "jaw_drop": (0.0, 1.0),
    "jaw_sideways": (-1.0, 1.0),
    "jaw_forward": (0.0, 1.0),
    "lips_close": (0.0, 1.0),
    "lips_press": (0.0, 1.0),
    "pucker": (0.0, 1.0),
    "funnel": (0.0, 1.0),
    "smile_left": (0.0, 1.0),
    "smile_right": (0.0, 1.0),
    "frown": (0.0, 1.0),
    "stretch_left": (0.0, 1.0),
    "stretch_right": (0.0, 1.0),
    "upper_lip_raise": (0.0, 1.0),
    "lower_lip_down": (0.0, 1.0),
    "lower_lip_in": (0.0, 1.0),
    "mouth_sideways": (-1.0, 1.0),
    "cheek_puff": (0.0, 1.0),
    "nose_sneer": (0.0, 1.0),
    "brow_left": (-1.0, 1.0),
    "brow_right": (-1.0, 1.0),
    "brows_together": (0.0, 1.0),
    "blink_left": (0.0, 1.0),
    "blink_right": (0.0, 1.0),
    "eyes_wide": (0.0, 1.0),
}


def smoothstep(t: Array) -> Array:
    """3t² − 2t³ with t kept in [0, 1]: from 0 to 1, level at both ends."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def expressions(h: Head) -> Array:
    """(N, 3, 24) offsets at coefficient 1, in the order of `EXPRESSIONS`; left is the viewer's left."""
    x, y, _ = h.points.T
    on = (h.part == "skin") * (np.abs(h.turn) < 1.5)
    sided = np.where(h.row == MOUTH_ROW, h.side, np.sign(MOUTH_ROW - h.row))
    d = y - MOUTH_Y
    arc = mouth_arc(x)
    corner_fade = arc**0.8
    upper = on * (sided >= 0) * corner_fade * np.exp(-((np.clip(d, 0, None) / 0.11) ** 2))
    lower = on * (sided <= 0) * corner_fade * np.exp(-((np.clip(-d, 0, None) / 0.13) ** 2))
    corner = {s: on * bump(x, y, (s * 0.26, MOUTH_Y), (0.15, 0.15)) for s in (-1.0, 1.0)}
    mouth = on * bump(x, y, (0.0, MOUTH_Y), (0.33, 0.2))
    jaw = _jaw_weight(h, arc, sided)

    def move(*parts: tuple[Array, tuple[float, float, float]]) -> Array:
        return sum((w[:, None] * np.array(v) for w, v in parts), np.zeros((len(x), 3)))

    arm = h.points - HINGE
    drop = jaw[:, None] * 0.30 * np.stack([0 * x, -arm[:, 2], arm[:, 1]], -1)  # turned about the x axis
    out: dict[str, Array] = {"jaw_drop": drop}
    out["jaw_sideways"] = move((jaw, (0.05, 0.0, 0.0)))
    out["jaw_forward"] = move((jaw, (0.0, 0.01, 0.08)))
    out["lips_close"] = move((lower, (0.0, 0.11, 0.03)), (upper, (0.0, -0.03, 0.0)))
    out["lips_press"] = move((upper, (0.0, -0.02, -0.045)), (lower, (0.0, 0.025, -0.05)))
    inwards = np.stack([-0.42 * x * mouth, 0 * x, 0 * x], -1)
    out["pucker"] = inwards + move((mouth, (0.0, 0.0, 0.06)), (upper, (0.0, 0.012, 0.05)), (lower, (0.0, -0.012, 0.05)))
    out["funnel"] = 0.6 * inwards + move(
        (mouth, (0.0, 0.0, 0.03)), (upper, (0.0, 0.05, 0.05)), (lower, (0.0, -0.09, 0.05))
    )
    for name, s in (("left", -1), ("right", 1)):
        cheek = on * bump(x, y, (s * 0.42, -0.12), (0.16, 0.15))
        out[f"smile_{name}"] = move((corner[s], (s * 0.085, 0.085, -0.035)), (cheek, (s * 0.01, 0.035, 0.03)))
        out[f"stretch_{name}"] = move((corner[s], (s * 0.09, -0.03, -0.035)))
    out["frown"] = sum((move((corner[s], (s * 0.01, -0.085, -0.01))) for s in (-1.0, 1.0)), np.zeros((len(x), 3)))
    out["upper_lip_raise"] = move(
        (upper, (0.0, 0.075, 0.01)), (on * both(x, y, (0.15, -0.2), (0.12, 0.1)), (0.0, 0.02, 0.0))
    )
    out["lower_lip_down"] = move((lower, (0.0, -0.09, 0.0)))
    out["lower_lip_in"] = move((lower, (0.0, 0.03, -0.06)))
    out["mouth_sideways"] = move((mouth, (0.09, 0.0, 0.0)))
    puff = on * both(x, y, (0.42, -0.28), (0.17, 0.2)) + 0.5 * on * bump(x, y, (0.0, MOUTH_Y), (0.3, 0.15))
    out["cheek_puff"] = puff[:, None] * np.stack([0.12 * x, 0 * x, 0.05 + 0 * x], -1) * 1.4
    wings = on * both(x, y, (0.12, -0.08), (0.08, 0.1))
    out["nose_sneer"] = move(
        (wings, (0.0, 0.045, 0.01)),
        (upper, (0.0, 0.03, 0.0)),
        (on * bump(x, y, (0.0, 0.2), (0.1, 0.1)), (0.0, 0.02, 0.01)),
    )
    for name, s in (("left", -1), ("right", 1)):
        brow = on * bump(x, y, (s * 0.32, 0.47), (0.26, 0.13)) * (y > 0.3)
        out[f"brow_{name}"] = move((brow, (0.0, 0.075, 0.005)))
    frown = on * both(x, y, (0.14, 0.44), (0.14, 0.1))
    out["brows_together"] = frown[:, None] * np.stack([-0.035 * np.tanh(x / 0.04), -0.045 + 0 * x, 0.015 + 0 * x], -1)
    grid = h.row >= 0
    moved = np.zeros((len(x), 3))
    for name, (up, down) in {"blink": (-0.035, -0.035), "eyes_wide": (0.088, -0.06)}.items():
        delta = moved.copy()
        delta[grid] = skin_surface(h.row[grid], h.turn[grid], h.side[grid], up, down) - h.points[grid]
        if name == "blink":
            out["blink_left"], out["blink_right"] = delta * (x < 0)[:, None], delta * (x > 0)[:, None]
        else:
            out[name] = delta
    basis = np.stack([out[name] for name in EXPRESSIONS], -1)
    return _followed(h, basis, jaw)


def _jaw_weight(h: Head, arc: Array, sided: Array) -> Array:
    """1 on what hangs on the lower jaw, 0 above, with a ramp beside the mouth and none across its slit."""
    past = smoothstep((h.row - 8.6) / 2.8)
    split = np.where(sided < 0, 1.0, np.where(sided > 0, 0.0, 0.5))
    weight = arc * split + (1 - arc) * past
    weight = weight * smoothstep((1.62 - np.abs(h.turn)) / 0.8) * (1 - smoothstep((h.row - 14.2) / 2.6))
    weight = np.where(h.part == "skin", weight, 0.0)
    return np.where(np.isin(h.part, ["teeth_lo", "tongue"]), 1.0, weight)


def _followed(h: Head, basis: Array, jaw: Array) -> Array:
    """The basis with lips' insides and the mouth's walls moving with the edge they hang on."""
    hung = h.follows != np.arange(len(h.follows))
    basis[hung] = basis[h.follows[hung]] * h.share[hung][:, None, None]
    return basis


def identities(h: Head) -> Array:
    """(N, 3, 16) offsets per standard deviation, most telling first."""
    at = h.points.copy()
    for part, sign in (("eye_l", -1), ("eye_r", 1)):
        at[h.part == part] = EYE * [sign, 1, 1]  # an eyeball moves as one
    hung = h.follows != np.arange(len(h.follows))
    at[hung] = at[h.follows[hung]]
    x, y, z = at.T
    zero = 0 * x
    front = smoothstep((z + 0.55) / 0.5)
    below = smoothstep((-0.05 - y) / 0.75)
    mouth = front * bump(x, y, (0.0, MOUTH_Y), (0.36, 0.2))

    def vector(dx: Array, dy: Array, dz: Array) -> Array:
        return np.stack([dx, dy, dz], -1)

    lips = bump(x, y, (0.0, MOUTH_Y), (0.24, 0.11)) * np.sign(y - MOUTH_Y) * np.clip(np.abs(y - MOUTH_Y) / 0.06, 0, 1)
    nose = front * bump(x, y, (0.0, -0.07), (0.13, 0.12))
    bridge = front * bump(x, y, (0.0, 0.14), (0.09, 0.17))
    eyes = front * both(x, y, (EYE[0], EYE[1]), (0.24, 0.16))
    fields = [
        vector(0.045 * x, zero, 0.02 * (z + 0.5)),  # width of the head
        vector(zero, 0.05 * y * (y > -1.0) - 0.05 * (y <= -1.0), zero),  # height of the face
        vector(-0.10 * x * below, zero, zero),  # narrow jaw
        vector(zero, -0.06 * below * front, -0.02 * below * front),  # long chin
        vector(zero, zero, 0.05 * front * bump(x, y, (0.0, -0.75), (0.3, 0.18))),  # chin forward
        vector(zero, -0.03 * nose, 0.05 * nose),  # nose long
        vector(0.22 * x * nose, zero, zero),  # nose wide
        vector(zero, zero, 0.035 * bridge),  # nose bridge high
        vector(0.025 * np.tanh(x / 0.1) * eyes, zero, zero),  # eyes apart
        vector(zero, 0.03 * eyes, zero),  # eyes high
        vector(0.13 * x * mouth, zero, -0.02 * mouth * (x / MOUTH_CORNER) ** 2),  # mouth wide
        vector(zero, 0.025 * lips * front, 0.02 * np.abs(lips) * front),  # full lips
        vector(zero, 0.035 * mouth, zero),  # mouth high
        vector(0.05 * np.tanh(x / 0.1) * front * both(x, y, (0.45, -0.25), (0.2, 0.25)), zero, zero),  # full cheeks
        vector(zero, zero, 0.05 * smoothstep((y - 0.35) / 0.4) * front),  # steep forehead
        vector(
            zero,
            0.03 * front * both(x, y, (0.3, 0.46), (0.28, 0.1)),
            0.02 * front * both(x, y, (0.3, 0.44), (0.25, 0.08)),
        ),
    ]
    return np.stack(fields, -1)


def tones(h: Head) -> Array:
    """(N, 3, 5) colour per standard deviation: light or dark skin, its warmth, lips, hair and brows, iris."""
    inside = np.isin(h.part, ["mouth", "teeth_up", "teeth_lo", "tongue", "eye_l", "eye_r"])
    hair, lips = hair_weight(h), lip_weight(h)
    bare = (1 - hair) * (1 - 0.6 * lips) * ~inside
    eyes = np.isin(h.part, ["eye_l", "eye_r"])
    off = np.hypot(np.abs(h.points[:, 0]) - EYE[0], h.points[:, 1] - EYE[1])
    iris = eyes * (off > 0.026) * (off < 0.064)
    fields = [(bare, (0.09, 0.09, 0.085)), (bare, (0.0, 0.02, 0.05)), (lips, (0.04, -0.03, -0.015))]
    fields += [(hair, (0.14, 0.11, 0.07)), (iris, (0.10, -0.02, -0.10))]
    return np.stack([w[:, None] * np.array(rgb) for w, rgb in fields], -1)
