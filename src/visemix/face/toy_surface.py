"""The toy head's geometry: one skin grid with slits for mouth and eyes, and what lies behind them. Decimetres."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[Any]  # floating point, or a truth value used as a weight
Ids = NDArray[np.int64]

# Half a profile from crown to neck. Front y and z, half width, y at the side, z of the axis, z at the back, and how
# quickly the front recedes towards the sides.
PROFILE = np.array(
    [
        [1.42, -0.72, 0.00, 1.42, -0.72, -0.72, 1.0],  # 0 crown
        [1.37, -0.32, 0.40, 1.37, -0.68, -1.08, 1.0],
        [1.20, 0.02, 0.62, 1.20, -0.62, -1.36, 1.0],
        [0.93, 0.21, 0.72, 0.93, -0.58, -1.50, 1.0],  # 3 hairline
        [0.65, 0.31, 0.765, 0.65, -0.56, -1.56, 1.0],  # 4 forehead
        [0.43, 0.345, 0.775, 0.43, -0.55, -1.55, 1.0],  # 5 brow
        [0.29, 0.295, 0.775, 0.29, -0.55, -1.50, 1.0],  # 6 eyes
        [0.08, 0.30, 0.76, 0.10, -0.54, -1.42, 1.05],
        [-0.13, 0.315, 0.73, -0.06, -0.53, -1.32, 1.15],  # 8 base of the nose
        [-0.29, 0.345, 0.70, -0.15, -0.52, -1.24, 1.3],
        [-0.385, 0.345, 0.68, -0.22, -0.52, -1.20, 1.35],  # 10 mouth
        [-0.48, 0.34, 0.66, -0.29, -0.52, -1.16, 1.4],
        [-0.57, 0.315, 0.635, -0.36, -0.53, -1.13, 1.4],  # 12 fold under the lower lip
        [-0.70, 0.33, 0.59, -0.45, -0.54, -1.11, 1.35],  # 13 chin
        [-0.82, 0.26, 0.53, -0.52, -0.56, -1.10, 1.25],
        [-0.88, 0.08, 0.47, -0.58, -0.58, -1.09, 1.1],  # 15 under the chin
        [-0.92, -0.12, 0.42, -0.70, -0.61, -1.08, 1.0],
        [-1.10, -0.22, 0.41, -1.05, -0.64, -1.06, 1.0],
        [-1.60, -0.22, 0.45, -1.60, -0.65, -1.10, 1.0],  # 18 neck
    ]
)
ROWS_BETWEEN = [1, 2, 3, 4, 7, 7, 6, 5, 5, 6, 6, 4, 4, 4, 3, 2, 2, 3]
EYE_ROW, MOUTH_ROW = 6.0, 10.0
EYE = np.array([0.31, 0.285, -0.03])  # centre of the eyeball at the viewer's right
EYE_RADIUS = 0.165
EYE_CORNERS = (0.165, 0.46)
MOUTH_CORNER = 0.25
MOUTH_Y = -0.385


@dataclass
class Head:
    """All vertices with what the bases need to know of them; parts are appended one by one."""

    points: Array = field(default_factory=lambda: np.zeros((0, 3)))
    row: Array = field(default_factory=lambda: np.zeros(0))  # along PROFILE; -1 off the skin
    turn: Array = field(default_factory=lambda: np.zeros(0))  # radians around the head, 0 in front
    side: Array = field(default_factory=lambda: np.zeros(0))  # +1 above the mouth slit, -1 below
    part: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, dtype="<U8"))
    follows: Ids = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # vertex whose motion it shares
    share: Array = field(default_factory=lambda: np.zeros(0))  # how much of it
    triangles: Ids = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    loops: dict[str, tuple[Ids, Ids]] = field(default_factory=dict)  # slit → its upper and its lower edge

    def add(self, points: Array, part: str, triangles: Ids, follows: Ids | None = None, share: float = 1.0) -> Ids:
        """Append vertices; the ids in `triangles` count from the first of them (or are old ids if already final)."""
        start, n = len(self.points), len(points)
        ids = np.arange(start, start + n)
        self.points = np.concatenate([self.points, points])
        self.row = np.concatenate([self.row, np.full(n, -1.0)])
        self.turn = np.concatenate([self.turn, np.zeros(n)])
        self.side = np.concatenate([self.side, np.zeros(n)])
        self.part = np.concatenate([self.part, np.full(n, part, dtype="<U8")])
        self.follows = np.concatenate([self.follows, ids if follows is None else follows])
        self.share = np.concatenate([self.share, np.full(n, share)])
        self.triangles = np.concatenate([self.triangles, triangles])
        return ids


def bump(x: Array, y: Array, at: tuple[float, float], radii: tuple[float, float]) -> Array:
    """A Gaussian in the frontal plane."""
    return np.exp(-(((x - at[0]) / radii[0]) ** 2) - ((y - at[1]) / radii[1]) ** 2)


def both(x: Array, y: Array, at: tuple[float, float], radii: tuple[float, float]) -> Array:
    """The sum of a `bump` and its mirror image on the other side of the face."""
    return bump(x, y, at, radii) + bump(x, y, (-at[0], at[1]), radii)


def eye_arc(x: Array) -> Array:
    """How far the lids part along the eye: 0 in its corners, 1 in the middle, a little steeper towards the nose."""
    inner, outer = EYE_CORNERS
    t = np.clip((np.abs(x) - inner) / (outer - inner), 0, 1)
    return np.sin(np.pi * t**0.9) ** 0.75


def mouth_arc(x: Array) -> Array:
    """1 in the middle of the mouth, 0 in its corners and beyond."""
    return np.sqrt(np.clip(1 - (x / MOUTH_CORNER) ** 2, 0, 1))


def skin_surface(row: Array, turn: Array, side: Array, open_up: float = 0.06, open_down: float = -0.05) -> Array:
    """Points of the skin; `side` tells the two edges of a slit apart, the lids are open by the two heights."""
    front_y, front_z, width, side_y, axis, back, recede = _profile(row).T
    c = np.cos(turn)
    x = width * np.sin(turn)
    ahead = np.clip(c, 0, 1)
    y = side_y + (front_y - side_y) * ahead**1.5
    z = axis + np.where(c > 0, (front_z - axis) * ahead**recede, (axis - back) * c)
    z = z + (c > 0) * _relief(x, y)
    near = np.exp(-(((row - EYE_ROW) / 0.62) ** 2)) * (c > 0)
    edge = np.where(row == EYE_ROW, side, np.sign(EYE_ROW - row))
    y = y + near * eye_arc(x) * np.where(edge > 0, open_up, np.where(edge < 0, open_down, 0.0))
    ball = EYE_RADIUS**2 - (np.abs(x) - EYE[0]) ** 2 - (y - EYE[1]) ** 2
    over = EYE[2] + np.sqrt(np.clip(ball, 0, None)) + 0.012
    lid = np.exp(-(((row - EYE_ROW) / 0.75) ** 4)) * (ball > 0) * (c > 0)
    z = z + lid * np.logaddexp(0, (over - z) * 60) / 60
    lips = np.exp(-(((row - MOUTH_ROW) / 0.5) ** 2)) * (c > 0)
    y = y + lips * 0.012 * (np.cos(np.clip(np.abs(x) / MOUTH_CORNER, 0, 1) * np.pi * 1.5) - 0.3) * mouth_arc(x)
    gap = np.where(row == MOUTH_ROW, side, 0.0) * 0.001 * mouth_arc(x)
    return np.stack([x, y + gap, z], -1)


def _profile(row: Array) -> Array:
    """The table between its rows, its kinks smoothed away."""
    curve = PchipInterpolator(np.arange(len(PROFILE)), PROFILE)
    spread = np.minimum(1, np.minimum(row, len(PROFILE) - 1 - row))
    taps = [(0.0, 0.3), (0.3, 0.2), (-0.3, 0.2), (0.6, 0.15), (-0.6, 0.15)]
    return sum((w * curve(row + t * spread) for t, w in taps), np.zeros((len(row), PROFILE.shape[1])))


def _relief(x: Array, y: Array) -> Array:
    """What stands out of the face or lies back in it, along z."""
    bridge = np.interp(
        y, [-0.22, -0.165, -0.11, -0.05, 0.05, 0.18, 0.30, 0.42], [0, 0.06, 0.2, 0.25, 0.19, 0.1, 0.04, 0]
    )
    width = np.interp(y, [-0.15, -0.05, 0.1, 0.3], [0.085, 0.08, 0.062, 0.075])
    nose = bridge * np.exp(-((x / width) ** 2)) + 0.1 * both(x, y, (0.105, -0.085), (0.05, 0.06))
    sockets = -0.085 * both(x, y, (0.29, 0.29), (0.17, 0.13))
    brow = 0.03 * both(x, y, (0.28, 0.43), (0.2, 0.06))
    cheeks = 0.045 * both(x, y, (0.42, 0.02), (0.2, 0.18)) - 0.03 * both(x, y, (0.5, -0.35), (0.15, 0.2))
    arc = mouth_arc(x) ** 1.2
    upper = 0.05 * arc * np.exp(-(((y - MOUTH_Y - 0.045) / 0.05) ** 2))
    lower = 0.055 * arc * np.exp(-(((y - MOUTH_Y + 0.055) / 0.055) ** 2))
    line = -0.012 * np.exp(-(((y - MOUTH_Y) / 0.015) ** 2) - (x / 0.3) ** 4)
    philtrum = -0.012 * bump(x, y, (0.0, -0.25), (0.03, 0.06)) + 0.012 * both(x, y, (0.05, -0.25), (0.025, 0.06))
    corners = -0.03 * both(x, y, (0.29, MOUTH_Y), (0.05, 0.08))
    chin = 0.03 * bump(x, y, (0.0, -0.71), (0.14, 0.1))
    return nose + sockets + brow + cheeks + upper + lower + line + philtrum + corners + chin


def skin(head: Head) -> None:
    """Add the skin to a head: one grid, with slits cut for mouth and eyes."""
    rows = np.concatenate([k + np.arange(n) / n for k, n in enumerate(ROWS_BETWEEN)] + [np.array([18.0])])
    half = np.concatenate(
        [np.radians(np.arange(0, 44, 2.15)), np.radians([*range(44, 100, 4), *np.linspace(100, 180, 9)])]
    )
    turns = np.concatenate([-half[:0:-1], half[:-1]])  # closes behind
    nr, nc = len(rows), len(turns)
    row, turn = (a.ravel() for a in np.meshgrid(rows, turns, indexing="ij"))
    below = np.arange(nr * nc).reshape(nr, nc)
    above = below.copy()  # ids that the strip above a row uses; below: those that the strip under it uses
    side = np.zeros(nr * nc)
    x = skin_surface(row, turn, side)[:, 0].reshape(nr, nc)
    inner, outer = EYE_CORNERS
    spans = {"mouth": (MOUTH_ROW, -MOUTH_CORNER, MOUTH_CORNER), "left": (EYE_ROW, -outer, -inner)}
    spans["right"] = (EYE_ROW, inner, outer)
    total = nr * nc
    extra: list[int] = []
    slits: dict[str, tuple[int, int, int]] = {}
    for name, (at, low, high) in spans.items():
        r = int(np.abs(rows - at).argmin())
        ahead = np.where(np.abs(turns) < 1.5, x[r], np.inf)
        first, last = int(np.abs(ahead - low).argmin()), int(np.abs(ahead - high).argmin())
        n = last - first - 1
        extra += below[r, first + 1 : last].tolist()
        below[r, first + 1 : last] = np.arange(total, total + n)
        total += n
        slits[name] = (r, first, last)
    row, turn = np.concatenate([row, row[extra]]), np.concatenate([turn, turn[extra]])
    side = np.concatenate([side, np.full(len(extra), -1.0)])
    side[extra] = 1.0
    right = np.roll(np.arange(nc), -1)
    tl, tr = below[:-1], below[:-1][:, right]
    bl, br = above[1:], above[1:][:, right]
    quads = np.stack([tl, bl, br, tl, br, tr], -1).reshape(-1, 3)
    head.add(skin_surface(row, turn, side), "skin", quads)
    head.row, head.turn, head.side = row, turn, side
    for name, (r, first, last) in slits.items():
        head.loops[name] = above[r, first : last + 1], below[r, first : last + 1]


def behind(head: Head, slit: str, rings: list[tuple[str, Array, float]]) -> None:
    """Add a tube from a slit's edge inwards, one ring after another: (part, offsets of the edge, share of its
    motion)."""
    upper, lower = head.loops[slit]
    edge = np.concatenate([upper, lower[-2:0:-1]])
    ring, after = edge, np.roll(np.arange(len(edge)), -1)
    for part, points, share in rings:
        new = np.arange(len(head.points), len(head.points) + len(edge))
        quads = np.stack([ring, ring[after], new[after], ring, new[after], new], -1).reshape(-1, 3)
        head.add(points, part, quads, edge, share)
        ring = new
