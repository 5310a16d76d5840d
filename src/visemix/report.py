"""A page of numbers and pictures that opens anywhere: one HTML file without scripts, links or fonts."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from skimage.io import imsave

Points = Sequence[tuple[float, float]]

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1b; --quiet: #62625d; --line: #dcdcd6; --page: #fbfbf9; --card: #fff;
  --c0: #8a8a84; --c1: #c8501e; --c2: #2a6fbb; --c3: #2d8659 }
@media (prefers-color-scheme: dark) { :root { --ink: #ececea; --quiet: #a5a5a0; --line: #3c3c39; --page: #191918;
  --card: #222220; --c0: #a0a09a; --c1: #f08a58; --c2: #6aa9ec; --c3: #62c294 } }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem } h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem }
p { margin: .5rem 0; max-width: 46rem } .note, figcaption, th { color: var(--quiet) }
.note, figcaption, th { font-size: .875rem } figure { margin: 1rem 0 } figcaption { margin-top: .35rem }
img, video { width: 100%; border-radius: 6px; display: block }
.row { display: flex; flex-wrap: wrap; gap: 1rem } .row > * { flex: 1 1 13rem; margin: 0 }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 500 } .number { text-align: right }
svg { width: 100%; height: auto; background: var(--card); border: 1px solid var(--line); border-radius: 6px }
svg text { font: 12px system-ui, sans-serif; fill: var(--quiet) } .grid { stroke: var(--line) }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round }
.c0 { stroke: var(--c0) } .c1 { stroke: var(--c1) } .c2 { stroke: var(--c2) } .c3 { stroke: var(--c3) }
"""
COLOURS = 4
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 250, 64, 16, 34, 42  # of a chart, in pixels


def page(title: str, blocks: Iterable[str]) -> str:
    """A whole document. `blocks` are pieces of HTML, as the functions below give them."""
    body = "\n".join([f"<h1>{escape(title)}</h1>", *blocks])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""


def heading(words: str) -> str:
    return f"<h2>{escape(words)}</h2>"


def paragraph(words: str, *, note: bool = False) -> str:
    return f'<p class="note">{escape(words)}</p>' if note else f"<p>{escape(words)}</p>"


def row(blocks: Iterable[str]) -> str:
    """Pieces side by side where there is room."""
    return f'<div class="row">{"".join(blocks)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> str:
    """Numbers to the right; None is a dash: not measured, or without meaning."""
    lines = ["".join(f"<th>{escape(name)}</th>" for name in head)]
    lines += ["".join(_cell(value) for value in cells) for cells in rows]
    return f'<div class="scroll"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def picture(pixels: UInt8[np.ndarray, "H W 3"], caption: str) -> str:
    """A picture inside the page, as PNG."""
    file = io.BytesIO()
    imsave(file, pixels, format="png", check_contrast=False)
    source = _inline(file.getvalue(), "image/png")
    return f'<figure><img src="{source}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'


def video(path: str | Path, caption: str) -> str:
    """An mp4 inside the page, with controls."""
    source = _inline(Path(path).read_bytes(), "video/mp4")
    clip = f'<video controls loop playsinline preload="auto" src="{source}"></video>'
    return f"<figure>{clip}<figcaption>{escape(caption)}</figcaption></figure>"


def chart(curves: Mapping[str, Points], across: str, up: str, *, log: bool = False) -> str:
    """Curves by name over one pair of axes, as SVG. `across` and `up` name the axes with their units.

    Raises:
        ValueError: no curve has a point, or a logarithmic one a value that is not positive.
    """
    points = [point for curve in curves.values() for point in curve]
    if not points or (log and min(y for _, y in points) <= 0):
        raise ValueError(f"nothing to draw for '{up}', or values that have no logarithm")
    xs = _ticks(min(x for x, _ in points), max(x for x, _ in points))
    ys = _decades(points) if log else _ticks(min(y for _, y in points), max(y for _, y in points))
    low, high = (math.log10(ys[0]), math.log10(ys[-1])) if log else (ys[0], ys[-1])
    left, right = min(x for x, _ in points), max(max(x for x, _ in points), min(x for x, _ in points) + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        share = ((math.log10(y) if log else y) - low) / (high - low)
        across = (x - left) / (right - left)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in ys:
        _, at = place(left, y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in (x for x in xs if left <= x <= right):
        parts.append(f'<text x="{place(x, ys[0])[0]:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{x:.4g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(across)}</text>')
    parts.append(f'<text x="10" y="16">{escape(up)}</text>')
    start = WIDTH - RIGHT - sum(34 + 7 * len(name) for name in curves)
    for number, (name, curve) in enumerate(curves.items()):
        colour = f"c{number % COLOURS}"
        steps = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in curve)
        parts.append(f'<polyline class="curve {colour}" points="{steps}"/>')
        parts.append(f'<line class="curve {colour}" x1="{start}" x2="{start + 18}" y1="12" y2="12"/>')
        parts.append(f'<text x="{start + 23}" y="16">{escape(name)}</text>')
        start += 34 + 7 * len(name)
    label = escape(f"{up} over {across}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def smooth(points: Points, window: int) -> Points:
    """The running mean of a noisy curve over `window` points up to each.

    >>> smooth([(0, 2.0), (1, 4.0), (2, 6.0)], 2)
    [(0, 2.0), (1, 3.0), (2, 5.0)]
    """
    values = [y for _, y in points]
    means = [sum(values[max(0, k - window + 1) : k + 1]) / min(window, k + 1) for k in range(len(values))]
    return [(x, mean) for (x, _), mean in zip(points, means, strict=True)]


def _cell(value: str | float | None) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{"—" if value is None else f"{value:.4g}"}</td>'


def _inline(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that enclose a range."""
    span = (high - low) or abs(high) or 1.0
    size = 10.0 ** math.floor(math.log10(span / count))
    step = next(size * k for k in (1, 2, 5, 10) if size * k * count >= span)
    first, last = math.floor(low / step), math.ceil(max(high, low + span * 1e-9) / step)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _decades(points: Points) -> list[float]:
    """Powers of ten that enclose the values, with 2 and 5 between them where they are few."""
    low, high = (function(y for _, y in points) for function in (min, max))
    every = [
        m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
    ]
    first = max(k for k, y in enumerate(every) if y <= low * 1.000001)
    last = min(k for k, y in enumerate(every) if y >= high * 0.999999)
    kept = every[first : max(last, first + 1) + 1]
    return kept if len(kept) <= 7 else [y for k, y in enumerate(kept) if k in (0, len(kept) - 1) or f"{y:e}"[0] == "1"]
