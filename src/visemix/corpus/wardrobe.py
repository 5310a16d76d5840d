"""What a synthetic speaker wears: hair and clothes, as meshes that fit any face model's head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

Array = NDArray[np.float64]
COLUMNS, ROWS = 120, 30  # of the hair's grid: around the head, and from the crown down
SKULL = np.radians(np.arange(-90, 91, 6.0))  # elevations at which the skull is measured
AROUND = np.radians(np.arange(-180, 180, 6.0))
BUST = (-2.1, 2.1, -2.3, -0.9)  # left, right, bottom and top of the cloth pattern, decimetres
# The bust from the collar down: decimetres below the collar, half width, half depth, how far forward.
TORSO = np.array(
    [
        [-0.10, 0.00, 0.00, 0.00],  # added to the neck's own width and depth
        [0.00, 0.05, 0.05, 0.00],
        [0.06, 0.10, 0.10, 0.02],
        [0.14, 0.30, 0.15, 0.03],
        [0.24, 0.62, 0.19, 0.05],
        [0.36, 1.02, 0.25, 0.08],
        [0.52, 1.34, 0.31, 0.11],
        [0.75, 1.50, 0.38, 0.15],
        [1.10, 1.56, 0.46, 0.20],
        [1.80, 1.50, 0.52, 0.24],
    ]
)


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh, with texture coordinates (0 to 1, left to right and top to bottom) of every vertex."""

    points: Float[Array, "N 3"]  # decimetres, the head upright at the origin
    triangles: Int[np.ndarray, "F 3"]
    uv: Float[Array, "N 2"]
    follows: Float[Array, " N"]  # 1 moves with the head, 0 with the body


@dataclass(frozen=True)
class Hairdo:
    """How hair is worn; lengths in decimetres."""

    colour: tuple[float, float, float]
    volume: float  # on top
    sides: float  # volume beside and behind
    length: float  # that hangs down beside and behind the face; 0 ends at the hairline
    fringe: float  # radians by which it reaches into the forehead
    curl: float  # height of its waves
    sweep: float  # to one side: how far strands lean


@dataclass(frozen=True)
class Garment:
    """What is worn below the neck."""

    kind: Literal["crew", "vee", "shirt", "jacket", "stripes"]
    colour: tuple[float, float, float]
    second: tuple[float, float, float]


def dress(neck: tuple[float, float, float, float], shoulders: float) -> Mesh:
    """Mesh of a clothed bust below a neck of (collar height, half width, half depth, z of its middle), decimetres."""
    height, half_width, half_depth, middle = neck
    fine = np.linspace(0, len(TORSO) - 1, 34)
    down, wide, deep, ahead = (np.interp(fine, np.arange(len(TORSO)), column) for column in TORSO.T)
    wide, deep = (gaussian_filter1d(each, 1.2, mode="nearest") for each in (wide, deep))
    turn = np.linspace(-np.pi, np.pi, 73)
    box = 1 + 0.22 * np.clip(down, 0, 1)[:, None]  # from a round neck to flatter shoulders
    c, s = np.cos(turn), np.sin(turn)
    x = (half_width + shoulders * wide)[:, None] * np.sign(s) * np.abs(s) ** (1 / box)
    z = middle + ahead[:, None] + (half_depth + deep)[:, None] * np.sign(c) * np.abs(c) ** (1 / box)
    y = np.broadcast_to((height - down)[:, None], x.shape).copy()
    y += np.where(z < middle, 0.14, -0.10 * np.clip(c, 0, 1) ** 2) * np.clip(1 - down, 0, 1)[:, None]  # lower in front
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    left, right, bottom, top = BUST
    uv = np.stack([(points[:, 0] - left) / (right - left), (top - points[:, 1]) / (top - bottom)], -1)
    return Mesh(points, _grid(*x.shape), np.clip(uv, 0.002, 0.998), np.zeros(len(points)))


def comb(head: Float[Array, "N 3"], scalp: Bool[np.ndarray, " N"], eyes: float, style: Hairdo, seed: int) -> Mesh:
    """Mesh of the hair over a head.

    Args:
        head: vertices of the face model in the speaker's shape.
        scalp: which of them are hairy.
        eyes: height of the eyes.
    """
    rng = np.random.default_rng(seed)
    centre = np.array([0.0, eyes + 0.2, (head[scalp, 2].min() + head[scalp, 2].max()) / 2])
    radius, hairline = _skull(head - centre, scalp)
    turn = np.linspace(-np.pi, np.pi, COLUMNS + 1)
    ends = np.interp(turn, AROUND, hairline, period=2 * np.pi)
    ends -= style.fringe * np.exp(-((turn / np.radians(42)) ** 4)) * (1 - 0.35 * np.sin(turn * np.sign(style.sweep)))
    ragged = gaussian_filter1d(rng.standard_normal(COLUMNS), 0.9, mode="wrap")
    ends += 0.045 * np.append(ragged, ragged[0])
    hangs = _smoothstep((np.abs(turn) - np.radians(62)) / np.radians(18)) if style.length else np.zeros_like(turn)
    ends = ends + hangs * (np.maximum(ends, 0.0) - ends)
    t = np.linspace(0, 1, ROWS) ** 0.9
    drop = style.length * hangs * (1 + 0.05 * np.append(ragged, ragged[0]))
    arc = (np.pi / 2 - ends) * 0.95
    path = t[:, None] * (arc + drop)
    elevation = np.pi / 2 - np.minimum(path / arc, 1) * (np.pi / 2 - ends)
    below = np.maximum(path - arc, 0)
    waves = gaussian_filter(rng.standard_normal((ROWS, COLUMNS)), (1.3, 1.6), mode=("nearest", "wrap"))
    waves = np.concatenate([waves, waves[:, :1]], 1) / waves.std()
    side = np.clip(np.cos(elevation), 0, 1)
    thick = style.volume * (1 - side) + style.sides * side
    fade = 1 - (1 - hangs) * _smoothstep((t[:, None] - 0.8) / 0.2)
    lock = style.curl * waves * _smoothstep(t[:, None] / 0.15) * (0.35 + 0.65 * fade)
    away = _look_up(radius, turn, elevation) + 0.012 + thick * fade + lock
    level = np.cos(elevation) * away
    level = level + below * (0.06 + 0.1 * np.sin(3.5 * below + 2 * np.abs(turn)) * style.curl / 0.03 * 0.3)
    tuck = np.where(np.cos(turn) < 0, 0.25 * _smoothstep(below / 0.8), 0.0)  # behind, it lies on the neck
    x, z = np.sin(turn) * level, np.cos(turn) * level * (1 - tuck)
    y = np.sin(elevation) * away - below
    points = np.stack([x, y, z], -1).reshape(-1, 3) + centre
    lean = style.sweep * np.cos(turn) * t[:, None] ** 1.5
    uv = np.stack([(turn / (2 * np.pi) + 0.5 + lean) % 1.0, np.broadcast_to(t[:, None], x.shape)], -1)
    uv[..., 0] = np.where(np.abs(np.diff(uv[..., 0], axis=1, append=uv[:, -1:, 0])) > 0.5, 0.999, uv[..., 0])
    follows = 1 - 0.7 * _smoothstep((below - 0.3) / 1.2)
    return Mesh(points, _grid(*x.shape), np.clip(uv.reshape(-1, 2), 0, 0.999), follows.ravel())


def _skull(head: Array, scalp: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Distance of the skin (elevations × azimuths), and the lowest elevation of hair at each azimuth."""
    length = np.linalg.norm(head, axis=1)
    e, a = np.meshgrid(SKULL, AROUND, indexing="ij")
    rays = np.stack([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], -1).reshape(-1, 3)
    near = (rays @ (head / length[:, None]).T) > np.cos(np.radians(7))
    upper = head[:, 1] > -0.75
    radius = np.where(near & scalp, length, 0).max(1).reshape(e.shape)  # without the ears
    radius = np.where(radius > 0.3, radius, np.where(near & upper, length, 0).max(1).reshape(e.shape))
    radius = np.where(radius > 0.3, radius, 0.85)
    radius[1:-1] = gaussian_filter(radius, (0.8, 0.8), mode=("nearest", "wrap"))[1:-1]
    hairy = np.where(near & scalp, np.arcsin(head[:, 1] / length), np.pi / 2).min(1).reshape(e.shape)
    lowest = hairy.min(0)
    lowest = (lowest + lowest[_mirrored()]) / 2
    return radius, gaussian_filter1d(lowest, 0.8, mode="wrap")


def _mirrored() -> NDArray[np.int64]:
    return np.array([int(np.abs(np.angle(np.exp(1j * (AROUND + a)))).argmin()) for a in AROUND])


def _look_up(radius: Array, turn: Array, elevation: Array) -> Array:
    """`radius`, interpolated between its samples, in (rows × columns) directions."""
    columns = np.concatenate([radius, radius[:, :1]], 1)
    at = (np.broadcast_to(turn, elevation.shape) + np.pi) / np.radians(6)
    up = (elevation + np.pi / 2) / np.radians(6)
    j, i = np.minimum(at.astype(int), len(AROUND) - 1), np.minimum(up.astype(int), len(SKULL) - 2)
    u, v = at - j, up - i
    low = columns[i, j] * (1 - u) + columns[i, j + 1] * u
    high = columns[i + 1, j] * (1 - u) + columns[i + 1, j + 1] * u
    out: Array = low * (1 - v) + high * v
    return out


def _grid(rows: int, columns: int) -> NDArray[np.int64]:
    """Triangles of a grid of vertices, counter-clockwise seen from outside: rows go down, columns to the right."""
    k = np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)
    down = k + columns
    return np.stack([k, down, down + 1, k, down + 1, k + 1], -1).reshape(-1, 3)


def _smoothstep(t: Array) -> Array:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
