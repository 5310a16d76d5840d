"""What stands elsewhere in the repository is taken from there: `{{ readme Two commands }}` in a page."""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from registries import shelf

ROOT = Path(__file__).parents[1]
PLUGINS, WORKED = ROOT / "experiments/third_party", ROOT / "experiments/worked"
DIRECTIVE = re.compile(r"\{\{ (\w+) (.+?) \}\}")
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)(?=[)#])")
SHOWN = {  # files of the repository that are pages here
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "src/visemix/weights/starter.md": "project/starter.md",
    "experiments/README.md": "experiments.md",
}


def expand(text: str, page: str) -> str:
    """A page with what it includes. Raises `ValueError` where that is nowhere to be found."""

    def include(found: re.Match[str]) -> str:
        kind, what = found.groups()
        if kind not in KINDS:
            raise ValueError(f"{page}: nothing is included by '{kind}' (have: {', '.join(KINDS)})")
        return KINDS[kind](what, page)

    return DIRECTIVE.sub(include, text)


def readme(section: str, page: str) -> str:
    """A section of the README without its heading."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        if title == section:
            return linked(body.strip(), "README.md", page)
    raise ValueError(f"{page}: the README has no section '{section}'")


def file(path: str, page: str) -> str:
    """A whole Markdown file of the repository."""
    return linked((ROOT / path).read_text(encoding="utf-8"), path, page)


def linked(text: str, path: str, page: str) -> str:
    """Links between files of the repository as links between pages; those to what is no page keep their words only."""

    def target(found: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[0]))
        if there not in SHOWN:
            raise ValueError(f"{path} links to {there}, which is no page; say in includes.SHOWN which one it is")
        return posixpath.relpath(SHOWN[there], posixpath.dirname(page) or ".")

    return LINK.sub(target, text)


def code(path: str, page: str) -> str:
    """A source file under its path."""
    language = {".py": "python", ".toml": "toml", ".yaml": "yaml"}.get(Path(path).suffix, "text")
    fence = "`" * (
        2 + max((len(run) for run in re.findall("`{3,}", (ROOT / path).read_text(encoding="utf-8"))), default=1)
    )
    return f"`{path}`\n\n{fence}{language}\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n{fence}"


def plugins(kinds: str, page: str) -> str:
    """The worked plug-ins that register parts of some kinds, each with the experiment beside it."""
    wanted = {shelf(kind).constant for kind in kinds.split(", ")}
    files = [*sorted(PLUGINS.rglob("*.py")), *sorted(WORKED.rglob("*.py"))]
    found = [path for path in files if wanted & registered(path)]
    beside = {path: sorted(path.parent.glob("*.yaml")) for path in found}
    return shown([one for path in found for one in (path, *beside[path])], page)


def worked(pattern: str, page: str) -> str:
    """The worked scripts of a name."""
    return shown(sorted(WORKED.glob(pattern)), page)


def package(name: str, page: str) -> str:
    """How a worked plug-in declares itself."""
    return shown(
        [path for path in PLUGINS.rglob("pyproject.toml") if f'"visemix_{name}"' in path.read_text(encoding="utf-8")],
        page,
    )


def shown(files: list[Path], page: str) -> str:
    """Files under their paths; where there are none, the words say so."""
    return "\n\n".join(code(path.relative_to(ROOT).as_posix(), page) for path in files) or "None is there yet."


def registered(path: Path) -> set[str]:
    """Names of the registries that a file adds parts to: {"RENDER"} of one with `@RENDER.register("lights")`."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    adding = [call.value for call in calls if isinstance(call, ast.Attribute) and call.attr == "register"]
    return {owner.id for owner in adding if isinstance(owner, ast.Name)}


def source(name: str, page: str) -> str:
    """The module of one of the library's own parts, given as `motion model/regression`."""
    kind, part = name.rsplit("/", 1)
    return code(Path(inspect.getfile(shelf(kind).home(part))).relative_to(ROOT).as_posix(), page)


def base(kind: str, page: str) -> str:
    """A link to the class that all parts of a kind are."""
    return f"[`{shelf(kind).base.rsplit('.', 1)[1]}`][{shelf(kind).base}]"


KINDS: dict[str, Callable[[str, str], str]] = {
    "base": base, "code": code, "file": file, "package": package, "plugins": plugins, "readme": readme,
    "source": source, "worked": worked,
}  # fmt: skip
