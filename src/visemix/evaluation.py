"""Scores of fake videos beside their real ones, as a dict, a JSON file and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from visemix.data.pairs import Pair, find_pairs, rgb_frames
from visemix.face.track import TRACKER, Tracker
from visemix.metrics import View
from visemix.metrics.suite import Score, Suite, over_clips
from visemix.types import VisemixError

PACKAGES = ("visemix", "torch", "numpy", "av", "mediapipe")
TRACKING = {"name": "mediapipe", "mode": "static"}  # each frame by itself: no score depends on the frames before


def evaluate(
    real: str | Path,
    fake: str | Path,
    metrics: Sequence[str] | None = None,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Every metric (or those named) of `fake` beside `real`: two videos, or two folders paired by name.

    Either side may be a video file, a folder of them, a prepared clip or a folder of those. Pictures are compared as
    recorded, decoded alike, never resized; the longer of a pair is cut to the shorter, and `notes` says so. Frames are
    streamed, so memory does not grow with length. Landmarks come from mediapipe, frame by frame, in both videos.

    Returns (and writes to `out` as JSON, where given):
        `summary.<metric>` = value, status, unit, variant, region. Plain mean over clips of the mean over their frames.
            `value` is None unless `status` is `ok`; else it is `inf` (PSNR of equal pictures), `invalid` (a face is
            missing in more than 5 % of a clip's frames) or `unavailable` (no mediapipe).
        `details.<metric>` = reason, higher_is_better, `pooled` (every frame weighs alike), frames (scored).
        `clips.<name>` = real, fake, frames, fps, size, notes, and `metrics.<metric>` = value, status, reason, frames:
            a number per frame, null where no face was found, the string "inf" where pictures are equal.

    Raises:
        VisemixError: an unknown metric, no pairs, unequal sizes or rates, a damaged file, or `out` exists.
    """
    suite = Suite(metrics)
    if out is not None and Path(out).exists() and not overwrite:
        raise VisemixError(f"{out} exists and is kept; choose another name or pass --overwrite")
    pairs, notes = find_pairs(real, fake)
    tracker, unavailable = _tracker() if suite.needs_landmarks else (None, "")
    clips, scores = {}, {}
    steps = sum(min(pair.frames) + (sum(pair.frames) if tracker else 0) for pair in pairs)
    with Progress(console=Console(stderr=True), transient=True, disable=not progress) as bar:
        task = bar.add_task("evaluate", total=steps)
        for pair in pairs:
            bar.update(task, description=pair.name)
            frames, said = _score_pair(suite, pair, tracker, lambda: bar.advance(task))
            scores[pair.name] = suite.finish_clip(unavailable)
            clips[pair.name] = _clip(pair, frames, said, scores[pair.name])
    sizes = {(pair.width, pair.height) for pair in pairs}
    report = {
        "summary": {name: _summary(suite, name, scores, sizes) for name in suite.metrics},
        "details": {name: _details(suite, name, scores) for name in suite.metrics},
        "clips": clips,
        "notes": notes,
        "versions": {package: _version(package) for package in PACKAGES},
    }
    if out is not None:
        _write(Path(out), report)
    return report


def table(report: dict[str, Any]) -> Table:
    """The summary for the console, with the reason where a number is missing, and what was left out below."""
    names = list(report["clips"])
    view = Table(title=names[0] if len(names) == 1 else f"{len(names)} clips", title_justify="left")
    for column in ("metric", "value", "unit", "better", "region", ""):
        view.add_column(column, justify="right" if column == "value" else "left")
    for name, row in report["summary"].items():
        details = report["details"][name]
        value = f"{row['value']:.4f}" if row["status"] == "ok" else {"inf": "inf"}.get(row["status"], "—")
        better = "higher" if details["higher_is_better"] else "lower"
        reason = "" if row["status"] == "ok" else f"{row['status']}: {details['reason']}"
        view.add_row(name, value, row["unit"], better, row["region"], reason)
    notes = [f"{name}: {note}" for name, clip in report["clips"].items() for note in clip["notes"]]
    view.caption = "\n".join([*report["notes"], *notes]) or None
    view.caption_justify = "left"
    return view


def _score_pair(suite: Suite, pair: Pair, tracker: Tracker | None, tick: Callable[[], None]) -> tuple[int, list[str]]:
    notes: list[str] = []
    seen: dict[str, Tensor] = {}
    if tracker is not None:
        for side, path in (("real", pair.real), ("fake", pair.fake)):
            seen[side], said = _landmarks(tracker, path, tick)
            notes += [f"{side}: {note}" for note in said]
    counts = {"real": 0, "fake": 0}
    for t, (real, fake) in enumerate(zip_longest(rgb_frames(pair.real), rgb_frames(pair.fake))):
        counts["real"] += real is not None
        counts["fake"] += fake is not None
        if real is not None and fake is not None:
            suite.update(_view(fake, seen.get("fake"), t), _view(real, seen.get("real"), t))
            tick()
    frames = min(counts.values())
    if not frames:
        empty = pair.real if not counts["real"] else pair.fake
        raise VisemixError(f"{empty} holds no picture that can be decoded; make it again, or leave it out")
    if counts["real"] != counts["fake"]:
        notes.append(f"real has {counts['real']} frames and fake {counts['fake']}; the first {frames} are compared")
    return frames, notes


def _view(picture: np.ndarray, landmarks: Tensor | None, t: int) -> View:
    frames = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
    return View(frames, None if landmarks is None else landmarks[t : t + 1])


def _tracker() -> tuple[Tracker | None, str]:
    try:
        tracker = TRACKER.build(TRACKING)
        tracker([np.zeros((64, 64, 3), np.uint8)])
    except VisemixError as error:
        return None, str(error)
    return tracker, ""


def _landmarks(tracker: Tracker, path: Path, tick: Callable[[], None]) -> tuple[Float[Tensor, "T 68 2"], list[str]]:
    """The largest face's landmarks, NaN in frames where it was not seen."""
    count = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal count
        for picture in rgb_frames(path):
            count += 1
            tick()
            yield picture

    tracks = tracker(pictures())
    points = torch.full((count, 68, 2), torch.nan)
    if tracks:
        track = tracks[0]
        found = torch.from_numpy(track.landmarks).float()
        found[~torch.from_numpy(track.present)] = torch.nan
        points[track.start : track.stop] = found
    return points, [f"{len(tracks)} faces, the largest is scored"] if len(tracks) > 1 else []


def _summary(
    suite: Suite, name: str, scores: dict[str, dict[str, Score]], sizes: set[tuple[int, int]]
) -> dict[str, Any]:
    metric, score = suite.metrics[name], over_clips({clip: of[name] for clip, of in scores.items()})
    variant = metric.variant
    if metric.needs_landmarks:
        variant += f"; {TRACKING['name']} {_version(TRACKING['name'])}, {TRACKING['mode']}"
    if metric.unit == "px":
        variant += f"; pictures of {', '.join(f'{w}×{h}' for w, h in sorted(sizes))}"
    return {
        "value": score.value,
        "status": score.status,
        "unit": metric.unit,
        "variant": variant,
        "region": metric.region,
    }


def _details(suite: Suite, name: str, scores: dict[str, dict[str, Score]]) -> dict[str, Any]:
    metric = suite.metrics[name]
    return {
        "reason": over_clips({clip: of[name] for clip, of in scores.items()}).reason,
        "higher_is_better": metric.higher_is_better,
        "pooled": suite.pooled(name),
        "frames": int(metric.scored),
    }


def _clip(pair: Pair, frames: int, notes: list[str], scores: dict[str, Score]) -> dict[str, Any]:
    return {
        "real": str(pair.real),
        "fake": str(pair.fake),
        "frames": frames,
        "fps": pair.fps,
        "size": [pair.width, pair.height],
        "notes": notes,
        "metrics": {
            name: {
                "value": score.value,
                "status": score.status,
                "reason": score.reason,
                "frames": [_plain(value) for value in score.frames],
            }
            for name, score in scores.items()
        },
    }


def _plain(value: float) -> float | str | None:
    """JSON has no infinity and no NaN."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _write(path: Path, report: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise VisemixError(f"cannot write {path}: {error.strerror}") from error
