"""`visemix report`: runs beside what was recorded and what the papers print, as one page that opens anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from visemix import __version__
from visemix.evaluation.pair import make_tracker
from visemix.evaluation.result import Result
from visemix.metrics import METRICS
from visemix.ops.progress import Console
from visemix.ops.store import refuse_existing, write_text
from visemix.plugins import load_plugin_file
from visemix.report.formats import check_files, html
from visemix.report.page import contents, heading, page, paragraph
from visemix.report.page import table as plain_table
from visemix.report.player import SCRIPT
from visemix.report.quoted import DETAILS
from visemix.report.results import check_together, comparison, variants, write_comparison
from visemix.report.sections import anchor, clip_section, cloud
from visemix.report.sources import Method, method, named_sources
from visemix.report.tables import Table


def report(
    sources: Sequence[str],
    out: str | Path,
    *,
    tables: Sequence[Path] = (),
    clips: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    plugins: Sequence[str | Path] = (),
) -> Path:
    """Write the page about runs (evaluated first where they were not yet) or evaluations, and answer its path.

    Args:
        sources: each a run folder, or the JSON that `visemix evaluate --out` wrote, perhaps as `name=path`.
        tables: files to write the scores to as well: the page's table as `.md` or `.tex`, every metric as `.csv` or
            `.json`.
        clips: where the runs' clips are now, if not where they were in training.
        plugins: Python files that register further metrics, which say where on the page they stand.

    Raises:
        VisemixError: `out` exists, an unreadable source, or methods scored against different recordings.
    """
    out = Path(out)
    refuse_existing(out, overwrite, "another --out")
    check_files(tables, overwrite)
    for plugin in plugins:
        load_plugin_file(plugin)
    methods = [method(name, path, clips, progress, plugins) for name, path in named_sources(sources)]
    results = {one.name: one.result for one in methods}
    check_together(results)
    table = comparison(results, only=METRICS.headlines())
    write_text(out, page("Visemix report", blocks(methods, table, progress), script=SCRIPT))
    write_comparison(tables, results)
    return out


def blocks(methods: Sequence[Method], table: Table, progress: bool) -> Iterator[str]:
    """The page, piece by piece."""
    results = {one.name: one.result for one in methods}
    yield paragraph(
        f"{_listed(results)} beside what was recorded, on the same clips and by the same code, and the papers' own "
        "tables for orientation."
    )
    everything = {clip: None for result in results.values() for clip in result.clips}
    clips = {anchor(clip): clip for clip in everything}
    yield contents(
        {"scores": "Scores", **clips, "mouths": "Mouth shapes", "metrics": "Every metric", "about": "Sources"}
    )
    yield heading("Scores", name="scores")
    yield html(table)
    yield from _more(table)
    seen: dict[str, list[np.ndarray]] = {}
    track, reason = make_tracker()
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        for clip in bar.track(everything, description="report"):
            yield from clip_section(clip, results, track, seen)
    yield from cloud(seen, reason)
    yield heading("Every metric", name="metrics")
    yield html(comparison(results, quoted=()), metrics_down=True)
    yield "<details><summary>How each was measured</summary>"
    yield plain_table(["metric", "unit", "region", "convention"], variants(results)) + "</details>"
    yield heading("What was compared", name="about")
    yield plain_table(["name", ""], [[one.name, one.about] for one in methods])
    for name, result in results.items():
        yield from (paragraph(f"{name}: {words}", note=True) for words in _said(result))
    yield paragraph(f"visemix {__version__}", note=True)


def _more(table: Table) -> Iterator[str]:
    """The papers' other tables, folded away, as far as they have columns of ours."""
    keys = [column.key for column in table.columns]
    groups = [group for quoted in DETAILS if (group := quoted.group(keys)) is not None]
    if groups:
        used = {key for group in groups for line in group.rows for key in line.cells}
        more = Table("", [column for column in table.columns if column.key in used], groups)
        yield f"<details><summary>More of the papers' tables</summary>{html(more)}</details>"


def _said(result: Result) -> list[str]:
    """The notes of an evaluation, then those of its clips."""
    return [*result.notes, *(f"{clip}: {note}" for clip, scored in result.clips.items() for note in scored.notes)]


def _listed(names: Mapping[str, object]) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
