"""A page of each part, from its class: what it is, its options, what it is built from, who uses it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_type_hints

from doctests import fenced
from griffe import Docstring
from includes import ROOT
from omegaconf import MISSING as REQUIRED
from registries import Shelf
from tables import literal, table
from typer.testing import CliRunner

from experiments import anchor, users
from visemix.cli.app import app
from visemix.options import ranges


@cache
def catalogue() -> dict[str, dict[str, dict[str, Any]]]:
    """What `visemix parts` says: key of a kind → name → facts of a part."""
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(CliRunner().invoke(app, ["parts", "--json"]).output)
    return found


def key(shelf: Shelf) -> str | None:
    """What an experiment calls a kind of parts; None where it cannot choose them."""
    return next((key for key, parts in catalogue().items() if set(parts) == set(shelf.registry.names())), None)


def source(shelf: Shelf, name: str) -> str:
    """The paper that a part comes from; "" where it comes from none."""
    paper = catalogue()[key(shelf) or ""][name]["source"] if key(shelf) else None
    return f"*Source: {paper}.*" if paper else ""


def index(shelf: Shelf) -> str:
    """All parts of a kind."""
    rows = [(f"[`{name}`]({name}.md)", first(shelf.registry[name])) for name in shelf.names]
    wanted = key(shelf)
    chosen = f"An experiment picks one with `{wanted}: NAME`. " if wanted else ""
    common = f"Each is a [`{shelf.base.rsplit('.', 1)[1]}`][{shelf.base}]." if shelf.base else ""
    return f"# {title(shelf)}\n\n{chosen}{common}\n\n" + table(("name", "what it is"), rows)


def page(shelf: Shelf, name: str) -> str:
    """One part."""
    part, wanted = shelf.registry[name], key(shelf)
    about, told = documented(part)
    where = f"{shelf.home(name).__name__}.{part.__qualname__}"
    lines = [f"# {name}", f"*{shelf.kind.capitalize()}.* [`{where}`][{where}]", about]
    lines += [fenced(inspect.getdoc(shelf.home(name)) or ""), source(shelf, name)]
    if facts := encoder_facts(name) if wanted == "audio" else {}:
        lines += [table(("", ""), [(f"**{what}**", how) for what, how in facts.items()])]
    if wanted and wanted != "metrics":
        lines += [f"```yaml\nuse: {{{wanted}: {name}}}\n```"]
    lines += ["## Options", options(shelf, name, told), "## Built with", wiring(part)]
    if found := users(wanted, name) if wanted else []:
        links = ", ".join(f"[{one}](../../experiments.md#{anchor(one)})" for one in found)
        lines += ["## Experiments with it", links]
    return "\n\n".join(lines)


def title(shelf: Shelf) -> str:
    return f"{shelf.kind.capitalize()}s"


def first(part: Any) -> str:
    """The docstring's first paragraph, on one line."""
    return " ".join((inspect.getdoc(part) or "").split("\n\n")[0].split())


def documented(part: Any) -> tuple[str, dict[str, str]]:
    """A docstring without its `Args:`, and what that says of each option."""
    about, told = [], {}
    for section in Docstring(fenced(inspect.getdoc(part) or "")).parse("google", warnings=False):
        if section.kind.value == "text":
            about.append(section.value)
        elif section.kind.value == "parameters":
            told |= {name: one.description for one in section.value for name in one.name.split(", ")}
        elif section.kind.value == "raises":
            about.append("\n".join(f"Raises `{one.annotation}`: {one.description}" for one in section.value))
    return "\n\n".join(about), told


def options(shelf: Shelf, name: str, told: Mapping[str, str]) -> str:
    """The keyword-only parameters with type, range and default, from the registry's own schema."""
    rows, schema = [], shelf.registry.schema(name)
    plain = get_type_hints(schema)
    for option in fields(schema):
        kind = ", ".join([inspect.formatannotation(plain[option.name]), *map(str, ranges(option.type))])
        value = option.default_factory() if option.default_factory is not MISSING else option.default
        default = "*required*" if value == REQUIRED else literal(json.dumps(value, ensure_ascii=False))
        rows.append((literal(option.name), literal(kind.replace("typing.", "")), default, told.get(option.name, "")))
    columns = 4 if told else 3  # some parts speak of their options in sentences above
    return (
        table(("option", "type", "default", "what it does")[:columns], [r[:columns] for r in rows]) if rows else "None."
    )


def wiring(part: Any) -> str:
    """The positional parameters, which the pipeline hands over."""
    given = [p for p in inspect.signature(part).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    shown = [f"`{p.name}`: {literal(str(p.annotation))}" for p in given]
    return f"{', '.join(shown)}, which it is handed." if shown else "Nothing but its options."


def encoder_facts(name: str) -> dict[str, str]:
    """What the README's table of encoders says of one: licence, context, rate; nothing of one that wraps others."""
    rows = [
        line.strip("| \n").split(" | ")
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if "|" in line
    ]
    head = next(row for row in rows if row[:2] == ["audio", "trained on"])
    row = next((row for row in rows[rows.index(head) :] if f"`{name}`" in re.findall("`[^`]+`", row[0])), head)
    same = len(row) == len(head) and row is not head
    return dict(zip(head[1:], row[1:], strict=True)) if same else {}


def overview(shelves: Sequence[Shelf]) -> str:
    """All kinds of parts, with the names in each."""
    rows = []
    for shelf in shelves:
        names = ", ".join(f"[`{name}`]({shelf.folder.removeprefix('parts/')}/{name}.md)" for name in shelf.names)
        if shelf.kind != "metric":
            rows.append((f"[{title(shelf)}]({shelf.folder.removeprefix('parts/')}/index.md)", names))
    return table(("kind", "parts"), rows)
