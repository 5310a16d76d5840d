"""Pictures that synthetic speakers are made of: strands of hair, cloth, and what is behind them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from visemix.corpus.wardrobe import BUST, Garment, Hairdo

Array = NDArray[np.float64]
Colour = tuple[float, float, float]
DETAIL = 512  # pixels a side at which patterns are drawn before they are brought to the size in use
BACKDROPS = ("wall", "shelf", "window", "lights")


def strands(style: Hairdo, seed: int, side: int) -> Float[Array, "3 side side"]:
    """Texture of hair, combed down: fine across, long down, in locks; lighter where it bends over the head."""
    rng = np.random.default_rng([seed, 1])
    fine = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), (40, 0.8), mode=("nearest", "wrap"))
    locks = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), (70, 5), mode=("nearest", "wrap"))
    waves = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), 9, mode=("nearest", "wrap"))
    rough = min(style.curl / 0.05, 1.0)
    tone = 0.2 * fine / fine.std() + 0.15 * locks / locks.std() + 0.3 * rough * waves / waves.std()
    v = (np.arange(DETAIL) + 0.5)[:, None] / DETAIL
    bend = 0.35 * np.exp(-(((v - 0.42) / 0.14) ** 2)) * (1 + 0.8 * fine / fine.std())
    shade = np.clip(1 + tone, 0.35, 1.9) * (0.78 + bend) * (0.8 + 0.2 * np.clip((1 - v) / 0.2, 0, 1))
    colour = np.array(style.colour)[:, None, None] * shade + 0.05 * np.clip(bend, 0, 1)
    return _resized(np.clip(colour, 0, 1), side)


def cloth(garment: Garment, skin: Colour, collar: float, seed: int, side: int) -> Array:
    """Texture (3, side, side) of the clothed bust, seen from the front; `collar` is its height, decimetres."""
    rng = np.random.default_rng([seed, 2])
    left, right, bottom, top = BUST
    x = left + (right - left) * (np.arange(DETAIL) + 0.5)[None, :] / DETAIL
    y = top - (top - bottom) * (np.arange(DETAIL) + 0.5)[:, None] / DETAIL
    down = collar - y
    folds = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), (26, 11)) * 110
    weave = rng.standard_normal((DETAIL, DETAIL)) * 0.03
    picture = _fill(garment.colour, x, y) * (1 + np.clip(0.06 * folds, -0.2, 0.2) + weave)
    ax = np.abs(x)

    def paint(weight: Array, rgb: Colour, grain: float = 0.0) -> None:
        w = np.clip(weight, 0, 1)
        picture[:] = picture + w * (np.array(rgb)[:, None, None] * (1 + grain * weave / 0.03) - picture)

    dark = (garment.colour[0] * 0.55, garment.colour[1] * 0.55, garment.colour[2] * 0.55)
    if garment.kind == "stripes":
        paint((np.sin(2 * np.pi * (down + 0.03 * np.cos(2 * x)) / 0.19) > 0) * 1.0, garment.second, 0.03)
    if garment.kind in ("crew", "stripes"):
        paint(_band(down, 0.045, 0.06), dark, 0.03)
    if garment.kind == "vee":
        edge = 0.62 - 1.35 * ax
        paint(_edge(edge - down, 0.02), skin)
        paint(_edge(edge - down, 0.02) * (ax < 0.035) * 0.12, (0.2, 0.1, 0.1))
        paint(_band(down - edge, 0.03, 0.035), dark, 0.03)
    if garment.kind in ("shirt", "jacket"):
        inner = garment.second if garment.kind == "jacket" else garment.colour
        if garment.kind == "jacket":
            paint(_edge(0.95 - 1.2 * ax - 0.35 * down + 0.05, 0.02), inner, 0.02)
            paint(_band(0.95 - 1.2 * ax - 0.35 * down, 0.02, 0.02) * 0.8, dark)
            lapel = _edge(1.5 - 1.5 * ax - 0.35 * down, 0.02) * _edge(1.2 * ax + 0.35 * down - 1.0, 0.02)
            paint(lapel * 0.35, (garment.colour[0] * 1.5, garment.colour[1] * 1.5, garment.colour[2] * 1.5))
        shadow = (inner[0] * 0.6, inner[1] * 0.6, inner[2] * 0.6)
        light = (min(inner[0] * 1.12, 1.0), min(inner[1] * 1.12, 1.0), min(inner[2] * 1.12, 1.0))
        flap = 0.12 + 0.62 * np.clip(0.5 - ax, 0, 0.36)
        paint(_edge(flap + 0.03 - down, 0.02) * (ax > 0.06 + 0.2 * down), shadow)
        paint(_edge(flap - down, 0.015) * _edge(ax - 0.05 - 0.24 * down, 0.02), light, 0.02)
        paint(_edge(0.16 - down - 1.7 * ax, 0.02), skin)
        paint(_band(ax, 0.08, 0.012) * (down > 0.22) * 0.5, shadow)
        paint((np.hypot(ax, (down % 0.38) - 0.3) < 0.028) * (down > 0.2) * 1.0, shadow)
    return _resized(np.clip(picture, 0, 1), side)


def backdrop(kind: str, seed: int, side: int) -> Float[Array, "3 side side"]:
    """Background picture, out of focus: a wall, a shelf, a window or lights in the dark."""
    rng = np.random.default_rng([seed, 3])
    y, x = (np.mgrid[0:DETAIL, 0:DETAIL] + 0.5) / DETAIL
    base = rng.uniform(0.35, 0.8) * (1 + 0.18 * rng.standard_normal(3).clip(-1, 1))
    room = base[:, None, None] * (1.08 - 0.35 * y + 0.25 * (x - 0.5) * rng.choice([-1, 1]))
    if kind == "shelf":
        _shelves(room, rng)
        blur = 5.0
    elif kind == "window":
        start, width = rng.uniform(-0.1, 0.45), rng.uniform(0.3, 0.5)
        pane = (x > start) & (x < start + width) & (y < 0.8)
        frame = (np.abs((x - start) / width - 0.5) < 0.03) | (np.abs(y - 0.4) < 0.012)
        sky = np.array([0.78, 0.88, 0.97])[:, None, None] * (1 - 0.2 * y) + 0.1 * np.sin(6 * x + 9 * y)
        leaves = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), 14) * 25
        sky = np.where(leaves > 0.4 + 1.2 * (0.7 - y), np.array([0.4, 0.55, 0.35])[:, None, None], sky)
        room = np.where(pane & ~frame, sky, room * 0.75)
        blur = 6.0
    elif kind == "lights":
        room = room * np.array([0.25, 0.28, 0.36])[:, None, None]
        for _ in range(26):
            cx, cy, r = rng.uniform(0, 1), rng.uniform(0, 0.9), rng.uniform(0.02, 0.06)
            glow = 1 / (1 + np.exp((np.hypot(x - cx, y - cy) - r) * 260))
            warm = np.array([(1.0, 0.72, 0.4), (0.9, 0.9, 0.85), (0.45, 0.6, 0.95)][rng.integers(3)])
            room = room + rng.uniform(0.12, 0.4) * glow * warm[:, None, None]
        blur = 2.0
    else:
        for scale, strength in ((4, 0.03), (60, 0.08)):
            stain = gaussian_filter(rng.standard_normal((DETAIL, DETAIL)), scale, mode="wrap")
            room = room * (1 + strength * stain / stain.std())
        blur = 1.5
    room = np.stack([gaussian_filter(channel, blur, mode="nearest") for channel in room])
    return _resized(np.clip(room * (1 - 0.35 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)), 0, 1), side)


def _shelves(room: Array, rng: np.random.Generator) -> None:
    """Draw shelves of books over a wall, in place."""
    board = np.array([0.42, 0.3, 0.2])[:, None, None]
    height = DETAIL // 4
    for floor in range(0, DETAIL, height):
        room[:, floor : floor + height] *= 0.45
        at = int(rng.integers(0, 20))
        while at < DETAIL:
            wide, tall = int(rng.integers(12, 30)), int(height * rng.uniform(0.55, 0.85))
            if rng.random() < 0.85:
                ink = rng.uniform(0.15, 0.6) * (1 + 0.3 * rng.standard_normal(3)).clip(0.5, 1.5)
                room[:, floor + height - tall : floor + height, at : at + wide] = ink[:, None, None]
            at += wide + 2
        room[:, floor + height - 9 : floor + height] = board


def _fill(rgb: Colour, x: Array, y: Array) -> Array:
    return np.asarray(np.array(rgb)[:, None, None] * np.ones_like(x + y))


def _edge(inside: Array, soft: float) -> Array:
    return np.clip(inside / soft + 0.5, 0, 1)


def _band(away: Array, middle: float, half: float) -> Array:
    return _edge(half - np.abs(away - middle), 0.02)


def _resized(picture: Array, side: int) -> Array:
    """The picture at `side` pixels, averaged where that is fewer."""
    if side < DETAIL:
        picture = np.stack([gaussian_filter(c, 0.45 * DETAIL / side, mode="nearest") for c in picture])
    scaled: Array = np.stack([zoom(c, side / DETAIL, order=1, mode="nearest", grid_mode=True) for c in picture])
    return np.clip(scaled, 0, 1)
