"""Pieces of the report that show a clip: videos, curves, frames, errors; and all clips' mouths in one cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from visemix.evaluation.result import ClipScores, Result
from visemix.metrics import METRICS
from visemix.metrics.suite import Score
from visemix.ops.tsne import tsne
from visemix.prepare.track import Tracker
from visemix.report.charts import Points, chart, scatter
from visemix.report.excerpts import (
    HOTTEST,
    VideoExcerpt,
    evenly,
    excerpt_videos,
    heat,
    mouth_strip,
    mouths,
    openings,
    strip,
)
from visemix.report.page import heading, paragraph, picture
from visemix.report.player import player
from visemix.report.results import RECORDED
from visemix.types import FPS, VisemixError

EMBEDDED = 600  # points that t-SNE is given, all methods together
ABSENT = Score(None, "unavailable")


def clip_section(
    clip: str, results: Mapping[str, Result], track: Tracker | None, seen: dict[str, list[np.ndarray]]
) -> Iterator[str]:
    """HTML pieces about one recording and what every method made of it.

    Raises:
        VisemixError: a video that was scored is gone.
    """
    there = {name: result.clips[clip] for name, result in results.items() if clip in result.clips}
    first = next(iter(there.values()))
    videos = {RECORDED: first.real} | {name: scored.fake for name, scored in there.items()}
    gone = next((path for path in videos.values() if not path.is_file()), None)
    if gone is not None:
        raise VisemixError(f"{gone}, which was scored, is gone; evaluate it again")
    excerpts = excerpt_videos(videos, min(scored.frames for scored in there.values()), track)
    yield f"<section>{heading(clip, name=anchor(clip))}{player(videos)}"
    yield from curves(excerpts, there)
    yield "</section>"
    yield from lags(there)
    yield "<h3>Frames, evenly spread over time</h3>"
    yield from frames(excerpts)
    yield "<h3>Where the pictures differ</h3>"
    yield from differences(excerpts)
    for name, found in excerpts.items():
        seen.setdefault(name, []).append(mouths(found.sequence))


def frames(excerpts: Mapping[str, VideoExcerpt]) -> Iterator[str]:
    """A strip of frames of each video, then of its mouths."""
    for name, found in excerpts.items():
        yield picture(strip(found.sheet), name)
    for name, found in excerpts.items():
        cut = mouth_strip(found.sheet, excerpts[RECORDED].sequence)
        if cut is not None:
            yield picture(cut, f"{name}, mouth")


def differences(excerpts: Mapping[str, VideoExcerpt]) -> Iterator[str]:
    """How far each video is from the recording, in colours."""
    ramp = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in heat(np.linspace(0, HOTTEST, 9)).tolist())
    yield (
        '<p class="note">Mean absolute difference to the recording, first over all frames, then in the frames above. '
        f'<span class="scale">0 <i class="ramp" style="background: linear-gradient(90deg, {ramp})"></i> '
        f"{HOTTEST:g} of 255 levels or more</span></p>"
    )
    for name, found in excerpts.items():
        if found.mean_error is not None and found.errors is not None:
            yield picture(strip(heat(np.concatenate([found.mean_error[None], found.errors]))), f"{name}, difference")


def curves(excerpts: Mapping[str, VideoExcerpt], there: Mapping[str, ClipScores]) -> Iterator[str]:
    """How far the mouth opens, how near the pictures are, and how sound and lips lie in time."""

    def over_time(values: Sequence[float] | np.ndarray, fps: float = FPS) -> Points:
        return [(k / fps, float(value)) for k, value in enumerate(values)]

    opened = {name: over_time(openings(found.sequence)) for name, found in excerpts.items()}
    yield from _drawn(opened, "seconds", "mouth opening (% of eye distance)", clock=True)
    for key, metric in METRICS.known().items():
        if metric.shown.over_time:
            values: dict[str, Points] = {RECORDED: []}
            values |= {
                name: over_time(scored.metrics.get(key, ABSENT).frames, scored.fps) for name, scored in there.items()
            }
            yield from _drawn(values, "seconds", metric.shown.over_time, clock=True)


def lags(there: Mapping[str, ClipScores]) -> Iterator[str]:
    """How well sound and mouth agree when the sound is moved: where the curve is best is the offset."""
    first = next(iter(there.values()))
    reasons: dict[str, list[str]] = {}
    for key, metric in METRICS.known().items():
        if not metric.shown.over_lags:
            continue
        found = {RECORDED: first.truth.get(key, ABSENT)}
        found |= {name: scored.metrics.get(key, ABSENT) for name, scored in there.items()}
        curves = {name: _by_offset(score.lags) for name, score in found.items()}
        yield from _drawn(curves, "offset (frames; above 0 the sound is early)", metric.shown.over_lags)
        if any(curves.values()):
            yield paragraph(metric.shown.reading, note=True)
        for name, score in found.items():
            if not curves[name] and score.status == "invalid":
                reasons.setdefault(score.reason, []).append(name)
    for reason, names in reasons.items():
        yield paragraph(f"No offset curve of {', '.join(dict.fromkeys(names))}: {reason}.", note=True)


def _by_offset(values: Sequence[float]) -> Points:
    reach = len(values) // 2
    return [(k - reach, value) for k, value in enumerate(values)]


def cloud(seen: Mapping[str, list[np.ndarray]], reason: str) -> Iterator[str]:
    """Mouth shapes of all clips in two dimensions: do the generated ones lie where the recorded ones do?"""
    yield heading("Mouth shapes", name="mouths")
    shapes = {name: evenly(np.concatenate(rows), EMBEDDED // len(seen)) for name, rows in seen.items()}
    points = np.concatenate(list(shapes.values())) if shapes else np.zeros((0, 2))
    if len(points) < 4:
        yield paragraph(f"No mouths to compare: {reason or 'no face was found'}.", note=True)
        return
    at = np.split(tsne(torch.from_numpy(points)).numpy(), np.cumsum([len(rows) for rows in shapes.values()])[:-1])
    clouds = {name: [(float(x), float(y)) for x, y in rows] for name, rows in zip(shapes, at, strict=True)}
    yield scatter(clouds, "t-SNE of mouth shapes")
    yield paragraph(
        "One t-SNE of all methods' 20 mouth landmarks, free of place and size, a dot a frame. Dots that lie among the "
        "recorded ones are mouths this speaker makes; distances between islands mean nothing. (GeneFace's Fig. 10 is "
        "another map, of what its post-net does to 3D landmarks: training draws that.)",
        note=True,
    )


def _drawn(curves: Mapping[str, Points], across: str, up: str, *, clock: bool = False) -> Iterator[str]:
    """The chart, where there is anything to draw."""
    if any(np.isfinite(y) for curve in curves.values() for _, y in curve):
        yield f"<figure>{chart(curves, across, up, clock=clock)}</figure>"


def anchor(clip: str) -> str:
    """A clip's name as the `id` of its heading."""
    return "clip-" + "".join(sign if sign.isalnum() else "-" for sign in clip)
