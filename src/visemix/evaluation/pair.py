"""One fake video beside its real one, and the real one beside itself: every metric, by the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from visemix.data.clips import ClipFolder
from visemix.data.media import VideoReader
from visemix.data.sound import read_sound
from visemix.evaluation.pairing import PREPARED, Pair, pictures
from visemix.face import FACE
from visemix.metrics import FrameBatch, Suite, VideoSequence
from visemix.metrics.suite import Score
from visemix.ops.device import limit_threads
from visemix.ops.names import within_limit
from visemix.ops.store import read_tensors, sha256
from visemix.prepare.lipsync import frames as words
from visemix.prepare.track import TRACKER, Tracker, tracks_of
from visemix.types import FPS, SAMPLES_PER_FRAME, Space, VisemixError

# Each frame by itself: no score depends on the frames before. A face that comes back is the same one, however late.
TRACKING: dict[str, Any] = {"name": "mediapipe", "mode": "static", "bridge": 1_000_000}
# beside a video that a run made: the 68 points of its motion; `source`, `lag` as in `VideoSequence`
FIT = ".fit.safetensors"
UNTIMED = "the recording's lag is not known; give the clip that `visemix prepare` writes"
UNFITTED = "3D landmarks need a face fitted in both videos by one model; give the clips that `visemix prepare` writes"


@dataclass(frozen=True)
class Outcome:
    """Scores of one pair of videos, its notes, and the states of the metrics."""

    pair: Pair
    frames: int
    notes: list[str]
    made: dict[str, Score]
    truth: dict[str, Score]  # the real video in the fake's place
    states: dict[str, dict[str, Any]]  # what the metrics remember of the fake


def score_pair(pair: Pair, metrics: Sequence[dict[str, Any]], tick: Callable[[], None] = lambda: None) -> Outcome:
    """Decode both videos side by side and measure; `tick` is called once for each picture decoded."""
    made, truth = Suite(metrics), Suite(metrics)
    notes = list(pair.notes)
    readers = {"real": VideoReader(pair.real), "fake": VideoReader(pair.fake)}
    views = [partial(pictures, reader, pair.width, pair.height) for reader in readers.values()]
    without: dict[str, str] = {"fit": UNFITTED, "lag": UNTIMED}
    points: dict[Path, Tensor | None] = {pair.real: None, pair.fake: None}
    if "landmarks" in made.needs:
        tracker, without["landmarks"] = make_tracker()
        for (side, reader), view in zip(readers.items(), views, strict=True):
            if tracker is not None:
                points[reader.path], said = landmarks(tracker, view(), tick)
                notes += [f"{side}: {note}" for note in said]
    counts = {"real": 0, "fake": 0}
    with limit_threads(2), ThreadPoolExecutor(1) as other_core:
        for t, (one, other) in enumerate(zip_longest(*(view() for view in views))):
            counts["real"] += one is not None
            counts["fake"] += other is not None
            if one is not None and other is not None:
                real, fake = _view(one, points[pair.real], t), _view(other, points[pair.fake], t)
                same = other_core.submit(truth.update, real, real)
                made.update(fake, real)
                same.result()
                tick()
    frames = min(counts.values())
    notes += [f"{side}: {note}" for side, reader in readers.items() for note in reader.notes]
    if counts["real"] != counts["fake"]:
        notes.append(f"real has {counts['real']} frames and fake {counts['fake']}; the first {frames} are compared")
    sequences = {path: read_sequence(path, frames, points[path], made.needs, without) for path in points}
    recorded, fake_take = sequences[pair.real], sequences[pair.fake]
    if recorded.lag and "lag" in made.needs:
        notes.append(f"the real one's sound is {words(recorded.lag)}; scores that end in @lag take that out")
    return Outcome(
        pair,
        frames,
        notes,
        made.finish_clip(with_known_lag(fake_take, recorded), recorded, without),
        truth.finish_clip(recorded, recorded, without),
        {name: metric.metric_state for name, metric in made.metrics.items()},
    )


def with_known_lag(fake: VideoSequence, real: VideoSequence) -> VideoSequence:
    """The fake with its lag: 0, as it was made from its sound, unless it is the recording itself, or has its motion."""
    return replace(fake, lag=fake.lag if fake.lag is not None and fake.source == real.source else 0)


def make_tracker() -> tuple[Tracker | None, str]:
    """A tracker, or None and why there is none."""
    try:
        tracker = TRACKER.build(TRACKING)
        tracker([np.zeros((64, 64, 3), np.uint8)])
    except VisemixError as error:
        return None, str(error)
    return tracker, ""


def _view(picture: np.ndarray, points: Tensor | None, t: int) -> FrameBatch:
    frames = torch.from_numpy(picture).permute(2, 0, 1).unsqueeze(0)
    return FrameBatch(frames, None if points is None else points[t : t + 1])


def landmarks(
    tracker: Tracker, frames: Iterable[UInt8[np.ndarray, "H W 3"]], tick: Callable[[], None] = lambda: None
) -> tuple[Float[Tensor, "T 68 2"], list[str]]:
    """The largest face's landmarks, NaN in frames where it was not seen."""
    count = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal count
        for count, picture in enumerate(frames, 1):  # noqa: B007
            tick()
            yield picture

    tracks = tracks_of(tracker, counted())
    points = torch.full((count, 68, 2), torch.nan)
    if tracks:
        track = tracks[0]
        found = torch.from_numpy(track.landmarks).float()
        found[~torch.from_numpy(track.present)] = torch.nan
        points[track.start : track.stop] = found
    lost = int(points.isnan().flatten(1).any(1).sum())
    said = [f"{len(tracks)} faces, the largest is scored"] if len(tracks) > 1 else []
    return points, said + ([f"no face in {lost} of {count} frames"] if lost else [])


def read_sequence(
    path: Path, frames: int, points: Tensor | None, needs: frozenset[str], without: dict[str, str]
) -> VideoSequence:
    """The whole video as far as it is compared. Why something could not be had goes into `without`."""
    clip = ClipFolder(path.parent) if (path.parent / PREPARED[0]).is_file() and path.name == PREPARED[1] else None
    sound = None
    if "sound" in needs:
        try:
            sound = _sound(path, clip, frames)
        except VisemixError as error:
            without["sound"] = str(error)
    seen = None if points is None else points[:frames]
    if clip is None:
        fit, source, lag = _beside(path, frames)
        return VideoSequence(
            float(FPS), seen, sound, fit if "fit" in needs else None, partial(_first, path, frames), source, lag
        )
    fit = None
    if "fit" in needs:
        try:
            fit = _fit(clip, frames)
        except VisemixError as error:
            without["fit"] = str(error)
    source = str((clip.meta.get("source") or {}).get("sha256", ""))
    lag = clip.lag if clip.lag_known else None
    return VideoSequence(float(FPS), seen, sound, fit, partial(_first, path, frames), source, lag)


def fit_file(video: Path) -> Path:
    """Where a run writes what it knows of a video that it made."""
    return video.with_name(within_limit(video.stem, FIT))


def _beside(path: Path, frames: int) -> tuple[Float[Tensor, "T 68 3"] | None, str, int | None]:
    """What a run wrote beside a video that it made: its motion's 68 points, the recording's sha256, its lag."""
    file = fit_file(path)
    tensors, notes = read_tensors(file) if file.is_file() else ({}, {})
    fit = tensors["fit"][:frames] if tensors else None
    return fit, str(notes.get("source") or sha256(path)), notes.get("lag")


def _first(path: Path, frames: int) -> Iterator[np.ndarray]:
    yield from islice(pictures(VideoReader(path)), frames)


def _sound(path: Path, clip: ClipFolder | None, frames: int) -> Float[Tensor, " S"]:
    """The sound, no longer than the frames."""
    if clip is not None and clip.audio == "none":
        raise VisemixError(f"{clip.path} has no sound; prepare it from a video that has")
    wave = read_sound(path) if clip is None else clip.speech().wave[0]
    return wave[: frames * SAMPLES_PER_FRAME]


def _fit(clip: ClipFolder, frames: int) -> Float[Tensor, "T 68 3"]:
    face = FACE.build({"name": clip.meta["face"]["name"]})
    window = ClipFolder(clip.path, face).clip(range(min(frames, clip.frames)), footage=False)
    offsets = face.convert(window.motion, Space.LANDMARKS, window.subject).values
    return offsets[0].unflatten(-1, (68, 3))
