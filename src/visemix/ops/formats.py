"""Which format a checkpoint has, and how one of an older format is read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from visemix.types import VisemixError

CHECKPOINT = 2  # of `TalkingFace.save`; files of before there were numbers are 0

Content = tuple[dict[str, Tensor], dict[str, Any]]  # weights by name, and the notes beside them


def _defaults_of_before(content: Content) -> Content:
    """Motion models as they were before format 2, with what was their default then: a flow-VAE assumed its error, a
    regression answered landmarks in decimetres and smoothed none, and the authors' post-net added inputs last."""
    weights, notes = content[0], copy.deepcopy(content[1])
    options, path = notes.get("config", {}).get("motion"), "motion"
    while isinstance(options, dict):
        name, compat = options.get("name"), options.get("compat") or "corrected"
        if name == "flow_vae" and compat == "corrected" and options.get("kl_weight") is None:
            options["kl_weight"] = 0.4
        if name == "postnet" and compat == "official":
            options["order"] = "last"
        if name == "regression" and options.get("space") == "landmarks":
            options |= {"sigma": 0.0, "mouth_sigma": 0.0}
            head = {f"{path}.head.{kind}" for kind in ("weight", "bias")}
            weights = {key: tensor * 10 if key in head else tensor for key, tensor in weights.items()}
        options, path = options.get("base"), f"{path}.base"
    return weights, notes


STEPS: dict[int, Callable[[Content], Content]] = {  # from a format to the next one
    0: lambda content: content,  # the number itself is all that came
    1: _defaults_of_before,
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
