"""What `visemix evaluate` wrote, read back and set side by side: a row a method, over the same recordings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from visemix.ops.intervals import LEVEL, bootstrap
from visemix.ops.store import sha256
from visemix.report.formats import write_tables
from visemix.report.quoted import CAUTION, COMPARISONS, Quoted
from visemix.report.tables import Better, Cell, Column, Group, Row, Table
from visemix.types import VisemixError

Result = dict[str, Any]  # as `visemix.evaluation.evaluate` answers it
EXPECTED = ("summary", "truth", "details", "clips")
DIRECTIONS: dict[bool | None, Better] = {True: "higher", False: "lower", None: "nearer"}
RECORDED = "recorded"  # the ground truth's row
HEADLINES = (  # what stands in a table that is to fit a page: the papers' metrics, then what keeps them honest
    *("lmd", "lmd_norm", "lmd_norm@lag", "opening_corr@0", "opening_corr@lag"),
    *("ssim", "psnr", "psnr_face", "cpbd", "fid"),
    *("lse_c", "av_offset_abs", "jitter", "opening_spread"),
)
OOD = "_ood"  # of a metric: measured on foreign speech (GeneFace's out-of-domain columns)
FOREIGN = ("fid", "lse_c", "avproxy_corr@0")  # those of them that stand in a table
DIGITS = {"fid": 2, "fid_ood": 2, "av_offset": 2, "av_offset_abs": 2}  # else 3, as the papers print


def read_result(path: Path) -> Result:
    """The JSON that `visemix evaluate --out` writes.

    Raises:
        VisemixError: no such file, or not one of ours.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VisemixError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise VisemixError(f"{path} is no JSON ({error}); give what `visemix evaluate --out` wrote") from error
    if (
        not isinstance(found, dict)
        or not all(isinstance(found.get(key), dict) for key in EXPECTED)
        or not found["clips"]
    ):
        raise VisemixError(f"{path} is no evaluation ({', '.join(EXPECTED)}); give what `visemix evaluate --out` wrote")
    return found


def with_foreign(result: Result, foreign: Result) -> Result:
    """A result whose means have those of foreign speech beside them, as `fid_ood` and the like."""
    beside = {
        part: {f"{key}{OOD}": row for key, row in foreign[part].items() if key in FOREIGN}
        for part in ("summary", "details")
    }
    return result | {part: result[part] | rows for part, rows in beside.items()}


def check_together(results: Mapping[str, Result]) -> None:
    """Raises VisemixError where two methods were scored against different recordings under one name."""
    seen: dict[str, tuple[str, str, int]] = {}
    for method, result in results.items():
        for clip, about in result["clips"].items():
            real = Path(about["real"])
            if not real.is_file():
                raise VisemixError(f"{real}, which '{method}' was scored against, is gone; evaluate it again")
            digest = sha256(real)
            first, known, frames = seen.setdefault(clip, (method, digest, about["frames"]))
            if digest != known:
                raise VisemixError(
                    f"'{first}' and '{method}' were scored against different recordings of '{clip}' "
                    f"({frames} and {about['frames']} frames); evaluate them on the same ones"
                )


def columns(results: Mapping[str, Result]) -> list[Column]:
    """Every metric that any of them has, in the order of the first."""
    found: dict[str, Column] = {}
    for result in results.values():
        for key, row in result["summary"].items():
            about = result["details"].get(key, {})
            better = DIRECTIONS[about.get("higher_is_better")]
            digits = DIGITS.get(key, 3)
            found.setdefault(key, Column(key, row["unit"], better, digits, ideal=about.get("ideal") or 0.0))
    return list(found.values())


def method_row(name: str, result: Result, *, competes: bool = True) -> Row:
    """One method's means over clips, with intervals where there are clips enough; reasons where there is no number."""
    return Row(name, {key: measured(result, key) for key in result["summary"]}, competes)


def truth_row(results: Iterable[Result]) -> Row:
    """The recordings' own scores by the same code: what a perfect method would reach."""
    whole = max(results, key=lambda result: len(result["clips"]))
    return Row(RECORDED, {key: measured(whole, key, "truth", "truth") for key in whole["truth"]}, competes=False)


def comparison(
    results: Mapping[str, Result], *, only: Sequence[str] = (), quoted: Sequence[Quoted] = COMPARISONS
) -> Table:
    """Our methods, the recording, and the papers' rows, in that order; `only` some metrics, in this order."""
    known = {column.key: column for column in columns(results)}
    chosen = [known[key] for key in only if key in known] or list(known.values())
    truth = truth_row(results.values())
    counts = {name: len(result["clips"]) for name, result in results.items()}
    same = len({tuple(sorted(result["clips"])) for result in results.values()}) == 1
    each = ", ".join(f"{count} of {name}" for name, count in counts.items())
    clips = plural(next(iter(counts.values())), "clip") if same else f"clips: {each}"
    rows = [method_row(name, result, competes=same) for name, result in results.items()]
    groups = [Group(f"measured here, {clips}", [truth, *rows])]
    groups += [g for g in (table.group([column.key for column in chosen]) for table in quoted) if g is not None]
    notes = []
    if not same:
        notes.append("Not every method has every clip; means over different clips do not compare, so none is in bold.")
    if any(count > 1 for count in counts.values()):
        notes.append(f"In brackets: {LEVEL:.0%} bootstrap interval of the mean, clips drawn anew.")
    return Table("", chosen, groups, [*notes, *([CAUTION] if len(groups) > 1 else [])])


def write_comparison(paths: Sequence[Path], results: Mapping[str, Result]) -> None:
    """The headlines for readers (`.md`, `.tex`), every metric for programs (`.csv`, `.json`)."""
    for path in paths:
        only = HEADLINES if path.suffix.lower() in (".md", ".tex") else ()
        write_tables([path], comparison(results, only=only))


def variants(results: Mapping[str, Result]) -> list[list[str]]:
    """For every metric: name, unit, region, and which of its many conventions it follows."""
    rows: dict[str, list[str]] = {}
    for result in results.values():
        for key, row in result["summary"].items():
            rows.setdefault(key, [key, row["unit"], row["region"], row["variant"]])
    return list(rows.values())


def frames_of(result: Result, clip: str, metric: str) -> list[float]:
    """A metric's value in every frame; NaN where there is none. Empty where it was not measured."""
    values = result["clips"].get(clip, {}).get("metrics", {}).get(metric, {}).get("frames") or []
    return [math.nan if value is None else float(value) for value in values]


def measured(result: Result, key: str, summary: str = "summary", of_clip: str = "metrics") -> Cell:
    """A metric's number with its interval over clips, or why there is none; of the recording with "truth" twice."""
    row = result[summary][key]
    if row["status"] == "inf":
        return Cell(math.inf)
    clips = {name: clip[of_clip][key] for name, clip in result["clips"].items() if key in clip[of_clip]}
    about = result["details"].get(key, {})
    if row["status"] != "ok":
        reason = _reason(clips, row["status"]) if clips else about.get("reason", "no reason is given")
        return Cell(None, reason=f"{row['status']}: {reason}")
    caution = (about.get("caution") or "") if summary == "summary" else ""
    if about.get("per") == "set" or not clips:  # a number of all frames together is no mean over clips
        return Cell(row["value"], reason=caution and f"{key} {caution}")
    return Cell(row["value"], bootstrap([clip["value"] for clip in clips.values() if clip.get("value") is not None]))


def _reason(clips: Mapping[str, Mapping[str, Any]], status: str) -> str:
    """Why there is no number: once where all clips say the same, else the first clip's with its name."""
    reasons = {name: clip.get("reason", "") for name, clip in clips.items() if clip.get("status") == status}
    if not reasons:
        return "no reason is given"
    name, reason = next(iter(reasons.items()))
    return reason if set(reasons.values()) == {reason} and len(reasons) == len(clips) else f"{name}: {reason}"


def plural(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
