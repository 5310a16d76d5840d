"""A clip's files on disk: their names, what `meta.yaml` holds, and how clip folders are found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from visemix.data.metaschema import WANTED, check_meta
from visemix.face import FaceModel
from visemix.ops.border import read_yaml
from visemix.ops.formats import refuse_newer
from visemix.types import VisemixError

FORMAT = 2
LANDMARK_UNITS = 16384  # landmarks are kept as whole numbers of this part of the picture's side
META, TENSORS, FRAMES, SOUND, LABELS = "meta.yaml", "clip.safetensors", "frames.mp4", "sound.flac", "labels.safetensors"
BACKGROUND, PHONEMES = "background.png", "phonemes.csv"
PICTURES = "pictures"  # False in the `meta.yaml` of clips that have sound and motion alone
CORPUS = "corpus"  # the folder that experiments on synthetic people look into, as they come: data/corpus


def describe_face(face: FaceModel) -> dict[str, Any]:
    """Name and sizes of a face model, as `meta.yaml` keeps them of the one that a clip was fitted with."""
    vertices, identity = face.identity.shape[0], face.identity.shape[-1]
    return {"name": face.name, "identity": identity, "expression": face.expression.shape[-1], "vertices": vertices}


def face_words(face: Mapping[str, Any]) -> str:
    """What `describe_face` says of a face model, in words."""
    return "'{name}' ({identity} + {expression} coefficients, {vertices} vertices)".format(**face)


def speaker_of(name: str) -> str:
    """Who speaks in a clip of that name: the name without a trailing number.

    >>> speaker_of("WDA_KatieHill_000"), speaker_of("obama")
    ('WDA_KatieHill', 'obama')
    """
    return re.sub(r"_\d+$", "", name)


def clips_by(folder: Path) -> str:
    """How clips come into a folder: from videos, or made up; that first where experiments look for them so."""
    ways = [f"visemix prepare VIDEO … --out {folder}", f"visemix corpus --out {folder} (synthetic people)"]
    return " or ".join(reversed(ways) if folder.name == CORPUS else ways)


def read_meta(path: Path, *, any_format: bool = False) -> dict[str, Any]:
    """`meta.yaml` of a clip folder.

    Raises:
        VisemixError: no clip there, a damaged one, or one of a format that is neither today's nor, with `any_format`,
            an older one.
    """
    file = path / META
    if not file.is_file():
        raise VisemixError(f"{path} is no prepared clip (no {META} in it); make one with {clips_by(path.parent)}")
    state = file.stat()
    meta = _content(file, state.st_mtime_ns, state.st_size)
    if not isinstance(meta, dict) or type(meta.get("format")) is not int:
        raise VisemixError(f"{file} is damaged (it has no format); {WANTED}")
    refuse_newer(file, meta["format"], FORMAT)
    if meta["format"] < FORMAT and not any_format:
        raise VisemixError(f"{file} has an older version's format; bring it to today's with visemix migrate {path}")
    return check_meta(dict(meta), file) if meta["format"] == FORMAT else dict(meta)


@lru_cache(2**14)
def _content(file: Path, changed: int, size: int) -> Any:
    """What a file of this state holds: each stage of a training asks anew, of ten thousand clips."""
    return read_yaml(file, WANTED)


def find_clips(root: str | Path) -> list[Path]:
    """The clip folders in a folder, by name; or that folder itself, where it is one.

    Raises:
        VisemixError: there is none.
    """
    root = Path(root)
    found = [root] if (root / META).is_file() else sorted(file.parent for file in root.glob(f"[!.]*/{META}"))
    if not found:
        raise VisemixError(f"no prepared clips in {root}; make some with {clips_by(root)}")
    return found
