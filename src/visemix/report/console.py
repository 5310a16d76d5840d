"""An evaluation on the console."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from visemix.evaluation.result import Mean, Result
from visemix.metrics import METRICS
from visemix.metrics.shown import direction
from visemix.report.tables import superscript
from visemix.terminal import printable


def table(result: Result) -> Table:
    """The means; below them why numbers are missing, and what was left out."""
    names, several = list(result.clips), len(result.clips) > 1
    view = Table(title=Text(f"{len(names)} clips" if several else printable(names[0])), title_justify="left")
    for column in ("metric", "value", *(["95 %"] if several else []), "real", "unit", "better", "region"):
        numbers = column in ("value", "95 %", "real")
        view.add_column(column, justify="right" if numbers else "left", no_wrap=column == "metric")
    reasons: list[str] = []
    unranked = METRICS.diagnostics()
    for name, row in result.summary.items():
        details = result.details[name]
        caution = f"{name} {details.caution}" if details.caution else ""
        value = _cell(row, details.reason or caution, reasons)
        over = ["{:.4g} – {:.4g}".format(*details.interval) if details.interval else ""] if several else []
        real = _cell(result.truth[name], details.truth_reason, reasons)
        better = "" if name in unranked else direction(details.higher_is_better, details.ideal)
        cells = (name, value, *over, real, row.unit, better, row.region)
        view.add_row(*(Text(printable(cell)) for cell in cells))
    footnotes = [f"{superscript(k)} {reason}" for k, reason in enumerate(reasons, 1)]
    notes = [f"{name}: {note}" for name, clip in result.clips.items() for note in clip.notes]
    view.caption = Text("\n".join(map(printable, [*footnotes, *result.notes, *notes]))) or None
    view.caption_justify = "left"
    return view


def _cell(row: Mean, reason: str, reasons: list[str]) -> str:
    """The number, or why there is none as a footnote; `reasons` has those before, and takes in this one."""
    if row.status == "inf":
        return "inf"
    words = f"{round(row.value, 4) + 0.0:.4f}" if row.value is not None else "n/a"  # and never −0.0000
    if not reason:
        return words
    said = reason if row.status == "ok" else f"{row.status}: {reason}"
    if said not in reasons:
        reasons.append(said)
    return words + superscript(reasons.index(said) + 1)
