"""Curves and clouds of points as SVG, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean, stdev

Number = float | int
Points = Sequence[tuple[Number, Number]]

COLOURS = 6  # of the page's style; the first is for what was recorded
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 250, 64, 16, 34, 42  # of a chart, in pixels
DOTTED, PLOT, LINE = 480, 230, 20  # of a chart of dots: its width, its plot's, both at least; the height of a row
LETTER, KEY, LEGEND = 7, 34, 18  # width of a letter, of a legend's line with its margins, height of its row


def chart(curves: Mapping[str, Points], across: str, up: str, *, log: bool = False, clock: bool = False) -> str:
    """Curves by name over one pair of axes, as SVG. `across` and `up` name the axes with their units.

    A value that is NaN or infinite leaves a gap, and a curve without values keeps its colour for itself. With `clock`,
    x is the seconds of the player that the chart stands below: a line shows where the videos are, and a click goes
    there.

    Raises:
        ValueError: no curve has a point, or a logarithmic one a value that is not positive.
    """
    points = [(x, y) for curve in curves.values() for x, y in curve if math.isfinite(y)]
    if not points or (log and min(y for _, y in points) <= 0):
        raise ValueError(f"nothing to draw for '{up}', or values that have no logarithm")
    xs = _ticks(min(x for x, _ in points), max(x for x, _ in points))
    ys = _decades(points) if log else _ticks(min(y for _, y in points), max(y for _, y in points))
    low, high = (math.log10(ys[0]), math.log10(ys[-1])) if log else (ys[0], ys[-1])
    left, right = min(x for x, _ in points), max(max(x for x, _ in points), min(x for x, _ in points) + 1e-9)
    drawn = {name: (f"c{k % COLOURS}", _pieces(curve)) for k, (name, curve) in enumerate(curves.items())}
    drawn = {name: (colour, pieces) for name, (colour, pieces) in drawn.items() if pieces}
    room = WIDTH - RIGHT - sum(KEY + LETTER * len(name) for name in drawn)
    below = LEGEND if room < 30 + LETTER * len(up) else 0  # a long legend gets a row of its own
    top, bottom = TOP + below, HEIGHT + below - BOTTOM

    def place(x: Number, y: Number) -> tuple[Number, Number]:
        share = ((math.log10(y) if log else y) - low) / (high - low)
        across = (x - left) / (right - left)
        return LEFT + across * (WIDTH - LEFT - RIGHT), bottom - share * (bottom - top)

    parts = []
    for y in ys:
        _, at = place(left, y)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in (x for x in xs if left <= x <= right):
        parts.append(f'<text x="{place(x, ys[0])[0]:.1f}" y="{bottom + 20}" text-anchor="middle">{x:.4g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{bottom + 36}" text-anchor="end">{escape(across)}</text>')
    parts.append(f'<text x="10" y="16">{escape(up)}</text>')
    start = max(10, room)
    for name, (colour, pieces) in drawn.items():
        for piece in pieces:
            steps = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in piece)
            parts.append(f'<polyline class="curve {colour}" points="{steps}"/>')
        parts.append(_key(name, colour, start, 16 + below))
        start += KEY + LETTER * len(name)
    about = f'viewBox="0 0 {WIDTH} {HEIGHT + below}" role="img" aria-label="{escape(f"{up} over {across}")}"'
    if clock:
        about += f' class="clock" data-left="{left}" data-right="{right}" data-from="{LEFT}" data-to="{WIDTH - RIGHT}"'
        parts.append(f'<line class="now" x1="{LEFT}" x2="{LEFT}" y1="{top}" y2="{bottom}"/>')
    return f"<svg {about}>{''.join(parts)}</svg>"


def scatter(clouds: Mapping[str, Points], label: str, *, height: int = 420) -> str:
    """Points by name, equally scaled in both directions, without axes: for embeddings, where only nearness tells."""
    points = [point for cloud in clouds.values() for point in cloud]
    if not points:
        raise ValueError(f"nothing to draw for '{label}'")
    lows, highs = ([end(point[axis] for point in points) for axis in (0, 1)] for end in (min, max))
    room, margin = (WIDTH, height - TOP), 16
    scale = min((room[axis] - 2 * margin) / max(highs[axis] - lows[axis], 1e-9) for axis in (0, 1))
    middle = [(lows[axis] + highs[axis]) / 2 for axis in (0, 1)]
    parts, start = [], 10
    for number, (name, cloud) in enumerate(clouds.items()):
        colour = f"c{number % COLOURS}"
        for x, y in cloud:
            at = (WIDTH / 2 + (x - middle[0]) * scale, TOP + room[1] / 2 - (y - middle[1]) * scale)
            parts.append('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>'.format(colour, *at))
        parts.append(_key(name, colour, start, 18))
        start += KEY + LETTER * len(name)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def dots(rows: Mapping[str, Sequence[Number]], across: str, *, beside: Mapping[str, str] | None = None) -> str:
    """What each row measured, as SVG: a ring a number, a dot at their mean, a bar over ± one standard deviation, and a
    line down from the first row's mean. `beside` are words at a row's end; `across` names the axis with its unit.

    Raises:
        ValueError: no row has a finite number.
    """
    finite = {name: [value for value in row if math.isfinite(value)] for name, row in rows.items()}
    means = {name: fmean(row) for name, row in finite.items() if row}
    spreads = {name: stdev(row) if len(row) > 1 else 0.0 for name, row in finite.items() if row}
    ends = [v for row in finite.values() for v in row]
    ends += [means[name] + side * spread for name, spread in spreads.items() for side in (-1, 1)]
    if not ends:
        raise ValueError(f"nothing to draw for '{across}'")
    ticks = _ticks(min(ends), max(ends))
    words = beside or {}
    left, right = (24 + LETTER * max(map(len, texts), default=0) for texts in (rows, words.values()))
    width, bottom = max(left + PLOT + right, DOTTED), TOP + LINE * len(rows)
    plot = width - left - right

    def place(value: Number) -> float:
        return left + plot * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [f'<text x="10" y="16">{escape(across)}</text>']
    for tick in ticks:
        at = f"{place(tick):.1f}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP - 8}" y2="{bottom}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{tick:.4g}</text>')
    whole = next(iter(means.values()))
    parts.append(f'<line class="now" x1="{place(whole):.1f}" x2="{place(whole):.1f}" y1="{TOP - 8}" y2="{bottom}"/>')
    for k, name in enumerate(rows):
        y = TOP + LINE * (k + 0.5)
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text x="{left + plot + 12}" y="{y + 4}">{escape(words.get(name, ""))}</text>')
        parts += [f'<circle class="dot c1" cx="{place(value):.1f}" cy="{y}" r="3"/>' for value in finite[name]]
        if name in means:
            low, high = (place(means[name] + side * spreads[name]) for side in (-1, 1))
            parts.append(f'<line class="curve c2" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>')
            parts.append(f'<circle class="mean c2" cx="{place(means[name]):.1f}" cy="{y}" r="3.4"/>')
    return f'<svg viewBox="0 0 {width} {bottom + 26}" role="img" aria-label="{escape(across)}">{"".join(parts)}</svg>'


def smooth(points: Points, window: int) -> Points:
    """The running mean of a noisy curve over `window` points up to each.

    >>> smooth([(0, 2.0), (1, 4.0), (2, 6.0)], 2)
    [(0, 2.0), (1, 3.0), (2, 5.0)]
    """
    values = [y for _, y in points]
    means = [sum(values[max(0, k - window + 1) : k + 1]) / min(window, k + 1) for k in range(len(values))]
    return [(x, mean) for (x, _), mean in zip(points, means, strict=True)]


def _key(name: str, colour: str, x: Number, y: Number) -> str:
    line = f'<line class="curve {colour}" x1="{x}" x2="{x + 18}" y1="{y - 4}" y2="{y - 4}"/>'
    return f'{line}<text x="{x + 23}" y="{y}">{escape(name)}</text>'


def _pieces(curve: Points) -> list[Points]:
    """A curve without its gaps; a lone point becomes a short stroke, or it would not be seen."""
    pieces: list[list[tuple[Number, Number]]] = [[]]
    for x, y in curve:
        if math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece if len(piece) > 1 else piece * 2 for piece in pieces if piece]


def _ticks(low: Number, high: Number, count: int = 5) -> list[float]:
    """Round numbers that enclose a range."""
    span = high - low
    if span <= 1e-9 * abs(high):  # equal, but for rounding
        span = abs(high) or 1.0
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
