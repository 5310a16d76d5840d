"""The API reference: a page of each package, with all of its public modules, and of each module beside them."""

from __future__ import annotations

from pathlib import Path

from includes import ROOT

PACKAGE = ROOT / "src/visemix"


def pages() -> dict[str, str]:
    """Path of a page → its text."""
    units = sorted(path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    named = {path.stem: page(path) for path in units if not path.stem.startswith("_")}
    return {f"reference/{name}.md": text for name, text in named.items() if text}


def page(path: Path) -> str:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    public = [file for file in files if not file.stem.startswith("_") and has_names(file)]
    blocks = [f"::: {dotted(file)}" for file in public]
    if not path.is_dir():
        return "".join(f"::: {dotted(file)}\n    options: {{heading_level: 1}}" for file in public)
    return "\n\n".join([f"# {dotted(path)}", *blocks]) if blocks else ""


def dotted(path: Path) -> str:
    """
    >>> dotted(PACKAGE / "audio/mel.py")
    'visemix.audio.mel'
    """
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def has_names(file: Path) -> bool:
    """Whether a module defines anything: a page of one that does not would be empty."""
    return any(line.startswith(("def ", "class ", "@")) for line in file.read_text(encoding="utf-8").splitlines())
