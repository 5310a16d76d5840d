"""What the toy head holds besides skin: eyes, teeth, tongue, the inside of the mouth, ears; and its colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from visemix.face.toy_surface import (
    EYE,
    EYE_RADIUS,
    MOUTH_CORNER,
    MOUTH_Y,
    Array,
    Head,
    Ids,
    behind,
    both,
    bump,
    mouth_arc,
    skin,
)

SKIN, HAIR, BROW = (0.93, 0.72, 0.61), (0.24, 0.16, 0.11), (0.27, 0.18, 0.13)
LIPS, MOUTH, GUMS, TONGUE = (0.78, 0.38, 0.36), (0.17, 0.05, 0.05), (0.75, 0.42, 0.42), (0.78, 0.40, 0.40)
TEETH, WHITE, IRIS, LASH = (0.97, 0.95, 0.90), (0.96, 0.95, 0.94), (0.30, 0.45, 0.55), (0.22, 0.14, 0.12)


def head() -> Head:
    """Geometry of the toy head: skin, eyes, teeth, tongue, inside of the mouth, ears."""
    h = Head()
    skin(h)
    _mouth(h)
    for slit, sign in (("left", -1.0), ("right", 1.0)):
        edge = _edge(h, slit)
        socket = edge + (np.array([sign * EYE[0], EYE[1], EYE[2]]) - edge) * 0.22
        behind(h, slit, [("lid", edge - [0, 0, 0.012], 1.0), ("socket", socket, 0.3)])
        _eyeball(h, sign)
        _ear(h, sign)
    return h


def _edge(h: Head, slit: str) -> Array:
    upper, lower = h.loops[slit]
    return h.points[np.concatenate([upper, lower[-2:0:-1]])]


def _mouth(h: Head) -> None:
    upper, lower = h.loops["mouth"]
    edge = _edge(h, "mouth")
    sign = np.concatenate([np.ones(len(upper)), -np.ones(len(lower) - 2)])
    sign[[0, len(upper) - 1]] = 0
    arc = mouth_arc(edge[:, 0])
    up = np.zeros_like(edge)
    up[:, 1] = sign * arc
    back = np.array([0.0, 0.0, 1.0])
    rings = [
        ("lip", edge - 0.002 * up - 0.03 * back, 1.0),
        ("lip", edge + 0.025 * up - 0.07 * back, 1.0),
        ("mouth", edge + 0.13 * up - 0.16 * back, 0.9),
        ("mouth", edge + 0.2 * up - 0.32 * back, 0.9),
        ("mouth", edge * [0.6, 1, 1] + 0.14 * up - 0.55 * back, 0.8),
        ("mouth", np.tile([0, MOUTH_Y, -0.3], (len(edge), 1)), 0.0),
    ]
    behind(h, "mouth", rings)
    _teeth(h, "teeth_up", MOUTH_Y + np.array([0.13, 0.075, 0.07, 0.03, -0.03]), 0.265, 2.2)
    _teeth(h, "teeth_lo", MOUTH_Y + np.array([-0.03, -0.05, -0.085, -0.09, -0.14]), 0.235, 2.3)
    u, v = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 13), np.linspace(0, np.pi / 2, 8), indexing="ij")
    tongue = np.stack([0.15 * np.sin(u) * np.sin(v), 0.06 * np.cos(v), 0.3 * np.cos(u) * np.sin(v)], -1)
    tongue[..., 1] -= 0.012 * np.exp(-((tongue[..., 0] / 0.03) ** 2))
    h.add(tongue.reshape(-1, 3) + np.array([0, MOUTH_Y - 0.12, -0.09]), "tongue", _strip(len(h.points), 13, 8))


def _teeth(h: Head, part: str, heights: Array, front: float, bend: float) -> None:
    """An arch of teeth, gums along its outer edge; narrow dark columns between the teeth."""
    edges = np.cumsum([0, 0.045, 0.04, 0.04, 0.035, 0.035]) * (1.0 if part == "teeth_up" else 0.85)
    half = np.unique(np.concatenate([edges[1:] - 0.003, edges[1:] + 0.003, edges[:-1] + 0.012]))
    x = np.concatenate([-half[::-1], [-0.003, 0.003], half])
    xx, yy = np.meshgrid(x, heights, indexing="ij")
    points = np.stack([xx, yy, front - bend * xx**2], -1)
    h.add(points.reshape(-1, 3), part, _strip(len(h.points), len(x), len(heights)))


def _eyeball(h: Head, sign: float) -> None:
    rings = [0.0, 0.024, 0.028, 0.045, 0.06, 0.067, 0.09, 0.12, 0.145, 0.162]
    angle = np.append(np.arcsin(np.array(rings) / EYE_RADIUS), np.radians(105))
    around = np.arange(24) / 24 * 2 * np.pi
    a, b = np.meshgrid(angle, around, indexing="ij")
    ball = EYE_RADIUS * np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], -1)
    start, n = len(h.points), len(around)
    inner = start + np.arange((len(angle) - 1) * n).reshape(-1, n)
    outer, right = inner + n, np.roll(np.arange(n), -1)
    quads = np.stack([inner, outer, outer[:, right], inner, outer[:, right], inner[:, right]], -1).reshape(-1, 3)
    centre = EYE * [sign, 1, 1]
    h.add(ball.reshape(-1, 3) + centre, "eye_l" if sign < 0 else "eye_r", quads)


def _ear(h: Head, sign: float) -> None:
    radius, around = np.array([0.0, 0.35, 0.6, 0.8, 0.92, 1.0, 0.9]), np.arange(28) / 28 * 2 * np.pi
    r, b = np.meshgrid(radius, around, indexing="ij")
    height = np.array([-0.03, -0.035, -0.02, 0.025, 0.03, 0.0, -0.06])[:, None]
    u, w = r * np.cos(b), r * np.sin(b)  # u to the back, w up
    wide = 0.14 * (1 + 0.25 * w)
    out = 0.09 + 0.09 * u + height * (1 - 0.6 * (u < 0) * -u)
    points = np.stack([sign * (0.70 + out), 0.12 + 0.25 * w + 0.04 * u, -0.56 - wide * u], -1)
    start, n = len(h.points), len(around)
    inner = start + np.arange((len(radius) - 1) * n).reshape(-1, n)
    outer, right = inner + n, np.roll(np.arange(n), -1)
    quads = np.stack([inner, outer, outer[:, right], inner, outer[:, right], inner[:, right]], -1).reshape(-1, 3)
    h.add(points.reshape(-1, 3), "ear", quads[:, ::-1] if sign < 0 else quads)


def _strip(start: int, n: int, m: int) -> Ids:
    i = start + np.arange(n - 1)[:, None] * m + np.arange(m - 1)
    return np.stack([i, i + 1, i + m + 1, i, i + m + 1, i + m], -1).reshape(-1, 3)


def lip_weight(h: Head) -> Array:
    """Weight (N,) of each vertex: 1 on the red of the lips, 0 on the skin, with a soft rim; a bow in the upper
    contour."""
    x, y, _ = h.points.T
    t = np.clip(np.abs(x) / 0.27, 0, 1)
    upper = 0.085 * (1 - t**1.6) - 0.014 * np.exp(-((x / 0.028) ** 2))
    lower = 0.1 * (1 - t**2.2)
    d = y - MOUTH_Y
    inside = np.where(d > 0, upper - d, lower + d)
    weight = np.clip(inside / 0.02 + 0.35, 0, 1) * (np.abs(x) < 0.285)
    weight = weight * (h.part == "skin") * (np.abs(h.turn) < 1.0)
    return np.where(h.part == "lip", 1.0, weight)


def hair_weight(h: Head) -> Array:
    """Weight (N,) of each vertex: 1 under the hair, 0 elsewhere."""
    turn = np.abs(h.turn)
    line = np.interp(turn, [0, 0.5, 0.9, 1.2, 1.5, 1.75, 2.2, 3.2], [3.15, 3.1, 3.5, 4.3, 6.6, 7.0, 9.6, 12.5])
    return np.clip((line - h.row) / 0.7 + 0.5, 0, 1) * (h.part == "skin")


def colours(h: Head) -> Array:
    """Albedo of every vertex."""
    x, y, _ = h.points.T
    skinny = (h.part == "skin") & (np.abs(h.turn) < 1.3)
    colour = np.tile(np.array(SKIN), (len(x), 1))

    def paint(weight: Array, rgb: tuple[float, float, float]) -> None:
        colour[:] = colour + weight[:, None] * (np.array(rgb) - colour)

    paint(0.35 * both(x, y, (0.4, -0.08), (0.17, 0.15)) * skinny, (0.90, 0.52, 0.45))
    paint(0.3 * bump(x, y, (0.0, -0.06), (0.09, 0.08)) * skinny, (0.88, 0.52, 0.45))
    paint(0.25 * both(x, y, (0.3, 0.3), (0.2, 0.1)) * skinny, (0.62, 0.40, 0.34))
    paint(0.85 * both(x, y, (0.062, -0.152), (0.032, 0.016)) * skinny, (0.25, 0.10, 0.09))
    ax = np.abs(x)
    curve = np.interp(ax, [0.12, 0.2, 0.36, 0.53], [0.425, 0.455, 0.48, 0.425])
    thick = np.interp(ax, [0.10, 0.14, 0.3, 0.5, 0.54], [0.0, 0.045, 0.042, 0.022, 0.0])
    paint(np.clip((thick - np.abs(y - curve)) / 0.03 + 0.4, 0, 1) * (thick > 0) * skinny, BROW)
    paint(lip_weight(h), LIPS)
    mouth_line = np.exp(-(((y - MOUTH_Y) / 0.008) ** 2)) * (ax < MOUTH_CORNER + 0.03)
    paint(0.5 * mouth_line * (h.part == "skin") * skinny, (0.35, 0.12, 0.12))
    paint(hair_weight(h), HAIR)
    for part, rgb in {
        "mouth": MOUTH,
        "lid": (0.80, 0.50, 0.46),
        "socket": (0.70, 0.42, 0.38),
        "tongue": TONGUE,
    }.items():
        paint((h.part == part) * 1.0, rgb)
    _paint_teeth(h, paint)
    for part, sign in (("eye_l", -1.0), ("eye_r", 1.0)):
        own = h.part == part
        off = np.hypot(x - sign * EYE[0], y - EYE[1])
        paint(own * 1.0, WHITE)
        paint(own * np.clip((off - 0.1) / 0.05, 0, 0.35), (0.75, 0.5, 0.48))
        paint(own * (off < 0.061), IRIS)
        paint(own * ((off > 0.055) & (off < 0.064)), (0.12, 0.18, 0.22))
        paint(own * (off < 0.0255), (0.03, 0.03, 0.03))
        glint = (off > 0.02) & (off < 0.05) & (np.abs(np.arctan2(y - EYE[1], x - sign * EYE[0]) - 2.1) < 0.2)
        paint(own * glint, (1.0, 1.0, 1.0))
    paint(0.8 * ((h.side > 0) & (np.abs(h.row - 6) < 0.01)), LASH)
    return np.clip(colour, 0, 1)


def _paint_teeth(h: Head, paint: Callable[[Array, tuple[float, float, float]], None]) -> None:
    x, y, _ = h.points.T
    for part, root in (("teeth_up", 1.0), ("teeth_lo", -1.0)):
        own = h.part == part
        paint(own * np.clip(1 - 6 * (np.abs(x) - 0.1), 0.55, 1), TEETH)
        gum = root * (y - MOUTH_Y) > 0.0725 if root > 0 else root * (y - MOUTH_Y) > 0.0875
        paint(own * gum, GUMS)
