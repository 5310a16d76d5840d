"""Which format a checkpoint has, and how one of an older format is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from visemix.types import VisemixError

CHECKPOINT = 1  # of `TalkingFace.save`; files of before there were numbers are 0

Content = tuple[dict[str, Tensor], dict[str, Any]]  # weights by name, and the notes beside them
STEPS: dict[int, Callable[[Content], Content]] = {  # from a format to the next one
    0: lambda content: content,  # the number itself is all that came
}


def upgrade(content: Content, file: Path) -> Content:
    """A checkpoint's content as this version writes it.

    Raises:
        VisemixError: a later version wrote it.
    """
    held = format_of(content[1])
    refuse_newer(file, held, CHECKPOINT)
    for step in range(held, CHECKPOINT):
        content = STEPS[step](content)
    weights, notes = content
    return weights, notes | {"format": CHECKPOINT}


def format_of(notes: dict[str, Any]) -> int:
    """The format's number in a checkpoint's notes.

    >>> format_of({}), format_of({"format": 1})
    (0, 1)
    """
    return int(notes.get("format", 0))


def refuse_newer(file: Path, held: int, known: int) -> None:
    """Refuse a file of format `held` where this version reads up to `known`.

    Raises:
        VisemixError: it is newer.
    """
    if held > known:
        raise VisemixError(
            f"{file} has format {held}, this version of Visemix reads up to {known}: install the version that wrote it"
        )
