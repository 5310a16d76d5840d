"""What `meta.yaml` of a clip must be, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Le
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from visemix.ops.border import OPEN, fits
from visemix.types import VisemixError

TORSO = "torso"  # a tensor that clips may lack: its motion
FLOATS = ("F16", "BF16", "F32", "F64")
WANTED = "prepare the clip again with --overwrite"
Count = Annotated[int, Ge(0), Le(10**9)]
Place = Annotated[int, Ge(-(10**6)), Le(10**6)]


@with_config(OPEN)
class Face(TypedDict):
    """The face model that a clip was fitted with, as `describe_face` says it."""

    name: str
    identity: Count
    expression: Count
    vertices: Count


class Crop(TypedDict):
    """`Box` of the square that was cut out."""

    x: Place
    y: Place
    side: Annotated[int, Ge(1), Le(8192)]


@with_config(OPEN)
class Source(TypedDict):
    """The video that it was cut from."""

    path: NotRequired[str | None]
    bytes: NotRequired[int | None]
    sha256: NotRequired[str | None]
    first: NotRequired[Count]


@with_config(OPEN)
class LipSync(TypedDict):
    """How far its sound is from its lips."""

    lag: NotRequired[Annotated[int, Ge(-1000), Le(1000)]]
    follows: NotRequired[bool | None]
    reason: NotRequired[str]


@with_config(ConfigDict(extra="allow", strict=True))
class Meta(TypedDict):
    """What readers of a clip rely on; other keys may be anything."""

    format: int
    frames: Annotated[int, Ge(1), Le(10**8)]
    size: Annotated[int, Ge(1), Le(8192)]
    speaker: str
    audio: Literal["speech", "silent", "none"]
    face: Face
    pictures: NotRequired[bool]
    holdout: NotRequired[Annotated[float, Ge(0)]]
    notes: NotRequired[list[str]]
    away: NotRequired[list[list[int]]]
    lip_sync: NotRequired[LipSync]
    source: NotRequired[Source | None]
    crop: NotRequired[Crop]
    corpus: NotRequired[dict[str, Any]]
    parts: NotRequired[dict[str, Any]]


def check_meta(meta: Any, where: object) -> dict[str, Any]:
    """`meta`, which fits `Meta`.

    Raises:
        VisemixError: it does not.
    """
    found: dict[str, Any] = {**fits(Meta, meta, where, WANTED)}
    edges = [0, *(edge for gap in found.get("away", []) for edge in gap), found["frames"]]
    if any(len(gap) != 2 for gap in found.get("away", [])) or edges != sorted(edges):
        raise VisemixError(f"{where} is damaged (away: stretches of frames, one after another); {WANTED}")
    if sum(stop - start for start, stop in found.get("away", [])) == found["frames"]:
        raise VisemixError(f"{where} is damaged (away: the face is in no frame at all); {WANTED}")
    return found


def check_tensors(file: Any, meta: Mapping[str, Any]) -> None:
    """Check that an open `clip.safetensors` holds what its `meta` says, by its header alone.

    Raises:
        ValueError: it does not.
    """
    frames, face = meta["frames"], meta["face"]
    shapes: dict[str, tuple[int, ...]] = {
        "identity": (face["identity"],),
        "expression": (frames, face["expression"]),
        "pose": (frames, 6),
        "camera": (3,),
        "albedo": (face["vertices"], 3),
        "landmarks": (frames, 68, 2),
        "error": (frames,),
        "light": (frames, 27),
        TORSO: (frames, 4),
    }
    for name, shape in shapes.items():
        if name == TORSO and name not in file.keys():  # noqa: SIM118 — no mapping
            continue
        stored = file.get_slice(name)
        have = tuple(stored.get_shape())
        if have != shape and (name, have) != ("light", (1, 27)):
            raise ValueError(f"'{name}' has the shape {have}, not {shape}")
        if (stored.get_dtype() in FLOATS) == (name == "landmarks"):
            raise ValueError(f"'{name}' is of type {stored.get_dtype()}")
