"""Whether a clip that is there is the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visemix.data.clipfiles import describe_face, face_words, read_meta
from visemix.face import FaceModel
from visemix.ops.store import REPLACE, sha256
from visemix.prepare.extract import first_held_out
from visemix.types import FPS, VisemixError


def refuse_another(
    out: Path, video: Path, face: FaceModel, size: int, holdout: float, parts: Mapping[str, Mapping[str, Any]]
) -> None:
    """Raise a VisemixError, which names what differs, where the clip `out` is of another video or was made otherwise.

    What a clip of before it was noted does not say of its parts is taken as it is.
    """
    meta = read_meta(out)
    asked = {"size": size, "face": face_words(describe_face(face)), "sha256": sha256(video)}
    have = {
        "size": meta.get("size"),
        "face": face_words(meta["face"]),
        "sha256": (meta.get("source") or {}).get("sha256"),
    }
    wanted, held = _holdout(meta, holdout), meta.get("holdout", 0.0)
    if held < wanted:  # more than was asked for does no harm
        asked["holdout"], have["holdout"] = wanted, held
    asked, have = asked | _options(parts), have | _options(meta.get("parts", parts))
    for key, value in asked.items():
        if have.get(key) != value:
            raise VisemixError(
                f"{out} exists with {key} {have.get(key)}, not {value}; choose another --out or {REPLACE}"
            )


def _options(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    >>> _options({"scene": {"name": "bisenet", "device": "cpu"}})
    {'scene': 'bisenet', 'scene.device': 'cpu'}
    """
    return {
        part if key == "name" else f"{part}.{key}": value
        for part, options in parts.items()
        for key, value in options.items()
    }


def _holdout(meta: Mapping[str, Any], asked: float) -> float:
    """Seconds that would be held out of a clip that is there, if it were made now."""
    seen = np.ones(meta["frames"], bool)
    for start, stop in meta.get("away", []):
        seen[start:stop] = False
    return (len(seen) - first_held_out(seen, asked)) / FPS
