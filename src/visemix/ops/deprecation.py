"""How a public name leaves: it goes on to work for a while, and says what takes its place.

`removed_in` is always a literal: `tests/test_public_surface.py` reads it there, and fails where a name outlives it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

__all__ = ["deprecated", "moved", "renamed"]

F = TypeVar("F", bound=Callable[..., Any])


def deprecated(*, since: str, removed_in: str, instead: str) -> Callable[[F], F]:
    """A decorator for a function (of a class, for its `__init__`) that will go.

    >>> @deprecated(since="0.2", removed_in="0.3", instead="visemix.ops.sequence.smooth")
    ... def steady(): return 1
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     steady(), str(said[0].message)
    (1, 'steady is deprecated since 0.2 and goes with 0.3; use visemix.ops.sequence.smooth')
    """

    def mark(function: F) -> F:
        name = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def warning(*args: Any, **kwargs: Any) -> Any:
            _warn(name, since, removed_in, instead)
            return function(*args, **kwargs)

        return warning  # type: ignore[return-value]

    return mark


def renamed(
    module: str, names: Mapping[str, str], *, since: str, removed_in: str, surface: Callable[[str], Any] | None = None
) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that are elsewhere now, as `{"steady": "visemix.ops.sequence.smoothstep"}`.

    `surface` is the module's own `__getattr__`, where it has one, for what is not renamed.
    """

    def look_up(name: str) -> Any:
        if name not in names:
            if surface is not None:
                return surface(name)
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        _warn(f"{module}.{name}", since, removed_in, names[name])
        home, _, own = names[name].rpartition(".")
        return getattr(import_module(home), own)

    return look_up


def moved(module: str, to: str, *, since: str, removed_in: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose whole content is at `to` now; nothing else has to stand in it:

    `__getattr__ = moved(__name__, "visemix.prepare.extract", since="0.2", removed_in="0.3")`
    """

    def look_up(name: str) -> Any:
        if name.startswith("__"):  # what the import system itself asks for
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        found = getattr(import_module(to), name)
        _warn(f"{module}.{name}", since, removed_in, f"{to}.{name}")
        return found

    return look_up


def _warn(name: str, since: str, removed_in: str, instead: str) -> None:
    message = f"{name} is deprecated since {since} and goes with {removed_in}; use {instead}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
