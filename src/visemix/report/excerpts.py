"""One pass over a clip's videos for everything that is looked at: frames, errors, mouths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from visemix.data.media import VideoReader
from visemix.evaluation.pair import landmarks, read_sequence
from visemix.evaluation.pairing import pictures
from visemix.metrics import FrameBatch, VideoSequence
from visemix.metrics.articulation import mouth_opening
from visemix.metrics.landmarks import eye_distance
from visemix.metrics.region import MOUTH, crop, mouth_box
from visemix.prepare.track import Tracker

COLUMNS = 6  # frames on a contact sheet
MARGIN = 0.35  # around a mouth, of its longer side
HOTTEST = 64.0  # of 255: mean absolute difference that is drawn in the brightest colour
# Black, violet, red, orange, pale yellow: lightness grows evenly, so it also reads in grey.
HEAT = np.array([[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]], float)


@dataclass(frozen=True)
class VideoExcerpt:
    """What one video of a clip shows."""

    sheet: UInt8[np.ndarray, "k H W 3"]  # frames evenly spread over time
    errors: Float[np.ndarray, "k H W"] | None  # mean absolute difference to the recording in these frames
    mean_error: Float[np.ndarray, "H W"] | None  # and over all frames
    sequence: VideoSequence  # landmarks and sound, where they could be had


def excerpt_videos(videos: Mapping[str, Path], frames: int, track: Tracker | None) -> dict[str, VideoExcerpt]:
    """The first `frames` frames of a recording (the first of `videos`) and of what was generated for it, streamed."""
    (recorded, real), *others = videos.items()
    readers = {name: VideoReader(path) for name, path in videos.items()}
    size = min(reader.width for reader in readers.values()), min(reader.height for reader in readers.values())
    view = {name: partial(pictures, reader, *size) for name, reader in readers.items()}
    places = set(np.linspace(0, frames - 1, COLUMNS + 2)[1:-1].round().astype(int).tolist())
    sheet = [picture for k, picture in enumerate(islice(view[recorded](), frames)) if k in places]
    excerpts = {recorded: VideoExcerpt(np.stack(sheet), None, None, _read_sequence(real, frames, track))}
    for name, fake in others:
        sheet, errors, total, count = [], [], np.zeros(sheet[0].shape[:2]), 0
        for k, (one, other) in enumerate(islice(zip(view[name](), view[recorded](), strict=False), frames)):
            apart = difference(one, other)
            total, count = total + apart, count + 1
            if k in places:
                sheet.append(one)
                errors.append(apart)
        sequence = _read_sequence(fake, frames, track)
        excerpts[name] = VideoExcerpt(np.stack(sheet), np.stack(errors), total / count, sequence)
    return excerpts


def difference(one: UInt8[np.ndarray, "H W 3"], other: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Mean over the colours of how far two pictures are apart, in levels of 255."""
    return np.abs(one.astype(np.int16) - other).mean(2)


def heat(values: Float[np.ndarray, "*n"], hottest: float = HOTTEST) -> UInt8[np.ndarray, "*n 3"]:
    """Values from 0 to `hottest` as colours from black to pale yellow.

    >>> heat(np.array([0.0, 64.0, 200.0])).tolist()
    [[0, 0, 4], [252, 255, 164], [252, 255, 164]]
    """
    at = np.clip(np.asarray(values, float) / hottest, 0, 1)
    stops = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(at, stops, HEAT[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def strip(frames: UInt8[np.ndarray, "k H W 3"]) -> UInt8[np.ndarray, "H L 3"]:
    """Frames side by side."""
    return np.concatenate(list(frames), 1)


def mouth_strip(frames: UInt8[np.ndarray, "k H W 3"], recorded: VideoSequence) -> UInt8[np.ndarray, "h L 3"] | None:
    """The mouths of some frames side by side, cut to the box that holds the recorded mouth all along."""
    if recorded.landmarks is None or recorded.landmarks.isnan().all():
        return None
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    box = mouth_box(recorded.landmarks, MARGIN, *pictures.shape[-2:])
    return strip(crop(FrameBatch(pictures), box).frames.permute(0, 2, 3, 1).numpy())


def openings(sequence: VideoSequence) -> Float[np.ndarray, " T"]:
    """How far the lips are apart, in per cent of the distance between the outer eye corners; empty where unknown."""
    return np.empty(0) if sequence.landmarks is None else 100 * mouth_opening(sequence.landmarks.double()).numpy()


def mouths(sequence: VideoSequence) -> Float[np.ndarray, "n 40"]:
    """Shapes of the mouth, free of place and size, of the frames in which one was found."""
    if sequence.landmarks is None:
        return np.empty((0, 40))
    found = sequence.landmarks[~sequence.landmarks.isnan().flatten(1).any(1)].double()
    points = found[:, MOUTH]
    centred = points - points.mean(1, keepdim=True)
    return (centred / eye_distance(found)[:, None, None]).flatten(1).numpy()


def evenly(rows: Float[np.ndarray, "n D"], count: int) -> Float[np.ndarray, "m D"]:
    """At most `count` of them, evenly spread."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def _read_sequence(path: Path, frames: int, track: Tracker | None) -> VideoSequence:
    points = None if track is None else landmarks(track, pictures(VideoReader(path)))[0]
    return read_sequence(path, frames, points, frozenset({"sound"}), {})
