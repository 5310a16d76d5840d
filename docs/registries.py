"""Every registry of the library and the parts in it, found by looking: no list of either stands here."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, get_args

import visemix
from visemix.registry import Registry


@dataclass(frozen=True)
class Shelf:
    """A registry, and the module that makes it: `AUDIO: Registry[AudioEncoder] = Registry("audio encoder")`."""

    registry: Registry[Any]
    constant: str  # AUDIO
    module: ModuleType

    @property
    def kind(self) -> str:
        return self.registry.kind

    @property
    def names(self) -> list[str]:
        """The library's own parts, without those of plug-ins that happen to be installed."""
        return [name for name in self.registry.names() if self.registry[name].__module__.split(".")[0] == "visemix"]

    @property
    def folder(self) -> str:
        """Of the site: `parts/audio-encoder`."""
        return "metrics" if self.kind == "metric" else f"parts/{self.kind.replace(' ', '-')}"

    @property
    def base(self) -> str:
        """The class that its parts share: `visemix.audio.base.AudioEncoder`; "" where it is none of ours."""
        said = str(self.module.__annotations__[self.constant])
        kind = getattr(
            type(self.registry), "__orig_bases__", ()
        )  # of a registry of its own class: Registry[VideoMetric]
        name = said.removeprefix("Registry[").removesuffix("]")
        found = getattr(self.module, name, None) if said != name else get_args(kind[0])[0]
        return f"{found.__module__}.{found.__qualname__}" if isinstance(found, type) else ""

    def home(self, name: str) -> ModuleType:
        """The module that a part is written in."""
        return sys.modules[self.registry[name].__module__]


@cache
def shelves() -> tuple[Shelf, ...]:
    """In alphabetical order of their kinds."""
    found = [
        Shelf(value, constant, module)
        for module in modules()
        for constant, value in list(vars(module).items())
        if isinstance(value, Registry) and constant in getattr(module, "__annotations__", {})
    ]
    return tuple(sorted(found, key=lambda shelf: shelf.kind))


def shelf(kind: str) -> Shelf:
    return next(one for one in shelves() if one.kind == kind)


def modules() -> list[ModuleType]:
    """All of the library that can be imported here."""
    for module in pkgutil.walk_packages(visemix.__path__, "visemix."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                if (error.name or "").split(".")[0] in ("", "visemix"):
                    raise  # no extra that is not installed here, but a fault
    return [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "visemix"]
