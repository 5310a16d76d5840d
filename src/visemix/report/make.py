"""`visemix report`: runs beside what was recorded and what the papers print, as one page that opens anywhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from visemix import __version__
from visemix.face.track import Tracker
from visemix.heldout import FOLDER, SCORES, evaluate_run, is_run, read_config
from visemix.report.charts import Points, chart, scatter
from visemix.report.embedding import tsne
from visemix.report.formats import check_files, html, write_text
from visemix.report.looks import HOTTEST, Look, evenly, heat, look, mouths, openings, strip
from visemix.report.page import heading, page, paragraph, picture
from visemix.report.page import table as plain_table
from visemix.report.player import SCRIPT, player
from visemix.report.quoted import DETAILS
from visemix.report.results import (
    HEADLINES,
    RECORDED,
    Result,
    check_together,
    comparison,
    frames_of,
    read_result,
    variants,
    write_comparison,
)
from visemix.report.tables import Table
from visemix.scoring import make_tracker
from visemix.types import VisemixError

log = logging.getLogger(__name__)

EMBEDDED = 600  # points that t-SNE is given, all methods together
FRAMEWISE = {"psnr": "PSNR (dB)", "psnr_face": "PSNR over the face (dB)"}


@dataclass(frozen=True)
class Method:
    """One of the things compared: its name on the page, its scores, and what it is."""

    name: str
    result: Result
    about: str


def report(
    sources: Sequence[str],
    out: str | Path,
    *,
    tables: Sequence[Path] = (),
    clips: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Write the page about runs (evaluated first where they were not yet) or evaluations, and answer its path.

    Args:
        sources: each a run folder, or the JSON that `visemix evaluate --out` wrote, perhaps as `name=path`.
        tables: files to write the scores to as well: the page's table as `.md` or `.tex`, every metric as `.csv` or
            `.json`.
        clips: where the runs' clips are now, if not where they were in training.

    Raises:
        VisemixError: `out` exists, an unreadable source, or methods scored against different recordings.
    """
    out = Path(out)
    if out.exists() and not overwrite:
        raise VisemixError(f"{out} exists and is kept; choose another --out or pass --overwrite")
    check_files(tables, overwrite)
    methods = [method(name, path, clips, progress) for name, path in named(sources)]
    results = {one.name: one.result for one in methods}
    check_together(results)
    table = comparison(results, only=HEADLINES)
    write_text(out, page("Visemix report", blocks(methods, table, progress), script=SCRIPT))
    write_comparison(tables, results)
    return out


def named(sources: Sequence[str], reserved: Sequence[str] = (RECORDED,)) -> list[tuple[str, Path]]:
    """`name=path`, or a path under its own last name. Two of one name are refused, and the `reserved`.

    >>> named(["runs/mine/12ab", "other=runs/x/34cd", "c.json"])
    [('12ab', PosixPath('runs/mine/12ab')), ('other', PosixPath('runs/x/34cd')), ('c', PosixPath('c.json'))]
    """
    pairs = [source.partition("=") if "=" in source else ("", "", source) for source in sources]
    found = [(name or Path(path).stem, Path(path)) for name, _, path in pairs]
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1 or name in reserved), None)
    if twice is not None:
        path = found[names.index(twice)][1]
        raise VisemixError(f"'{twice}' names two things; give each a name of its own, as in mine={path}")
    return found


def method(name: str, path: Path, clips: str | Path | None = None, progress: bool = False) -> Method:
    """A run's held-out scores, or those in a file."""
    if is_run(path):
        cfg = read_config(path)
        scores = path / FOLDER / SCORES
        result = read_result(scores) if scores.is_file() else evaluate_run(path, clips=clips, progress=progress)
        parts = f"{cfg.audio.name} → {cfg.motion.name} → {cfg.render.name}, face model {cfg.face.name}"
        return Method(name, result, f"{cfg.name} ({path.name}): {parts}; trained: {', '.join(cfg.fit)}")
    if path.is_dir():
        raise VisemixError(f"{path} is no run folder (it has no config.yaml); give one, or an evaluation's JSON")
    return Method(name, read_result(path), f"evaluation {path.name}")


def blocks(methods: Sequence[Method], table: Table, progress: bool) -> Iterator[str]:
    """The page, piece by piece."""
    results = {one.name: one.result for one in methods}
    yield paragraph(
        f"{_listed(results)} beside what was recorded, on the same clips and by the same code, and the papers' own "
        "tables for orientation."
    )
    yield heading("Scores")
    yield html(table)
    keys = [column.key for column in table.columns]
    groups = [group for quoted in DETAILS if (group := quoted.group(keys)) is not None]
    if groups:
        used = {key for group in groups for line in group.rows for key in line.cells}
        more = Table("", [column for column in table.columns if column.key in used], groups)
        yield f"<details><summary>More of the papers' tables</summary>{html(more)}</details>"
    seen: dict[str, list[np.ndarray]] = {}
    track, reason = make_tracker()
    everything = {clip: None for result in results.values() for clip in result["clips"]}
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        for clip in bar.track(everything, description="report"):
            yield from clip_blocks(clip, results, track, seen)
    yield from cloud(seen, reason)
    yield heading("Every metric")
    yield html(comparison(results, quoted=()), metrics_down=True)
    yield "<details><summary>How each was measured</summary>"
    yield plain_table(["metric", "unit", "region", "convention"], variants(results)) + "</details>"
    yield heading("What was compared")
    yield plain_table(["name", ""], [[one.name, one.about] for one in methods])
    for name, result in results.items():
        said = [*result.get("notes", []), *(f"{c}: {n}" for c, a in result["clips"].items() for n in a["notes"])]
        yield from (paragraph(f"{name}: {words}", note=True) for words in said)
    yield paragraph(f"visemix {__version__}", note=True)


def clip_blocks(
    clip: str, results: Mapping[str, Result], track: Tracker | None, seen: dict[str, list[np.ndarray]]
) -> Iterator[str]:
    """One recording and what every method made of it."""
    there = {name: result for name, result in results.items() if clip in result["clips"]}
    about = next(iter(there.values()))["clips"][clip]
    videos = {RECORDED: Path(about["real"])} | {n: Path(r["clips"][clip]["fake"]) for n, r in there.items()}
    gone = next((path for path in videos.values() if not path.is_file()), None)
    if gone is not None:
        raise VisemixError(f"{gone}, which was scored, is gone; evaluate it again")
    frames = min(result["clips"][clip]["frames"] for result in there.values())
    looks = look(videos, frames, track)
    yield f'<section id="{_anchor(clip)}">{heading(clip)}{player(videos)}'
    yield from curves(looks, there, clip, about["fps"])
    yield "</section><h3>Frames, evenly spread over time</h3>"
    for name, found in looks.items():
        yield picture(strip(found.sheet), name)
    yield "<h3>Where the pictures differ</h3>"
    yield paragraph(
        f"Mean absolute difference to the recording: black is none, pale yellow {HOTTEST:g} of 255 levels or more. "
        "First over all frames, then in the frames above.",
        note=True,
    )
    for name, found in looks.items():
        if found.mean_error is not None and found.errors is not None:
            yield picture(strip(heat(np.concatenate([found.mean_error[None], found.errors]))), name)
        if found.landmarks is not None:
            seen.setdefault(name, []).append(mouths(found.landmarks))


def curves(looks: Mapping[str, Look], there: Mapping[str, Result], clip: str, fps: float) -> Iterator[str]:
    """How far the mouth opens, how near the pictures are, and how sound and lips lie in time."""

    def over_time(values: Sequence[float] | np.ndarray) -> Points:
        return [(k / fps, float(value)) for k, value in enumerate(values)]

    opened = {n: over_time(openings(found.landmarks)) for n, found in looks.items() if found.landmarks is not None}
    yield from _drawn(opened, "seconds", "mouth opening (% of eye distance)", clock=True)
    for metric, words in FRAMEWISE.items():
        values = {RECORDED: []} | {name: over_time(frames_of(r, clip, metric)) for name, r in there.items()}
        yield from _drawn(values, "seconds", words, clock=True)


def cloud(seen: Mapping[str, list[np.ndarray]], reason: str) -> Iterator[str]:
    """Mouth shapes of all clips in two dimensions: do the generated ones lie where the recorded ones do?"""
    yield heading("Mouth shapes")
    shapes = {name: evenly(np.concatenate(rows), EMBEDDED // len(seen)) for name, rows in seen.items()}
    points = np.concatenate(list(shapes.values())) if shapes else np.zeros((0, 2))
    if len(points) < 4:
        yield paragraph(f"No mouths to compare: {reason or 'no face was found'}.", note=True)
        return
    at = np.split(tsne(points), np.cumsum([len(rows) for rows in shapes.values()])[:-1])
    clouds = {name: [(float(x), float(y)) for x, y in rows] for name, rows in zip(shapes, at, strict=True)}
    yield scatter(clouds, "t-SNE of mouth shapes")
    yield paragraph(
        "t-SNE of the 20 mouth landmarks, free of place and size, a dot a frame (as in Fig. 10 of GeneFace, there over "
        "3D landmarks). Dots that lie among the recorded ones are mouths this speaker makes; distances between islands "
        "mean nothing.",
        note=True,
    )


def _drawn(curves: Mapping[str, Points], across: str, up: str, *, clock: bool = False) -> Iterator[str]:
    """The chart, where there is anything to draw."""
    if any(np.isfinite(y) for curve in curves.values() for _, y in curve):
        yield f"<figure>{chart(curves, across, up, clock=clock)}</figure>"


def _listed(names: Mapping[str, object]) -> str:
    words = list(names)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _anchor(clip: str) -> str:
    return "clip-" + "".join(sign if sign.isalnum() else "-" for sign in clip)
