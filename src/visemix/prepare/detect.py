"""Faces in one picture, by mediapipe: its mesh, and a detector that sees to it that the mesh lies on a face."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from visemix.ops.state import environment
from visemix.types import VisemixError

Picture = UInt8[np.ndarray, "H W 3"]
Points = Float[np.ndarray, "P 2"]

AGREE = 0.2  # of a face's size: two detectors of one face are within a quarter of this on average
BESIDE = 1.5  # sizes: how far from a face the neck or hand is that its landmarks may have slid to


@dataclass(frozen=True)
class Detection:
    """A face as a detector sees it, pixels."""

    centre: tuple[float, float]
    size: float  # the longer side of its box
    marks: Float[np.ndarray, "4 2"]  # where `MARKS` are


# an eye's corners each, the tip of the nose, the lips: what of the mesh the detector's first four points are
MARKS = ([33, 133], [362, 263], [1], [13, 14])


def face_distance(a: Points, b: Points) -> float:
    """Distance of two faces' centres, as a part of the smaller one's size (the box's half perimeter / 2)."""
    size = min(float((p.max(0) - p.min(0)).mean()) for p in (a, b))
    return float(np.linalg.norm(a.mean(0) - b.mean(0))) / max(size, 1e-6)


def suppress_duplicates(faces: list[Points]) -> list[Points]:
    """The faces without duplicates: one within half a face's size of an earlier one is dropped."""
    kept: list[Points] = []
    for face in faces:
        if all(face_distance(face, other) > 0.5 for other in kept):
            kept.append(face)
    return kept


def reject_false_detections(faces: list[Points], seen: list[Detection]) -> list[Points]:
    """The faces that the detector does not contradict; those that slid to a neck, or elsewhere, are dropped.

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
    """Mean distance of the four marks of a detection from those of the mesh, in sizes of the face."""
    marks = np.stack([face[ids].mean(0) for ids in MARKS])
    return float(np.linalg.norm(marks - seen.marks, axis=1).mean()) / seen.size


class Mesh:
    """mediapipe's graphs, opened once: the mesh over whole frames, and detector + mesh over windows for small faces."""

    def __init__(self, faces: int, confidence: float, static: bool) -> None:
        face_mesh, face_detection = mediapipe_modules("face tracker", "face_mesh", "face_detection")
        options: dict[str, Any] = {"refine_landmarks": True, "min_detection_confidence": confidence}
        with silence_stderr():
            self.whole = face_mesh.FaceMesh(static_image_mode=static, max_num_faces=faces, **options)
            self.window = face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, **options)
            self.detector = face_detection.FaceDetection(model_selection=1, min_detection_confidence=confidence)
            for graph in (self.whole, self.window, self.detector):
                graph.process(np.zeros((64, 64, 3), np.uint8))  # each opens, and speaks up, in a thread of its own
        self.limit, self.silent = faces, False

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, *_: object) -> None:
        for graph in (self.whole, self.window, self.detector):
            graph.close()

    def faces(self, picture: Picture) -> list[Points]:
        """The points of each face in a picture."""
        with nullcontext() if self.silent else silence_stderr():
            seen = self._detected(picture, 0, 0)
            found = reject_false_detections(suppress_duplicates(_landmarks(self.whole, picture)), seen)
            found = found or reject_false_detections(self._small(picture, seen), seen)
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
        return suppress_duplicates(found)[: self.limit]

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


def mediapipe_modules(part: str, *names: str) -> list[Any]:
    """Modules of mediapipe, with its log silenced; `part` ("face tracker") is named where they are missing.

    Raises:
        VisemixError: mediapipe is not installed.
    """
    try:
        with environment(GLOG_minloglevel="3", TF_CPP_MIN_LOG_LEVEL="3"):
            return [import_module(f"mediapipe.python.solutions.{name}") for name in names]
    except ImportError as error:
        raise VisemixError(
            f"the {part} 'mediapipe' needs mediapipe 0.10.21 (Python below 3.13): "
            f"pip install 'visemix[prepare]', or name another {part.split()[-1]} ({error})"
        ) from error


@contextmanager
def silence_stderr() -> Iterator[None]:
    """Context: nothing reaches file descriptor 2, to which mediapipe's C++ side writes before it hears of any logging
    flag."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
