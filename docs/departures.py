"""A page of what the papers and their authors' code have, beside what the presets here have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from registries import shelves
from tables import literal, table

from visemix.experiment import General
from visemix.parts import Published
from visemix.training.departures import written
from visemix.training.modules import STAGES
from visemix.training.optim import stage_options

INTRO = """# Papers and presets

Each stage of a paper takes `compat`; `use: {compat: paper}` at the top of an experiment (`compat=paper` on the command
line) says it to all of them at once, and to their training. *corrected* is the default, and the best that we know.
*paper* is the text as far as options reach, *official* the authors' code, its faults included. What no option reaches
stands in the last rows of each table, and holds under either.

`visemix show EXPERIMENT` ends with what of this holds for an experiment; a sweep says it under its table."""


def page() -> str:
    """For every part with a paper a table: the option, what was published of it, and what it is by default."""
    lines = [INTRO]
    for shelf in shelves():
        for name in shelf.names:
            kind = shelf.registry.kind_of(name)
            if kind.published:
                default = _defaults(shelf.registry.schema(name)) | dict(kind.presets.get("corrected", {}))
                both = (_table(kind.published, code, default) for code in (False, True))
                lines += [f"## {name}", *both]
    return "\n\n".join(line for line in lines if line)


def _defaults(schema: type) -> dict[str, Any]:
    """A part's options by default, and each stage's, by their paths in a config."""
    stages = {f"train.{s}.{key}": value for s in STAGES for key, value in vars(stage_options(s, {})).items()}
    return {"eyes": General().eyes} | stages | {one.name: one.default for one in fields(schema)}


def _table(published: Sequence[Published], code: bool, default: Mapping[str, Any]) -> str:
    rows = sorted((one for one in published if one.code == code), key=lambda one: not one.option)
    head = ("option", "the authors' code" if code else "the paper", "where", "by default", "why")
    return table(head, [_row(one, default) for one in rows]) if rows else ""


def _row(one: Published, default: Mapping[str, Any]) -> tuple[str, ...]:
    if not one.option:
        return "", one.value, one.source, "", one.why
    theirs = "some" if one.value is ... else literal(written(one.value))
    return literal(one.option), theirs, one.source, literal(written(default[one.option])), one.why
