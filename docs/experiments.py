"""A page of all experiments: the question in a file's first line, and the difference under it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from includes import ROOT, linked

FOLDER = ROOT / "experiments"


@cache
def experiments() -> dict[str, str]:
    """Name → text of every file that `visemix fit` or `sweep` takes."""
    files = {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in sorted(FOLDER.rglob("*.yaml"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return {name: text for name, text in texts.items() if {"use", "extends"} & set(yaml.safe_load(text))}


def question(text: str) -> str:
    """The comment that a file begins with, up to its question mark or, without one, its first full stop."""
    lines = [line[2:] for line in text.splitlines()]
    head = " ".join(lines[: next(n for n, line in enumerate(text.splitlines()) if not line.startswith("# "))])
    mark = "?" if "?" in head else "."
    return head.partition(mark)[0] + mark


def page() -> str:
    """How a file is read, from the folder's own README, and each of them."""
    told, _, _ = (FOLDER / "README.md").read_text(encoding="utf-8").partition("| file | question |")
    lines = [linked(told.strip(), "experiments/README.md", "experiments.md"), "## All of them"]
    lines += ["| experiment | question |\n|---|---|"]
    lines[-1] += "".join(f"\n| [{name}](#{anchor(name)}) | {question(text)} |" for name, text in experiments().items())
    for name, text in experiments().items():
        command = "sweep" if "sweep" in yaml.safe_load(text) else "fit"
        lines += [f"## {name} {{ #{anchor(name)} }}", f"```yaml\n{text.strip()}\n```"]
        lines += [f"```\nvisemix {command} {name}\n```"]
    return "\n\n".join(lines)


def anchor(name: str) -> str:
    return name.replace("/", "-").replace("_", "-")


@cache
def picked(path: Path) -> tuple[tuple[str, str], ...]:
    """(kind, part) for all that a file names with its parents: in `use`, under a name, or in a sweep's rows."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    parents = picked((path.parent / found["extends"]).resolve()) if "extends" in found else ()
    use = found.get("use", {})
    here = {kind: part for kind, part in parents} | use
    inside = [(kind, name) for kind in ("audio", "motion", "render") for name in named(found.get(kind))]
    return tuple(dict.fromkeys([*here.items(), *inside]))


def named(options: Any) -> Iterator[str]:
    """Parts inside a part: `base: {name: …}`, and the keys under `parts`."""
    if isinstance(options, dict):
        yield from [options["name"]] if "name" in options else []
        for key, one in options.get("parts", {}).items():
            yield from named({"name": key} | (one or {}))
        yield from named(options.get("base"))


def users(kind: str, part: str) -> list[str]:
    """Names of the experiments that use a part."""
    return [name for name in experiments() if (kind, part) in picked((FOLDER / name).with_suffix(".yaml").resolve())]
