"""Where a face is in every frame of a video: 68 landmarks, and the dense mesh where a tracker has one."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, UInt8

from visemix.registry import Registry
from visemix.types import VisemixError

Picture = UInt8[np.ndarray, "H W 3"]
Points = Float[np.ndarray, "P 2"]

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
AGREE = 0.2  # of a face's size: two detectors of one face are within a quarter of this on average
BESIDE = 1.5  # sizes: how far from a face the neck or hand is that its landmarks may have slid to


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


class Tracker(ABC):
    """Finds the faces of a video and follows each of them."""

    @abstractmethod
    def __call__(self, frames: Iterable[Picture]) -> list[Track]:
        """Every face's track, the largest first; none is an empty list. Frames are read one by one, RGB, uint8."""


TRACKER: Registry[Tracker] = Registry("face tracker")


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
        faces: int = 2,
        bridge: int = 10,
        shortest: int = 5,
        confidence: float = 0.5,
    ) -> None:
        self.mode, self.faces, self.bridge, self.shortest = mode, faces, bridge, shortest
        self.confidence = confidence

    def __call__(self, frames: Iterable[Picture]) -> list[Track]:
        threads = Threads(self.bridge)
        with _Mesh(self.faces, self.confidence, static=self.mode == "static") as mesh:
            for picture in frames:
                if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                    raise VisemixError(
                        f"a tracker takes RGB uint8 pictures (H, W, 3), not {picture.dtype} {picture.shape}"
                    )
                threads.add(mesh.faces(picture))
        tracks = sorted(threads.tracks(), key=lambda track: track.weight, reverse=True)
        long = [track for track in tracks if int(track.present.sum()) >= self.shortest]
        return long or tracks[:1]


class Threads:
    """Faces of single frames, joined over time: a face goes to the nearest one that was seen not long ago."""

    def __init__(self, bridge: int) -> None:
        self.bridge, self.clock = bridge, 0
        self.threads: list[dict[int, Points]] = []

    def add(self, faces: list[Points]) -> None:
        """The faces of the next frame, in no particular order."""
        alive = [t for t in self.threads if self.clock - max(t) <= self.bridge + 1]
        pairs = sorted(
            (
                (_apart(thread[max(thread)], face), i, j)
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


def _apart(a: Points, b: Points) -> float:
    """Distance of two faces' centres, as a part of the smaller one's size (the box's half perimeter / 2)."""
    size = min(float((p.max(0) - p.min(0)).mean()) for p in (a, b))
    return float(np.linalg.norm(a.mean(0) - b.mean(0))) / max(size, 1e-6)


@dataclass(frozen=True)
class Detection:
    """A face as a detector sees it, pixels."""

    centre: tuple[float, float]
    size: float  # the longer side of its box
    marks: Float[np.ndarray, "4 2"]  # where `MARKS` are


# an eye's corners each, the tip of the nose, the lips: what of the mesh the detector's first four points are
MARKS = ([33, 133], [362, 263], [1], [13, 14])


def distinct(faces: list[Points]) -> list[Points]:
    """Each face once: what lies within half a face's size of one before it is that one again."""
    kept: list[Points] = []
    for face in faces:
        if all(_apart(face, other) > 0.5 for other in kept):
            kept.append(face)
    return kept


def believed(faces: list[Points], seen: list[Detection]) -> list[Points]:
    """The faces but those beside which a face is seen that is none of them: these slid to a neck, or elsewhere.

    What the detector does not see says nothing: it knows fewer profiles than the mesh.
    """
    agree = [[_off(face, each) < AGREE for each in seen] for face in faces]
    missed = [each for k, each in enumerate(seen) if not any(row[k] for row in agree)]
    return [
        face
        for face, row in zip(faces, agree, strict=True)
        if any(row) or all(np.linalg.norm(face.mean(0) - each.centre) > BESIDE * each.size for each in missed)
    ]


def _off(face: Points, seen: Detection) -> float:
    """Mean distance of the four marks, in sizes of the face."""
    marks = np.stack([face[ids].mean(0) for ids in MARKS])
    return float(np.linalg.norm(marks - seen.marks, axis=1).mean()) / seen.size


class _Mesh:
    """mediapipe's graphs, opened once: the mesh over whole frames, and detector + mesh over windows for small faces."""

    def __init__(self, faces: int, confidence: float, static: bool) -> None:
        face_mesh, face_detection = solutions("face tracker", "face_mesh", "face_detection")
        options: dict[str, Any] = {"refine_landmarks": True, "min_detection_confidence": confidence}
        with quiet():
            self.whole = face_mesh.FaceMesh(static_image_mode=static, max_num_faces=faces, **options)
            self.window = face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, **options)
            self.detector = face_detection.FaceDetection(model_selection=1, min_detection_confidence=confidence)
            for graph in (self.whole, self.window, self.detector):
                graph.process(np.zeros((64, 64, 3), np.uint8))  # each opens, and speaks up, in a thread of its own
        self.limit, self.silent = faces, False

    def __enter__(self) -> _Mesh:
        return self

    def __exit__(self, *_: object) -> None:
        for graph in (self.whole, self.window, self.detector):
            graph.close()

    def faces(self, picture: Picture) -> list[Points]:
        """The points of each face in a picture."""
        with nullcontext() if self.silent else quiet():
            seen = self._detected(picture, 0, 0)
            found = believed(distinct(_landmarks(self.whole, picture)), seen)
            found = found or believed(self._small(picture, seen), seen)
        self.silent |= bool(found)  # and once more at its first face
        return found

    def _small(self, picture: Picture, seen: list[Detection]) -> list[Points]:
        if not seen:
            seen = [
                each
                for x, y, side in _tiles(*picture.shape[:2])
                for each in self._detected(picture[y : y + side, x : x + side], x, y)
            ]
        found: list[Points] = []
        for each in sorted(seen, key=lambda each: each.size, reverse=True):
            low_x, low_y = (max(int(at - 1.25 * each.size), 0) for at in each.centre)
            high_x, high_y = (int(at + 1.25 * each.size) for at in each.centre)
            crop = picture[low_y:high_y, low_x:high_x]
            found += [points + np.array([low_x, low_y], np.float32) for points in _landmarks(self.window, crop)]
        return distinct(found)[: self.limit]

    def _detected(self, picture: Picture, x: int, y: int) -> list[Detection]:
        """What the detector sees, in pixels of the picture that this one was cut from at (x, y)."""
        height, width = picture.shape[:2]
        found = []
        for detection in self.detector.process(np.ascontiguousarray(picture)).detections or []:
            place = detection.location_data
            box = place.relative_bounding_box
            centre = ((box.xmin + box.width / 2) * width + x, (box.ymin + box.height / 2) * height + y)
            marks = np.array([(p.x * width + x, p.y * height + y) for p in place.relative_keypoints[: len(MARKS)]])
            found.append(Detection(centre, max(box.width * width, box.height * height), marks))
        return found


def _landmarks(graph: Any, picture: Picture) -> list[Points]:
    height, width = picture.shape[:2]
    side = max(height, width)
    picture = np.ascontiguousarray(picture)
    if height != width:  # mediapipe turns its crops in normalised coordinates, which is right in a square only
        picture = np.pad(picture, ((0, side - height), (0, side - width), (0, 0)))
    faces = graph.process(picture).multi_face_landmarks or []
    return [np.array([(p.x, p.y) for p in face.landmark], np.float32) * side for face in faces]


def _tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Half-overlapping squares, half as wide as the picture's shorter side; none for a small picture."""
    side = min(height, width) // 2
    if side < 128:
        return
    for y in range(0, height - side // 2, side // 2):
        for x in range(0, width - side // 2, side // 2):
            yield min(x, width - side), min(y, height - side), side


def solutions(part: str, *names: str) -> list[Any]:
    """Modules of mediapipe's, quiet from the start; `part` ("face tracker") is named where they are missing."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return [import_module(f"mediapipe.python.solutions.{name}") for name in names]
    except ImportError as error:
        raise VisemixError(
            f"the {part} 'mediapipe' needs mediapipe 0.10.21 (Python below 3.13): "
            f"pip install 'visemix[prepare]', or name another {part.split()[-1]} ({error})"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """mediapipe's C++ side writes to file descriptor 2 before any logging flag is heard."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
