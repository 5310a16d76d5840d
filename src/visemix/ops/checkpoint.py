"""Weights on disk: checkpoints in runs, and the models that come with the library."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

from annotated_types import Ge
from pydantic import with_config
from torch import Tensor
from typing_extensions import TypedDict

from visemix.ops.border import OPEN, fits, plain_data
from visemix.ops.formats import upgrade
from visemix.ops.store import read_tensors, sha256
from visemix.types import VisemixError

WEIGHTS = "model.safetensors"
SHIPPED = Path(__file__).parents[1] / "weights"  # models that come with the library, each with a card


@with_config(OPEN)
class PartConfig(TypedDict):
    """A part's name; its options are checked where it is built."""

    name: str


@with_config(OPEN)
class ModelConfig(TypedDict):
    """The parts of a model."""

    face: PartConfig
    audio: PartConfig
    motion: PartConfig
    render: PartConfig
    eyes: NotRequired[str]


@with_config(OPEN)
class Notes(TypedDict):
    """What readers of a checkpoint rely on in its notes; other keys may be anything."""

    config: ModelConfig
    face: str
    format: NotRequired[Annotated[int, Ge(0)]]
    trained: NotRequired[list[str]]
    loaded: NotRequired[list[str]]
    shown: NotRequired[list[str]]


def read_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights by name, and the notes beside them, of a file that `TalkingFace.save` wrote (or its folder); or of a
    model that comes with the library, by its name.

    Raises:
        VisemixError: there is none, or it cannot be read.
    """
    file = resolve_checkpoint(path)
    if not file.is_file():
        ours = ", ".join(sorted(own.stem for own in SHIPPED.glob("*.safetensors")))
        raise VisemixError(
            f"no trained model at {file}; give a run folder that `visemix fit` printed, or one of those that come with "
            f"the library: {ours}"
        )
    try:
        weights, notes = read_tensors(file)
        notes = plain_data(notes)
        fits(Notes, notes, file, "give a file that TalkingFace.save or visemix fit wrote")
        return upgrade((weights, notes), file)
    except (ValueError, TypeError, RecursionError, OSError) as error:
        raise VisemixError(f"{file} is no checkpoint that can be loaded: {error}") from error


def resolve_checkpoint(path: str | Path) -> Path:
    """The file that a run's folder, a checkpoint's path or the name of a model of the library (as it is, or
    `pin_source`) stands for.

    Raises:
        VisemixError: the library's model of that name is another one now.
    """
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    name, _, wanted = path.name.partition("@")
    own = SHIPPED / f"{name}.safetensors"
    if not own.is_file() or str(path) != path.name or file.is_file():
        return file
    if wanted and wanted != short_digest(own):
        raise VisemixError(
            f"{path} is asked for, and this version of the library brings {name}@{short_digest(own)}: install the "
            f"version that brought it, or ask for {name}"
        )
    return own


def pin_source(source: str) -> str:
    """A source of weights, with a digest of the file behind it where it is a model of the library by name: a later
    version may bring another under that name, and a run must not be taken for the same then.

    >>> pin_source("runs/mine/1a2b3c4d"), pin_source("starter").split("@")[0]
    ('runs/mine/1a2b3c4d', 'starter')
    """
    bare_name = source == Path(source).name and "@" not in source
    own = SHIPPED / f"{source}.safetensors"
    return f"{source}@{short_digest(own)}" if bare_name and resolve_checkpoint(source) == own else source


@lru_cache
def short_digest(file: Path) -> str:
    """Eight hex digits of a file's sha256."""
    return sha256(file)[:8]


def laid_over(config: dict[str, Any], parts: Mapping[str, Mapping[str, Any] | str]) -> dict[str, Any]:
    """A config with other parts, or with other options of the same ones."""
    same = {part: said for part, said in parts.items() if isinstance(said, Mapping) and "name" not in said}
    return {**config, **parts, **{part: {**config[part], **said} for part, said in same.items()}}


def other_options(part: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Those of their options that a part here has otherwise.

    >>> other_options("render", {"count": 8000, "seed": 0}, {"count": 600, "seed": 0})
    '; there, render.count=8000'
    """
    other = [f"{part}.{key}={value}" for key, value in there.items() if here.get(key) != value]
    return f"; there, {' '.join(other)}" if other else ""
