"""`ict_facekit.npz` from the Wavefront files of an ICT-FaceKit checkout."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visemix.ops.store import atomic_write
from visemix.types import VisemixError

log = logging.getLogger(__name__)

FILE = "ict_facekit.npz"
SOURCE = "ICT-FaceKit is at https://github.com/ICT-VGL/ICT-FaceKit (MIT licence)"
NEUTRAL, NAMES = "generic_neutral_mesh.obj", "vertex_indices.json"
IDENTITIES = 100

Array = NDArray[Any]


def find_model(folder: Path) -> Path | None:
    """The folder of Wavefront files in `folder`: itself, or `FaceXModel` of a checkout."""
    return next((at for at in (folder, folder / "FaceXModel") if (at / NEUTRAL).is_file()), None)


def build_facekit(model: Path) -> Path:
    """Gather the Wavefront files of `model` in one file beside them, whole or not at all."""
    log.warning("reading %s, once: this takes about ten seconds", model)
    arrays = facekit_arrays(model)
    with atomic_write(model / FILE) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return model / FILE


def facekit_arrays(model: Path) -> dict[str, Array]:
    """Neutral vertices (N, 3) in centimetres, triangles, offsets of each shape at weight 1, and iBUG-68's vertices.

    Raises:
        VisemixError: a Wavefront file is missing, or has another number of vertices.
    """
    expressions, landmarks = _names(model / NAMES)
    identities = [f"identity{k:03d}" for k in range(IDENTITIES)]
    missing = [name for name in (*identities, *expressions) if not (model / f"{name}.obj").is_file()]
    if missing:
        raise VisemixError(f"{model} lacks {missing[0]}.obj and {len(missing) - 1} more; {SOURCE}")
    neutral = _vertices(model / NEUTRAL)

    def offsets(name: str) -> Array:
        shape = _vertices(model / f"{name}.obj")
        if shape.shape != neutral.shape:
            raise VisemixError(f"{model / name}.obj has {len(shape)} vertices, but {NEUTRAL} has {len(neutral)}")
        return (shape - neutral).astype(np.float32)

    return {
        "neutral": neutral.astype(np.float32),
        "triangles": _triangles(model / NEUTRAL),
        "identity": np.stack([offsets(name) for name in identities]),
        "expression": np.stack([offsets(name) for name in expressions]),
        "expression_names": np.array(expressions),
        "landmarks68": np.array(landmarks, np.int32),
    }


def _names(path: Path) -> tuple[list[str], list[int]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found["expressions"], found["idx_to_landmark_verts"]
    except (OSError, ValueError, KeyError) as error:
        raise VisemixError(f"{path} does not name ICT-FaceKit's expressions and landmarks; {SOURCE}") from error


def _vertices(path: Path) -> Array:
    rows = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("v ")]
    try:
        return np.array(" ".join(rows).split(), np.float64).reshape(-1, 3)
    except ValueError as error:
        raise VisemixError(f"{path} holds vertices that are not three numbers; {SOURCE}") from error


def _triangles(path: Path) -> Array:
    """Each polygon as a fan around its first corner."""
    faces = [line.split()[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("f ")]
    corners = [[int(corner.split("/")[0]) - 1 for corner in face] for face in faces]
    return np.array([(c[0], *c[k : k + 2]) for c in corners for k in range(1, len(c) - 1)], np.int32)
