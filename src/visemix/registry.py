"""Names for interchangeable parts.

A part is a class, or a function that makes one. Its positional parameters are *wiring*: what the pipeline hands it.
Its keyword-only parameters are its *config*: what a YAML file or the command line may set. There is no second list
of either.
"""

from __future__ import annotations

import difflib
import inspect
import runpy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields, make_dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from visemix.types import VisemixError

T = TypeVar("T")
P = TypeVar("P", bound=Callable[..., Any])


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no name comes near.

    >>> nearest("tfat", ["taft", "mesh"])
    "; did you mean 'taft'?"
    """
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


class Registry(Generic[T]):
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[P], P]:
        def add(part: P) -> P:
            if self._parts.setdefault(name, part) is not part:
                raise ValueError(f"{self.kind} '{name}' is already {self._parts[name].__qualname__}")
            return part

        return add

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self._parts:
            load_plugins()
        if name not in self._parts:
            have = ", ".join(sorted(self._parts))
            raise VisemixError(f"no {self.kind} named '{name}'{nearest(name, self._parts)} (have: {have})")
        return self._parts[name]

    def names(self) -> list[str]:
        load_plugins()
        return sorted(self._parts)

    def schema(self, name: str) -> type:
        """The part's keyword-only parameters, as a dataclass that OmegaConf can check against."""
        return _schema(self[name], name)

    def check(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Fill defaults, convert types, refuse unknown keys."""
        if "name" not in config:
            raise VisemixError(f"which {self.kind}? say its name (have: {', '.join(self.names())})")
        options = {k: v for k, v in config.items() if k != "name"}
        schema = self.schema(config["name"])
        return checked(schema, options, f"{self.kind} '{config['name']}'")

    def full(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config with every option, the name first."""
        options = self.check(config)
        return {"name": config["name"]} | options

    def build(self, config: Mapping[str, Any], *wiring: Any) -> T:
        return self[config["name"]](*wiring, **self.check(config))


def checked(schema: type, options: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """`options` against the dataclass `schema`: defaults filled, types converted, unknown keys refused by name."""
    known = [f.name for f in fields(schema)]
    for key in options:
        if key not in known:
            raise VisemixError(
                f"{owner} has no option '{key}'{nearest(key, known)} (has: {', '.join(known) or 'none'})"
            )
    try:
        merged = OmegaConf.merge(_defaults(schema), options)
        return dict(vars(OmegaConf.to_object(merged)))
    except OmegaConfBaseException as error:
        raise VisemixError(f"{owner}: {str(error).splitlines()[0]} ({error.full_key})") from error


@cache
def _schema(part: Callable[..., Any], name: str) -> type:
    hints = get_type_hints(part.__init__ if inspect.isclass(part) else part)
    options = [p for p in inspect.signature(part).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return make_dataclass(name, [(p.name, hints[p.name], _default(p)) for p in options])


@cache
def _defaults(schema: type) -> Any:
    return OmegaConf.structured(schema)


def _default(p: inspect.Parameter) -> Any:
    if p.default is p.empty:
        return field(default=MISSING)
    if isinstance(p.default, (list, dict)):
        return field(default_factory=p.default.copy)
    return field(default=p.default)


_plugins_loaded = False
_files_loaded: set[Path] = set()


def load_plugins() -> None:
    """Import what installed packages declare under the entry-point group `visemix`, once."""
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for point in entry_points(group="visemix"):
            point.load()


def load_file(path: str | Path) -> None:
    """Run a loose Python file, once, for what it registers: an experiment's `plugins`, before anyone packages it."""
    path = Path(path).resolve()
    if not path.is_file():
        raise VisemixError(f"no plugin file {path}; give the path of a Python file")
    if path not in _files_loaded:
        _files_loaded.add(path)
        runpy.run_path(str(path), run_name=path.stem)
