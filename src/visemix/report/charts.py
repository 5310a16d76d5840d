"""Curves and clouds of points as SVG, in the page's colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean, stdev

Number = float | int
Points = Sequence[tuple[Number, Number]]

COLOURS = 6  # of the page's style; the first is for what was recorded
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 250, 64, 16, 34, 42  # of a chart, in pixels
DOTTED, PLOT, LINE = 480, 230, 20  # of a chart of dots: its width, its plot's, both at least; the height of a row
LETTER, KEY, LEGEND = 7, 34, 18  # width of a letter, of a legend's line with its margins, height of its row


@dataclass(frozen=True)
class Axes:
    """Where values stand on a chart: the plot's edges in pixels, and the values at them, `low` and `high` as drawn."""

    left: Number  # x at the left edge
    right: Number
    low: float
    high: float
    top: int
    bottom: int
    log: bool

    def place(self, x: Number, y: Number) -> tuple[Number, Number]:
        """A point in pixels."""
        share = ((math.log10(y) if self.log else y) - self.low) / (self.high - self.low)
        across = (x - self.left) / (self.right - self.left)
        return LEFT + across * (WIDTH - LEFT - RIGHT), self.bottom - share * (self.bottom - self.top)


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
    coloured = {name: (f"c{k % COLOURS}", _pieces(curve)) for k, (name, curve) in enumerate(curves.items())}
    drawn = {name: (colour, pieces) for name, (colour, pieces) in coloured.items() if pieces}
    room = WIDTH - RIGHT - sum(KEY + LETTER * len(name) for name in drawn)
    below = LEGEND if room < 30 + LETTER * len(up) else 0  # a long legend gets a row of its own
    axes, xs, ys = _axes(points, log, below)
    parts = [*_grid(axes, xs, ys), *_names(axes, across, up), *_curves(axes, drawn, max(10, room), 16 + below)]
    about = f'viewBox="0 0 {WIDTH} {HEIGHT + below}" role="img" aria-label="{escape(f"{up} over {across}")}"'
    if clock:
        about += f' class="clock" data-left="{axes.left}" data-right="{axes.right}"'
        about += f' data-from="{LEFT}" data-to="{WIDTH - RIGHT}"'
        parts.append(f'<line class="now" x1="{LEFT}" x2="{LEFT}" y1="{axes.top}" y2="{axes.bottom}"/>')
    return f"<svg {about}>{''.join(parts)}</svg>"


def _axes(points: Points, log: bool, below: int) -> tuple[Axes, list[float], list[float]]:
    """Axes that hold the points, the legend's row below the top, and the round numbers along them."""
    (left, right), (lowest, highest) = (_range([point[axis] for point in points]) for axis in (0, 1))
    ys = _decades(points) if log else _ticks(lowest, highest)
    low, high = (math.log10(ys[0]), math.log10(ys[-1])) if log else (ys[0], ys[-1])
    return (
        Axes(left, max(right, left + 1e-9), low, high, TOP + below, HEIGHT + below - BOTTOM, log),
        _ticks(left, right),
        ys,
    )


def _grid(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> Iterator[str]:
    """Lines across at each of `ys`, and what stands beside and below."""
    for y in ys:
        _, at = axes.place(axes.left, y)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y:.4g}</text>'
    for x in xs:
        if axes.left <= x <= axes.right:
            at, _ = axes.place(x, ys[0])
            yield f'<text x="{at:.1f}" y="{axes.bottom + 20}" text-anchor="middle">{x:.4g}</text>'


def _names(axes: Axes, across: str, up: str) -> Iterator[str]:
    yield f'<text x="{WIDTH - RIGHT}" y="{axes.bottom + 36}" text-anchor="end">{escape(across)}</text>'
    yield f'<text x="10" y="16">{escape(up)}</text>'


def _curves(axes: Axes, drawn: Mapping[str, tuple[str, list[Points]]], start: Number, high: Number) -> Iterator[str]:
    """Each curve, and its line of the legend, from `start` on and so high."""
    for name, (colour, pieces) in drawn.items():
        for piece in pieces:
            steps = " ".join("{:.1f},{:.1f}".format(*axes.place(x, y)) for x, y in piece)
            yield f'<polyline class="curve {colour}" points="{steps}"/>'
        yield _key(name, colour, start, high)
        start += KEY + LETTER * len(name)


def scatter(clouds: Mapping[str, Points], label: str, *, height: int = 420) -> str:
    """Points by name, equally scaled in both directions, without axes: for embeddings, where only nearness tells.

    Raises:
        ValueError: there is no point.
    """
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
    spreads = {name: spread for name, row in rows.items() if (spread := _spread(row)) is not None}
    if not spreads:
        raise ValueError(f"nothing to draw for '{across}'")
    ends = [v for spread in spreads.values() for v in (*spread.values, spread.low, spread.high)]
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
    whole = f"{place(next(iter(spreads.values())).mean):.1f}"
    parts.append(f'<line class="now" x1="{whole}" x2="{whole}" y1="{TOP - 8}" y2="{bottom}"/>')
    for k, name in enumerate(rows):
        y = TOP + LINE * (k + 0.5)
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text x="{left + plot + 12}" y="{y + 4}">{escape(words.get(name, ""))}</text>')
        if name in spreads:
            parts += _dots(spreads[name], place, y)
    return f'<svg viewBox="0 0 {width} {bottom + 26}" role="img" aria-label="{escape(across)}">{"".join(parts)}</svg>'


@dataclass(frozen=True)
class Spread:
    """Some numbers, their mean, and one standard deviation to either side of it."""

    values: Sequence[Number]
    mean: float
    low: float
    high: float


def _spread(row: Sequence[Number]) -> Spread | None:
    """Mean and standard deviation of the finite numbers; None where there are none."""
    values = [value for value in row if math.isfinite(value)]
    if not values:
        return None
    mean, apart = fmean(values), stdev(values) if len(values) > 1 else 0.0
    return Spread(values, mean, mean - apart, mean + apart)


def _dots(spread: Spread, place: Callable[[Number], float], y: float) -> Iterator[str]:
    """A ring a number, a bar and the mean's dot."""
    for value in spread.values:
        yield f'<circle class="dot c1" cx="{place(value):.1f}" cy="{y}" r="3"/>'
    low, high = place(spread.low), place(spread.high)
    yield f'<line class="curve c2" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
    yield f'<circle class="mean c2" cx="{place(spread.mean):.1f}" cy="{y}" r="3.4"/>'


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
    """The unbroken pieces of a curve; a lone point becomes a short stroke, or it would not be seen."""
    pieces: list[list[tuple[Number, Number]]] = [[]]
    for x, y in curve:
        if math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece if len(piece) > 1 else piece * 2 for piece in pieces if piece]


def _range(values: Sequence[Number]) -> tuple[Number, Number]:
    """The least and the greatest."""
    return min(values), max(values)


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
