"""Where a face is in every frame of a video: 68 landmarks, and the dense mesh where a tracker has one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from visemix.options import Count, Natural, Share
from visemix.parts import answered
from visemix.prepare.detect import Mesh, Picture, Points, face_distance
from visemix.registry import Registry
from visemix.types import VisemixError

# iBUG-68 out of mediapipe's mesh of 478 points (GeneFace++'s list)
# fmt: off
INDEX_68 = np.array([
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,  # jaw line
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,  # brows, nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178,  # mouth
])
# fmt: on

MESH = 478  # points of mediapipe's face mesh with its irises


@dataclass(frozen=True)
class Track:
    """One face through the frames `start` … `stop − 1`. Pixels of the source picture, x right, y down; the centre of
    pixel (row i, column j) is the point (j + 0.5, i + 0.5)."""

    start: int
    present: Bool[np.ndarray, " T"]  # False where the face was not seen and its points are interpolated
    landmarks: Float[np.ndarray, "T 68 2"]  # iBUG-68
    points: Float[np.ndarray, "T P 2"] | None = None  # the tracker's own mesh (mediapipe: 478 points)

    @property
    def stop(self) -> int:
        """The frame after the last one."""
        return self.start + len(self.present)

    @property
    def area(self) -> float:
        """Mean area of the landmarks' box over the frames in which the face is seen, px²."""
        seen = self.landmarks[self.present]
        return float((seen.max(1) - seen.min(1)).prod(-1).mean())

    @property
    def weight(self) -> float:
        """How much of the video this face fills: area × frames seen. Tracks are ordered by it."""
        return self.area * int(self.present.sum())

    def between(self, start: int, stop: int) -> Track:
        """The frames `start` … `stop − 1` of it."""
        inside = slice(start - self.start, stop - self.start)
        points = None if self.points is None else self.points[inside]
        return Track(start, self.present[inside], self.landmarks[inside], points)


class Tracker(ABC):
    """Finds the faces of a video and follows each of them."""

    @abstractmethod
    def __call__(self, frames: Iterable[Picture]) -> list[Track]:
        """Every face's track, the largest first; none is an empty list. Frames are read one by one, RGB, uint8."""


def tracks_of(tracker: Tracker, frames: Iterable[Picture]) -> list[Track]:
    """What a tracker answers.

    Raises:
        VisemixError: that is no list of `Track`, or one's landmarks are not 68 points for each of its frames.
    """
    who = f"the face tracker {type(tracker).__name__}"
    tracks = [answered(f"{who}, in its list,", one, Track) for one in answered(who, tracker(frames), list)]
    for shape, wanted in ((track.landmarks.shape, (len(track.present), 68, 2)) for track in tracks):
        if shape != wanted:
            raise VisemixError(
                f"{who} answers with landmarks of shape {shape}; they must be {wanted}: frames, points, x y"
            )
    return tracks


TRACKER: Registry[Tracker] = Registry("face tracker", Tracker)  # type: ignore[type-abstract]


@TRACKER.register("mediapipe")
class MediaPipe(Tracker):
    """mediapipe 0.10's face mesh with its bundled weights; small faces are looked for by its full-range detector.

    The detector also sees to it that the mesh lies on a face: where it finds one beside the mesh, on which no mesh
    lies, the landmarks have slid to a neck or a hand, and are looked for anew; where that fails the face is away.

    `mode="tracking"` follows a face from frame to frame (for fitting); `"static"` looks at each frame by itself, so
    that a score does not depend on the frames before. A face that is away for up to `bridge` frames stays one track;
    one seen in fewer than `shortest` frames is dropped, unless it is all there is.
    """

    def __init__(
        self,
        *,
        mode: Literal["tracking", "static"] = "tracking",
        faces: Count = 2,
        bridge: Natural = 10,
        shortest: Count = 5,
        confidence: Share = 0.5,
    ) -> None:
        self.mode, self.faces, self.bridge, self.shortest = mode, faces, bridge, shortest
        self.confidence = confidence

    def __call__(self, frames: Iterable[Picture]) -> list[Track]:
        """The faces' tracks, the largest first. Raises `VisemixError` for pictures other than uint8 (H, W, 3)."""
        threads = TrackAssociation(self.bridge)
        with Mesh(self.faces, self.confidence, static=self.mode == "static") as mesh:
            for picture in frames:
                if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                    raise VisemixError(
                        f"a tracker takes RGB uint8 pictures (H, W, 3), not {picture.dtype} {picture.shape}"
                    )
                threads.add(mesh.faces(picture))
        tracks = sorted(threads.tracks(), key=lambda track: track.weight, reverse=True)
        long = [track for track in tracks if int(track.present.sum()) >= self.shortest]
        return long or tracks[:1]


class TrackAssociation:
    """Faces of single frames, joined over time: a face goes to the nearest one that was seen not long ago."""

    def __init__(self, bridge: int) -> None:
        self.bridge, self.clock = bridge, 0
        self.threads: list[dict[int, Points]] = []

    def add(self, faces: list[Points]) -> None:
        """The faces of the next frame, in no particular order."""
        alive = [t for t in self.threads if self.clock - max(t) <= self.bridge + 1]
        pairs = sorted(
            (
                (face_distance(thread[max(thread)], face), i, j)
                for i, thread in enumerate(alive)
                for j, face in enumerate(faces)
            ),
        )
        used_threads, used_faces = set(), set()
        for distance, i, j in pairs:
            if distance < 1 and i not in used_threads and j not in used_faces:
                alive[i][self.clock] = faces[j]
                used_threads.add(i)
                used_faces.add(j)
        self.threads += [{self.clock: face} for j, face in enumerate(faces) if j not in used_faces]
        self.clock += 1

    def tracks(self) -> list[Track]:
        """A track for each thread, from its first to its last sight, gaps filled linearly."""
        return [_track(thread) for thread in self.threads]


def _track(thread: dict[int, Points]) -> Track:
    seen = np.array(sorted(thread))
    clock = np.arange(seen[0], seen[-1] + 1)
    known = np.stack([thread[i] for i in seen]).reshape(len(seen), -1)
    points = np.stack([np.interp(clock, seen, column) for column in known.T], -1)
    points = points.reshape(len(clock), -1, 2).astype(np.float32)
    return Track(int(seen[0]), np.isin(clock, seen), points[:, INDEX_68], points)
