"""The page of a sweep: its table, its numbers as dots beside the paper's directions, and what each row paints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from visemix.evaluation.pair import make_tracker
from visemix.report.ablation import HEADS, TOGETHER, Rows, Verdict, summary, values, words
from visemix.report.charts import dots
from visemix.report.excerpts import HOTTEST, excerpt_videos, heat, mouth_strip, strip
from visemix.report.formats import html
from visemix.report.page import contents, heading, page, paragraph, picture
from visemix.report.page import table as plain_table
from visemix.report.player import SCRIPT, player
from visemix.report.results import RECORDED
from visemix.report.tables import Table


def sweep_page(
    table: Table,
    rows: Rows,
    found: Sequence[Verdict] = (),
    failures: Sequence[str] = (),
    departures: Sequence[str] = (),
) -> str:
    """What `sweep_table` and `verdicts` made of `rows`, and the sentences about points that failed and about what the
    first row departs in from the papers, as a page that opens anywhere. Pictures are of the first clip that the first
    row has, where its videos are still there."""
    places = {"numbers": "Numbers", "pictures": "Pictures"}
    places |= {"directions": "Directions"} if found else {}
    places |= {"papers": "Papers"} if departures else {}
    places |= {"failed": "Points that failed"} if failures else {}
    blocks = [*map(paragraph, summary(found) if found else ()), contents(places), html(replace(table, title=""))]
    blocks += [*_numbers(table, rows, found), *_pictures(rows)]
    if found:
        blocks.append(heading("Directions", name="directions"))
        blocks.append(plain_table(HEADS, map(words, found)))
    if departures:
        blocks += [heading("Papers", name="papers"), paragraph(f"The first row {departures[0]}")]
        blocks += [paragraph(line.removeprefix("- ")) for line in departures[1:]]
    if failures:
        blocks += [heading("Points that failed", name="failed"), *map(paragraph, failures)]
    return page(table.title, blocks, script=SCRIPT)


def _numbers(table: Table, rows: Rows, found: Sequence[Verdict]) -> Iterator[str]:
    """A chart for each column that has numbers."""
    yield heading("Numbers", name="numbers")
    said = "Rings are seeds, the dot is their mean, the bar ± one standard deviation, the line the first row's mean."
    arrows = f" Arrows point where the paper's number goes; the word beside them is the verdict {TOGETHER}."
    yield paragraph(said + arrows if found else said, note=True)
    charts = []
    for column in table.columns:
        measured = {row: [*filter(math.isfinite, values(of, column.key).values())] for row, of in rows.items()}
        if any(measured.values()):
            judged = {
                v.row: f"{'▸' if v.published > 0 else '◂'} {v.judgement}" for v in found if v.metric == column.key
            }
            charts.append(f"<figure>{dots(measured, column.heading, beside=judged)}</figure>")
    yield f'<div class="row charts">{"".join(charts)}</div>'


def _pictures(rows: Rows) -> Iterator[str]:
    """One clip as every row's first point made it: videos in step, frames, mouths."""
    yield heading("Pictures", name="pictures")
    first = {row: next(iter(of.values())).clips for row, of in rows.items() if of}
    clip = next(iter(next(iter(first.values()))))
    made = {row: clips[clip] for row, clips in first.items() if clip in clips and clips[clip].fake.is_file()}
    real = next((scored.real for scored in made.values() if scored.real.is_file()), None)
    if real is None:
        yield paragraph("The videos that were scored are gone.", note=True)
        return
    videos = {RECORDED: real} | {row: scored.fake for row, scored in made.items()}
    yield paragraph(
        f"{clip}, as the first seed of each row made it. The others' videos lie in the runs' folders.", note=True
    )
    yield f"<section>{player(videos)}</section>"
    yield from _excerpts(videos, min(scored.frames for scored in made.values()))


def _excerpts(videos: Mapping[str, Path], frames: int) -> Iterator[str]:
    """Frames of each video, then their mouths."""
    track, _ = make_tracker()
    recorded = excerpt_videos({RECORDED: videos[RECORDED]}, frames, track)[RECORDED]
    excerpts = excerpt_videos(videos, frames, None)
    yield paragraph(
        f"Frames, evenly spread over time; last, the mean absolute difference to the recording over all frames, from "
        f"black for none to pale yellow for {HOTTEST:g} of 255 levels.",
        note=True,
    )
    for row, seen in excerpts.items():
        apart = np.zeros(seen.sheet.shape[1:3]) if seen.mean_error is None else seen.mean_error
        yield picture(strip(np.concatenate([seen.sheet, heat(apart)[None]])), row)
    mouths = {row: mouth_strip(seen.sheet, recorded.sequence) for row, seen in excerpts.items()}
    yield from (picture(cut, f"{row}, mouth") for row, cut in mouths.items() if cut is not None)
