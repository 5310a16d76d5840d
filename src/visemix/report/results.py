"""Evaluations side by side: a row a method, over the same recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from visemix.evaluation.result import Result
from visemix.metrics import METRICS
from visemix.metrics.shown import UNSHOWN
from visemix.metrics.suite import Score
from visemix.ops.intervals import LEVEL, bootstrap
from visemix.ops.store import sha256
from visemix.report.formats import write_tables
from visemix.report.quoted import CAUTION, COMPARISONS, Quoted
from visemix.report.tables import Better, Cell, Column, Group, Row, Table
from visemix.types import VisemixError

DIRECTIONS: dict[bool | None, Better] = {True: "higher", False: "lower", None: "nearer"}
RECORDED = "recorded"  # the ground truth's row
Side = Literal["made", "truth"]  # the fakes' scores, or the recordings' own
OOD = "_ood"  # of a metric: measured on foreign speech (GeneFace's out-of-domain columns)


def with_ood(result: Result, foreign: Result) -> Result:
    """The result with the means of foreign speech beside its own, as `fid_ood` and the like."""
    shown = METRICS.foreign()
    return replace(
        result,
        summary=result.summary | {f"{key}{OOD}": row for key, row in foreign.summary.items() if key in shown},
        details=result.details | {f"{key}{OOD}": about for key, about in foreign.details.items() if key in shown},
    )


def check_together(results: Mapping[str, Result]) -> None:
    """Raises VisemixError where two methods were scored against different recordings under one name."""
    seen: dict[str, tuple[str, str, int]] = {}
    for method, result in results.items():
        for clip, about in result.clips.items():
            if not about.real.is_file():
                raise VisemixError(f"{about.real}, which '{method}' was scored against, is gone; evaluate it again")
            digest = sha256(about.real)
            first, known, frames = seen.setdefault(clip, (method, digest, about.frames))
            if digest != known:
                raise VisemixError(
                    f"'{first}' and '{method}' were scored against different recordings of '{clip}' "
                    f"({frames} and {about.frames} frames); evaluate them on the same ones"
                )


def columns(results: Mapping[str, Result]) -> list[Column]:
    """Every metric that any of them has, in the order of the first."""
    found: dict[str, Column] = {}
    shown = {name: metric.shown for name, metric in METRICS.known().items()}
    for result in results.values():
        for key, row in result.summary.items():
            about = result.details[key]
            says, ideal = shown.get(key.removesuffix(OOD), UNSHOWN), about.ideal or 0.0
            better: Better = "" if says.diagnostic else DIRECTIONS[about.higher_is_better]
            found.setdefault(key, Column(key, row.unit, better, says.digits, ideal=ideal))
    return list(found.values())


def method_row(name: str, result: Result, *, competes: bool = True) -> Row:
    """One method's means over clips, with intervals where there are clips enough; reasons where there is no number."""
    return Row(name, {key: measured(result, key) for key in result.summary}, competes)


def truth_row(results: Iterable[Result]) -> Row:
    """The recordings' own scores by the same code: what a perfect method would reach."""
    whole = max(results, key=lambda result: len(result.clips))
    return Row(RECORDED, {key: measured(whole, key, "truth") for key in whole.truth}, competes=False)


def comparison(
    results: Mapping[str, Result], *, only: Sequence[str] = (), quoted: Sequence[Quoted] = COMPARISONS
) -> Table:
    """Our methods, the recording, and the papers' rows, in that order; `only` some metrics, in this order."""
    known = {column.key: column for column in columns(results)}
    chosen = [known[key] for key in only if key in known] or list(known.values())
    same = len({tuple(sorted(result.clips)) for result in results.values()}) == 1
    rows = [method_row(name, result, competes=same) for name, result in results.items()]
    groups = [Group(f"measured here, {_counted(results, same)}", [truth_row(results.values()), *rows])]
    theirs = (table.group([column.key for column in chosen]) for table in quoted)
    groups += [group for group in theirs if group is not None]
    notes = []
    if not same:
        notes.append("Not every method has every clip; means over different clips do not compare, so none is in bold.")
    if any(len(result.clips) > 1 for result in results.values()):
        notes.append(f"In brackets: {LEVEL:.0%} bootstrap interval of the mean, clips drawn anew.")
    return Table("", chosen, groups, [*notes, *([CAUTION] if len(groups) > 1 else [])])


def _counted(results: Mapping[str, Result], same: bool) -> str:
    """How many clips there are, of all methods or of each."""
    counts = {name: len(result.clips) for name, result in results.items()}
    if same:
        return plural(next(iter(counts.values())), "clip")
    return "clips: " + ", ".join(f"{count} of {name}" for name, count in counts.items())


def write_comparison(paths: Sequence[Path], results: Mapping[str, Result]) -> None:
    """The headlines for readers (`.md`, `.tex`), every metric for programs (`.csv`, `.json`)."""
    for path in paths:
        only = METRICS.headlines() if path.suffix.lower() in (".md", ".tex") else ()
        write_tables([path], comparison(results, only=only))


def variants(results: Mapping[str, Result]) -> list[list[str]]:
    """For every metric: name, unit, region, and which of its many conventions it follows."""
    rows: dict[str, list[str]] = {}
    for result in results.values():
        for key, row in result.summary.items():
            rows.setdefault(key, [key, row.unit, row.region, row.variant])
    return list(rows.values())


def measured(result: Result, key: str, side: Side = "made") -> Cell:
    """A metric's number with its interval over clips, or why there is none; of the fakes, or of the recordings."""
    row = (result.summary if side == "made" else result.truth)[key]
    if row.status == "inf":
        return Cell(math.inf)
    clips, about = _of_clips(result, key, side), result.details[key]
    if row.status != "ok":
        reason = _reason(clips, row.status) if clips else about.reason or "no reason is given"
        return Cell(None, reason=f"{row.status}: {reason}")
    if about.per == "set" or not clips:  # a number of all frames together is no mean over clips
        caution = f"{key} {about.caution}" if about.caution and side == "made" else ""
        return Cell(row.value, reason=caution)
    return Cell(row.value, bootstrap([clip.value for clip in clips.values() if clip.value is not None]))


def _of_clips(result: Result, key: str, side: Side) -> dict[str, Score]:
    """A metric's score of each clip that has one."""
    scores = {name: clip.metrics if side == "made" else clip.truth for name, clip in result.clips.items()}
    return {name: found[key] for name, found in scores.items() if key in found}


def _reason(clips: Mapping[str, Score], status: str) -> str:
    """Why there is no number: once where all clips say the same, else the first clip's with its name."""
    reasons = {name: clip.reason for name, clip in clips.items() if clip.status == status}
    if not reasons:
        return "no reason is given"
    name, reason = next(iter(reasons.items()))
    return reason if set(reasons.values()) == {reason} and len(reasons) == len(clips) else f"{name}: {reason}"


def plural(count: int, thing: str) -> str:
    """A count and its noun, as in "1 clip" and "2 clips"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
