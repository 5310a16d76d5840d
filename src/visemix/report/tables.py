"""Tables of methods beside metrics: what is compared, what is missing and why, and which number is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Better = Literal["higher", "lower", "nearer", ""]
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
UNQUOTED = "–"  # the table that a row is quoted from does not have this column


@dataclass(frozen=True)
class Column:
    """A metric: the key that cells go by, and how it is printed. `nearer` is nearer to `ideal`."""

    key: str
    unit: str = ""  # "" and "1" are printed as none
    better: Better = ""
    digits: int = 3
    title: str = ""
    ideal: float = 0.0

    @property
    def heading(self) -> str:
        """The column's head: title, unit, and an arrow to what is better."""
        unit = f" ({self.unit})" if self.unit not in ("", "1") else ""
        arrow = {"higher": "↑", "lower": "↓", "nearer": f"→ {self.ideal:g}", "": ""}[self.better]
        return " ".join(filter(None, (f"{self.title or self.key}{unit}", arrow)))


@dataclass(frozen=True)
class Cell:
    """A number, perhaps infinite, with its confidence interval; `reason` says why there is none, or what to know. One
    that does not `compete` (a part of it is unknown) is never called the best."""

    value: float | None
    interval: tuple[float, float] | None = None
    reason: str = ""
    competes: bool = True


@dataclass(frozen=True)
class Row:
    """What one method reached. One that does not `compete` (the recording itself) is never called the best."""

    name: str
    cells: Mapping[str, Cell]
    competes: bool = True


@dataclass(frozen=True)
class Group:
    """Rows that were measured by one code on one set of videos: only among these is a best one marked."""

    title: str
    rows: Sequence[Row]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """`plus_minus` prints intervals as half their width, for those that are symmetric."""

    title: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    notes: Sequence[str] = ()
    plus_minus: bool = False


@dataclass(frozen=True)
class Text:
    """A cell as it is printed, without mark-up: words, the interval's, the footnote's number."""

    words: str
    interval: str = ""
    mark: int | None = None
    best: bool = False


@dataclass(frozen=True)
class FormattedTable:
    """A table in words, the same for every format."""

    heads: list[str]
    groups: list[tuple[str, list[tuple[str, list[Text]]]]]
    footnotes: list[str] = field(default_factory=list)  # number 1 first
    notes: list[str] = field(default_factory=list)


def format_table(table: Table) -> FormattedTable:
    """Numbers as words, the best of each group marked, reasons as footnotes: `n/a` is never a zero and never a blank.

    >>> column = Column("psnr", "dB", "higher", 1)
    >>> rows = [Row("a", {"psnr": Cell(31.24)}), Row("b", {"psnr": Cell(None, reason="too short")})]
    >>> formatted = format_table(Table("", [column], [Group("", rows)]))
    >>> formatted.heads, [texts[0].words for _, texts in formatted.groups[0][1]], formatted.footnotes
    (['psnr (dB) ↑'], ['31.2', 'n/a'], ['too short'])
    """
    footnotes: list[str] = []
    groups = []
    for group in table.groups:
        best = {column.key: _best(group.rows, column) for column in table.columns}
        lines = []
        for row in group.rows:
            texts = []
            for column in table.columns:
                cell = row.cells.get(column.key)
                words = _number(cell, column)
                mark = None
                if cell is not None and cell.reason:
                    if cell.reason not in footnotes:
                        footnotes.append(cell.reason)
                    mark = footnotes.index(cell.reason) + 1
                is_best = row.competes and cell is not None and cell.competes and words == best[column.key]
                texts.append(Text(words, _interval(cell, column, table.plus_minus), mark, is_best))
            lines.append((row.name, texts))
        groups.append((group.title, lines))
    notes = [*table.notes, *(f"{group.title}: {group.note}" for group in table.groups if group.note)]
    return FormattedTable([column.heading for column in table.columns], groups, footnotes, notes)


def transposed(formatted: FormattedTable) -> FormattedTable:
    """Metrics down and methods across, for many metrics. All groups become one."""
    rows = [row for _, rows in formatted.groups for row in rows]
    lines = [(head, [texts[k] for _, texts in rows]) for k, head in enumerate(formatted.heads)]
    return FormattedTable([name for name, _ in rows], [("", lines)], formatted.footnotes, formatted.notes)


def records(table: Table) -> Iterator[dict[str, str | float | None]]:
    """One row a number, for programs: table, group, method, metric, value, low, high, unit, better, reason."""
    for group in table.groups:
        for row in group.rows:
            for column in table.columns:
                cell = row.cells.get(column.key)
                if cell is None:
                    continue
                low, high = cell.interval or (None, None)
                yield {
                    "group": group.title,
                    "method": row.name,
                    "metric": column.key,
                    "value": "inf" if cell.value == math.inf else cell.value,
                    "low": low,
                    "high": high,
                    "unit": column.unit,
                    "better": column.better,
                    "reason": cell.reason,
                }


def superscript(number: int) -> str:
    """A footnote's number.

    >>> superscript(12)
    '¹²'
    """
    return str(number).translate(SUPERSCRIPT)


def _number(cell: Cell | None, column: Column) -> str:
    if cell is None:
        return UNQUOTED
    if cell.value is None:
        return "n/a"
    digits = column.digits
    return "inf" if math.isinf(cell.value) else f"{round(cell.value, digits) + 0.0:.{digits}f}"  # and never −0.000


def _interval(cell: Cell | None, column: Column, plus_minus: bool) -> str:
    if cell is None or cell.value is None or cell.interval is None:
        return ""
    low, high = cell.interval
    if low == high:  # a recording beside itself
        return ""
    if plus_minus:
        return f"± {(high - low) / 2:.{column.digits}f}"
    return f"[{low:.{column.digits}f}, {high:.{column.digits}f}]"


def _best(rows: Sequence[Row], column: Column) -> str | None:
    """As printed, so that what reads alike is marked alike; None where there is nothing to choose from."""
    cells = [row.cells.get(column.key) for row in rows if row.competes]
    values = [cell.value for cell in cells if cell is not None and cell.competes and cell.value is not None]
    if not column.better or len(values) < 2:
        return None
    worth: Callable[[float], float] = {
        "higher": lambda v: -v,
        "lower": lambda v: v,
        "nearer": lambda v: abs(v - column.ideal),
    }[column.better]
    return _number(Cell(min(values, key=worth)), column)
