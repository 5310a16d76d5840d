"""The rows of a sweep as a table: means over seeds, and whether a change moves a number as the paper says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from visemix.report.quoted import CAUTION, Quoted
from visemix.report.results import Result, columns, truth_row
from visemix.report.tables import Cell, Group, Row, Table
from visemix.types import VisemixError

Judgement = Literal["agrees", "disagrees", "undecided"]
DOUBT = 2.0  # standard errors that a difference must exceed to count


@dataclass(frozen=True)
class Verdict:
    """What one change does to one number, here and in the paper, both as difference to the full model."""

    row: str
    metric: str
    ours: float
    doubt: float  # half the width of the interval around `ours`; NaN for one seed
    theirs: float
    judgement: Judgement


def sweep_table(title: str, rows: Mapping[str, Sequence[Result]], quoted: Quoted | None = None) -> Table:
    """A row each, its cells mean ± standard deviation over the results (one a seed); below them the paper's rows."""
    results = {f"{row} {k}": result for row, of in rows.items() for k, result in enumerate(of)}
    if not results:
        raise VisemixError(f"no point of {title} ended, so there is nothing to put in its table")
    shown = columns(results)
    measured = [Row(row, {column.key: _cell(of, column.key) for column in shown}) for row, of in rows.items()]
    groups = [Group("measured here", [truth_row(results.values()), *measured])]
    theirs = quoted.group([column.key for column in shown]) if quoted else None
    seeds = sorted({len(of) for of in rows.values()})
    notes = [f"± is the standard deviation over {' or '.join(map(str, seeds))} seeds."] if max(seeds) > 1 else []
    return Table(title, shown, [*groups, *([theirs] if theirs else [])], [*notes, *([CAUTION] if theirs else [])], True)


def verdicts(rows: Mapping[str, Sequence[Result]], quoted: Quoted) -> list[Verdict]:
    """For each row and metric that paper and sweep share. The first row is the full model in ours, whatever its name.

    A difference of ours that two standard errors do not clear, or that comes from a single seed, is undecided.
    """
    (full, base), *others = rows.items()
    if full not in quoted.rows:
        raise VisemixError(f"the first variant, '{full}', is none of {quoted.table}'s rows ({', '.join(quoted.rows)})")
    found = []
    for row, of in others:
        for k, metric in enumerate(quoted.columns):
            printed = (quoted.rows.get(row, ())[k : k + 1] or (None,))[0], quoted.rows[full][k]
            values = _values(of, metric), _values(base, metric)
            if None in printed or not all(values):
                continue
            theirs = float(printed[0] or 0.0) - float(printed[1] or 0.0)
            ours = float(np.mean(values[0]) - np.mean(values[1]))
            doubt = _doubt(*values)
            clear = abs(ours) > doubt  # False where the doubt is NaN
            judgement: Judgement = ("agrees" if ours * theirs > 0 else "disagrees") if clear else "undecided"
            found.append(Verdict(row, metric, ours, doubt, theirs, judgement))
    return found


def verdict_table(found: Sequence[Verdict]) -> str:
    """Markdown: a line each, and how many agree."""
    counts = {word: sum(v.judgement == word for v in found) for word in ("agrees", "disagrees", "undecided")}
    lines = [
        f"Of {len(found)} differences to the full model, {counts['agrees']} have the paper's direction, "
        f"{counts['disagrees']} the other, {counts['undecided']} cannot be told from the seeds' spread.",
        "",
        "| row | metric | ours | ± | paper's | direction |",
        "|---|---|---:|---:|---:|---|",
    ]
    for v in found:
        doubt = "–" if math.isnan(v.doubt) else f"{v.doubt:.3g}"
        lines.append(f"| {v.row} | {v.metric} | {v.ours:+.3g} | {doubt} | {v.theirs:+.3g} | {v.judgement} |")
    return "\n".join(lines) + "\n"


def _values(of: Sequence[Result], metric: str) -> list[float]:
    rows = [result["summary"].get(metric, {}) for result in of]
    return [float(row["value"]) for row in rows if row.get("status") == "ok"]


def _doubt(a: Sequence[float], b: Sequence[float]) -> float:
    if len(a) < 2 or len(b) < 2:
        return math.nan
    return DOUBT * float(np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)))


def _cell(of: Sequence[Result], metric: str) -> Cell:
    values = _values(of, metric)
    if not values:
        about = of[0]["details"].get(metric, {}) if of else {}
        return Cell(None, reason=about.get("reason") or "no point of this row ended")
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Cell(mean, (mean - spread, mean + spread))
