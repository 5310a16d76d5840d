"""The rows of a sweep as a table: means over seeds, and whether a change moves a number as the paper says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, get_args

from visemix.evaluation.result import Result
from visemix.metrics import METRICS
from visemix.ops.intervals import student
from visemix.report.quoted import CAUTION, Quoted
from visemix.report.results import OOD, columns, measured, truth_row
from visemix.report.tables import Cell, Group, Row, Table
from visemix.types import VisemixError

Rows = Mapping[str, Mapping[int, Result]]  # row → seed → its scores
Judgement = Literal["agrees", "disagrees", "undecided", "unmeasured"]


@dataclass(frozen=True)
class Verdict:
    """What one change does to one number, here and in the paper, both as difference to the full model."""

    row: str
    metric: str
    measured: float  # NaN where it was not measured
    doubt: float  # half the width of the 95 % interval around `measured`; NaN for one seed
    published: float
    judgement: Judgement

    @property
    def key(self) -> str:
        """Our metric's own name, where it stands for another."""
        return self.metric.partition(" for ")[0]


def sweep_table(title: str, rows: Rows, quoted: Quoted | None = None, *, short: bool = False) -> Table:
    """A row each, its cells mean ± standard deviation over the seeds; below them the paper's rows.

    A row that is scored on other clips than the first is never the best, and a note names it. `short` leaves out what
    neither the paper prints nor is a headline: for a page.

    Raises:
        VisemixError: no point has a result.
    """
    results = {f"{row} {seed}": result for row, of in rows.items() for seed, result in of.items()}
    if not results:
        raise VisemixError(f"no point of {title} ended, so there is nothing to put in its table")
    chosen = {*METRICS.headlines(), *stand_ins().values(), *(quoted.columns if quoted else ())}
    shown = [column for column in columns(results) if column.key in chosen or not short]
    apart = _apart(rows)
    ours = [Row(row, {c.key: _cell(of, c.key) for c in shown}, row not in apart) for row, of in rows.items()]
    groups = [Group("measured here", [truth_row(results.values()), *ours])]
    theirs = quoted.group([column.key for column in shown]) if quoted else None
    if theirs:
        groups.append(theirs)
    return Table(title, shown, groups, [*_notes(rows, apart), *([CAUTION] if theirs else [])], True)


def _apart(rows: Rows) -> list[str]:
    """The rows that were scored on other clips than the first."""
    clips = {row: {clip for result in of.values() for clip in result.clips} for row, of in rows.items() if of}
    return [row for row, seen in clips.items() if seen != next(iter(clips.values()))]


def _notes(rows: Rows, apart: Sequence[str]) -> Iterator[str]:
    seeds = sorted({len(of) for of in rows.values()})
    if max(seeds) > 1:
        yield f"± is the standard deviation over {' or '.join(map(str, seeds))} seeds."
    if apart:
        yield f"Scored on other clips than the first row, so never the best: {'; '.join(apart)}."


def verdicts(rows: Rows, quoted: Quoted) -> list[Verdict]:
    """For each row of the paper and each number in it. Our first row is the full model, which the paper must have.

    Points of one seed share every stage in which they do not differ, so differences are taken seed by seed. Their mean
    is undecided where its 95 % interval (Student's, over the seeds) holds zero, and for a single seed. Where nothing
    here has a metric of the paper, and a stand-in for it is known, that is judged.

    Raises:
        VisemixError: the first row is none of the paper's.
    """
    full, instead = next(iter(rows)), stand_ins()
    if full not in quoted.rows:
        raise VisemixError(f"the first variant, '{full}', is none of {quoted.table}'s rows ({', '.join(quoted.rows)})")
    measured = {metric for metric in {*quoted.columns, *instead.values()} if values(rows[full], metric)}
    found = []
    for row in (name for name in quoted.rows if name != full):
        for metric, changed, whole in zip(quoted.columns, quoted.rows[row], quoted.rows[full], strict=True):
            if changed is None or whole is None or changed == whole:
                continue
            ours = metric if metric in measured else instead.get(metric, metric)
            name = metric if ours == metric or ours not in measured else f"{ours} for {metric}"
            found.append(_judge(row, name, values(rows.get(row, {}), ours), values(rows[full], ours), changed - whole))
    return found


def stand_ins() -> dict[str, str]:
    """A metric of the papers → ours that is judged in its place where it has no weights; of foreign speech, too."""
    known = METRICS.stand_ins()
    return known | {f"{metric}{OOD}": f"{ours}{OOD}" for metric, ours in known.items()}


def verdict_table(found: Sequence[Verdict]) -> str:
    """Markdown: how many agree, in a sentence each those that do not, and a line for everything."""
    lines = [*summary(found), ""]
    against = [v for v in found if v.judgement == "disagrees"]
    if against:
        lines += ["Not as in the paper:", ""]
        lines += [
            f"- {v.row}, {v.metric}: {v.measured:+.3g} here, {v.published:+.3g} in the paper" for v in against
        ] + [""]
    lines += ["| row | metric | ours | ± | paper's | direction |", "|---|---|---:|---:|---:|---|"]
    lines += [f"| {' | '.join(words(v))} |" for v in found]
    return "\n".join(lines) + "\n"


def summary(found: Sequence[Verdict]) -> list[str]:
    """The counts: of differences, and of rows, which agree where every difference that was decided does."""
    count = {word: sum(v.judgement == word for v in found) for word in get_args(Judgement)}
    rows: dict[str, set[str]] = {v.row: set() for v in found}
    for v in found:
        rows[v.row].add(v.judgement)
    against = sum("disagrees" in judged for judged in rows.values())
    agree = sum("agrees" in judged and "disagrees" not in judged for judged in rows.values())
    return [
        f"The paper prints {len(found)} differences to the full model. Here {count['agrees']} have its direction, "
        f"{count['disagrees']} the other, {count['undecided']} cannot be told from the seeds' spread, and "
        f"{count['unmeasured']} were not measured.",
        f"Of its {len(rows)} rows {agree} agree wherever they are decided, {against} disagree somewhere, and "
        f"{len(rows) - agree - against} decide nothing.",
    ]


def _judge(
    row: str, metric: str, measured: Mapping[int, float], full: Mapping[int, float], published: float
) -> Verdict:
    differences = [measured[seed] - full[seed] for seed in measured if seed in full]
    if not differences:
        return Verdict(row, metric, math.nan, math.nan, published, "unmeasured")
    mean, interval = fmean(differences), student(differences)
    doubt = math.nan if interval is None else (interval[1] - interval[0]) / 2
    clear = abs(mean) > doubt  # False where the doubt is NaN
    judgement: Judgement = ("agrees" if mean * published > 0 else "disagrees") if clear else "undecided"
    return Verdict(row, metric, mean, doubt, published, judgement)


def words(v: Verdict) -> list[str]:
    """A verdict as the cells of a line."""
    ours, doubt = (
        "–" if math.isnan(value) else f"{value:{sign}.3g}" for value, sign in ((v.measured, "+"), (v.doubt, ""))
    )
    return [v.row, v.metric, ours, doubt, f"{v.published:+.3g}", v.judgement]


def values(of: Mapping[int, Result], metric: str) -> dict[int, float]:
    """Seed → what a row's point has, without those that have no number."""
    found = {seed: result.summary[metric].value for seed, result in of.items() if metric in result.summary}
    return {seed: value for seed, value in found.items() if value is not None}


def _cell(of: Mapping[int, Result], metric: str) -> Cell:
    found = [*values(of, metric).values()]
    cells = [measured(result, metric) for result in of.values() if metric in result.summary]
    lost = [cell.reason for cell in cells if cell.value is None]
    if not found:
        return Cell(None, reason=lost[0] if lost else "no point of this row ended")
    mean, spread = fmean(found), stdev(found) if len(found) > 1 else 0.0
    reason = f"mean of {len(found)} of {len(of)} seeds; missing: {lost[0]}" if lost else ""
    return Cell(mean, (mean - spread, mean + spread), reason)
