"""The rows of a sweep as a table: means over seeds, and whether a change moves a number as the paper says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Literal

from visemix.evaluation.result import Result
from visemix.metrics import METRICS
from visemix.ops.intervals import LEVEL, holm, student, student_p
from visemix.report.quoted import CAUTION, Quoted
from visemix.report.results import columns, measured, plural, truth_row
from visemix.report.tables import Cell, Group, Row, Table
from visemix.types import VisemixError

Rows = Mapping[str, Mapping[int, Result]]  # row → seed → its scores
Judgement = Literal["agrees", "disagrees", "undecided", "unmeasured"]
TOGETHER = "with Holm's correction"
HEADS = ("row", "metric", "ours", "±", "paper's", "direction, alone", f"direction, {TOGETHER}")


@dataclass(frozen=True)
class Verdict:
    """What one change does to one number, here and in the paper, both as difference to the full model.

    Only where every seed of the sweep has a number on both sides there is a p-value, and a direction.
    """

    row: str
    metric: str
    measured: float  # NaN where it was not measured
    doubt: float  # half the width of the 95 % interval around `measured`; NaN for one seed
    published: float
    p_value: float = math.nan  # of a difference of zero (Student's, over the seeds); NaN where nothing can be told
    lacking: tuple[int, ...] = ()  # seeds without a number on one of the sides
    corrected: float = math.nan  # the p-value with Holm's correction over the table's differences

    @property
    def alone(self) -> Judgement:
        """Whether this difference has the paper's direction, were it the only one that is tested."""
        return self._judged(self.p_value)

    @property
    def judgement(self) -> Judgement:
        """The same, all differences of the table being tested together."""
        return self._judged(self.corrected)

    def _judged(self, p_value: float) -> Judgement:
        if math.isnan(self.measured):
            return "unmeasured"
        if not p_value < 1 - LEVEL:  # NaN is not
            return "undecided"
        return "agrees" if self.measured * self.published > 0 else "disagrees"


def sweep_table(title: str, rows: Rows, quoted: Quoted | None = None, *, short: bool = False) -> Table:
    """A row each, its cells mean ± standard deviation over the seeds; below them the paper's rows.

    A row that is scored on other clips than the first is never the best, and a note names it; nor is a mean that lacks
    a seed. `short` leaves out what neither the paper prints nor is a headline: for a page.

    Raises:
        VisemixError: no point has a result.
    """
    results = {f"{row} {seed}": result for row, of in rows.items() for seed, result in of.items()}
    if not results:
        raise VisemixError(f"no point of {title} ended, so there is nothing to put in its table")
    chosen = {*METRICS.headlines(), *(quoted.columns if quoted else ())}
    shown = [column for column in columns(results) if column.key in chosen or not short]
    apart, seeds = _apart(rows), _seeds(rows)
    ours = [Row(row, {c.key: _cell(of, c.key, seeds) for c in shown}, row not in apart) for row, of in rows.items()]
    groups = [Group("measured here", [truth_row(results.values()), *ours])]
    theirs = quoted.group([column.key for column in shown]) if quoted else None
    if theirs:
        groups.append(theirs)
    return Table(title, shown, groups, [*_notes(rows, apart), *([CAUTION] if theirs else [])], True)


def _seeds(rows: Rows) -> list[int]:
    """Every seed that some row has."""
    return sorted({seed for of in rows.values() for seed in of})


def _apart(rows: Rows) -> list[str]:
    """The rows of which a point was scored on other clips than the first row."""
    clips = {row: [{*result.clips} for result in of.values()] for row, of in rows.items() if of}
    return [row for row, seen in clips.items() if any(one != next(iter(clips.values()))[0] for one in seen)]


def _notes(rows: Rows, apart: Sequence[str]) -> Iterator[str]:
    seeds = _seeds(rows)
    if len(seeds) > 1:
        yield f"± is the standard deviation over {len(seeds)} seeds."
    lacking = {row: [seed for seed in seeds if seed not in of] for row, of in rows.items()}
    short = [f"{row} lacks {_named(missing)}" for row, missing in lacking.items() if missing]
    if short:
        yield f"Never the best: {'; '.join(short)}."
    if apart:
        yield f"Scored on other clips than the first row, so never the best: {'; '.join(apart)}."


def verdicts(rows: Rows, quoted: Quoted) -> list[Verdict]:
    """For each row of the paper and each number in it. Our first row is the full model, which the paper must have; what
    a row of ours says in brackets behind the paper's name, is ours alone.

    Points of one seed share every stage in which they do not differ, so differences are taken seed by seed. A seed or
    a clip without a number may be the one that went wrong, so without it nothing is decided: a difference is tested
    where every seed of the sweep has a number on both sides, over the same clips, and there are two or more. A metric
    of the paper that nothing here has is not measured, and no other is judged in its place.

    Raises:
        VisemixError: the first row is none of the paper's.
    """
    rows = {name.partition(" (")[0]: of for name, of in rows.items()}
    full = next(iter(rows))
    if full not in quoted.rows:
        raise VisemixError(f"the first variant, '{full}', is none of {quoted.table}'s rows ({', '.join(quoted.rows)})")
    apart, seeds, found = _apart(rows), _seeds(rows), []
    for row in (name for name in quoted.rows if name != full):
        of = {} if {row, full} & {*apart} else rows.get(row, {})
        for metric, changed, whole in zip(quoted.columns, quoted.rows[row], quoted.rows[full], strict=True):
            if changed is not None and whole is not None and changed != whole:
                sides = values(of, metric), values(rows[full], metric)
                found.append(_difference(row, metric, *sides, changed - whole, seeds))
    return _corrected(found)


def _difference(
    row: str,
    metric: str,
    changed: Mapping[int, float],
    full: Mapping[int, float],
    published: float,
    seeds: Sequence[int],
) -> Verdict:
    both = [seed for seed in seeds if seed in changed and seed in full]
    lacking = tuple(seed for seed in seeds if seed not in both)
    differences = [changed[seed] - full[seed] for seed in both]
    if not differences or not all(map(math.isfinite, differences)):
        return Verdict(row, metric, math.nan, math.nan, published)
    interval, p_value = student(differences), None if lacking else student_p(differences)
    doubt = math.nan if interval is None else (interval[1] - interval[0]) / 2
    told = math.nan if p_value is None else p_value
    return Verdict(row, metric, fmean(differences), doubt, published, told, lacking)


def _corrected(found: Sequence[Verdict]) -> list[Verdict]:
    raised = iter(holm([v.p_value for v in found if not math.isnan(v.p_value)]))
    return [v if math.isnan(v.p_value) else replace(v, corrected=next(raised)) for v in found]


def verdict_table(found: Sequence[Verdict]) -> str:
    """Markdown: how many agree, in a sentence each those that do not, and a line for everything."""
    lines = [*summary(found), ""]
    against = [v for v in found if v.alone == "disagrees"]
    if against:
        lines += ["Not as in the paper:", ""]
        lines += [
            f"- {v.row}, {v.metric}: {v.measured:+.3g} here, {v.published:+.3g} in the paper"
            + ("" if v.judgement == "disagrees" else f" (undecided {TOGETHER})")
            for v in against
        ] + [""]
    lines += [f"| {' | '.join(HEADS)} |", "|---|---|---:|---:|---:|---|---|"]
    lines += [f"| {' | '.join(words(v))} |" for v in found]
    return "\n".join(lines) + "\n"


def summary(found: Sequence[Verdict]) -> list[str]:
    """The counts: of differences and of rows, each judged alone, and all of them together."""
    tested = sum(not math.isnan(v.p_value) for v in found)
    unmeasured = sum(v.judgement == "unmeasured" for v in found)
    return [
        f"The paper prints {plural(len(found), 'difference')} to the full model, of which {tested} could be tested and "
        f"{unmeasured} were not measured.",
        f"Each judged alone, at {LEVEL:.0%}: {_counts(found, [v.alone for v in found])}",
        f"All {tested} judged together, {TOGETHER}: {_counts(found, [v.judgement for v in found])}",
    ]


def _counts(found: Sequence[Verdict], judged: Sequence[Judgement]) -> str:
    """Differences by judgement; of rows, those agree where every difference that was decided does."""
    rows: dict[str, set[Judgement]] = {v.row: set() for v in found}
    for v, judgement in zip(found, judged, strict=True):
        rows[v.row].add(judgement)
    against = sum("disagrees" in of for of in rows.values())
    agree = sum("agrees" in of and "disagrees" not in of for of in rows.values())
    return (
        f"{judged.count('agrees')} have its direction, {judged.count('disagrees')} the other, and "
        f"{judged.count('undecided')} cannot be told; of its {len(rows)} rows {agree} agree wherever they are decided, "
        f"{against} disagree somewhere, and {len(rows) - agree - against} decide nothing."
    )


def words(v: Verdict) -> list[str]:
    """A verdict as the cells of a line, under `HEADS`."""
    ours, doubt = (
        "–" if math.isnan(value) else f"{value:{sign}.3g}" for value, sign in ((v.measured, "+"), (v.doubt, ""))
    )
    without = f", lacks {_named(v.lacking)}" if v.lacking else ""
    return [v.row, v.metric, ours, doubt, f"{v.published:+.3g}", v.alone + without, v.judgement]


def values(of: Mapping[int, Result], metric: str) -> dict[int, float]:
    """Seed → what a row's point has, infinite where pictures are equal, without those that have no number."""
    rows = {seed: result.summary[metric] for seed, result in of.items() if metric in result.summary}
    found = {seed: math.inf if row.status == "inf" else row.value for seed, row in rows.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _cell(of: Mapping[int, Result], metric: str, seeds: Sequence[int]) -> Cell:
    found = values(of, metric)
    lost = {seed: _reason(of, metric, seed) for seed in seeds if seed not in found}
    if not found:
        return Cell(None, reason=next((why for seed, why in lost.items() if seed in of), "no point of this row ended"))
    mean, interval = fmean(found.values()), None
    if math.isfinite(mean):
        spread = stdev(found.values()) if len(found) > 1 else 0.0
        interval = mean - spread, mean + spread
    missing = "; ".join(f"seed {seed} is missing ({why})" for seed, why in lost.items())
    reason = f"mean of {len(found)} of {len(seeds)} seeds: {missing}" if lost else ""
    return Cell(mean, interval, reason, competes=not lost)


def _reason(of: Mapping[int, Result], metric: str, seed: int) -> str:
    """Why a seed has no number."""
    if seed not in of:
        return "its point did not end"
    return measured(of[seed], metric).reason if metric in of[seed].summary else f"{metric} was not asked for"


def _named(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
