"""Functions as machine code by numba, kept for the next process where a folder for it can be written."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

import numba

log = logging.getLogger(__name__)


def compiled(*, fastmath: bool) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that compiles a function by numba, and keeps the result for the next process beside its file or in the
    user's cache, whichever can be written."""

    def compile_(function: Callable[..., Any]) -> Any:
        function = inspect.unwrap(function)  # what checks types in tests, numba cannot read
        options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
        try:
            kernel = numba.njit(cache=True, **options)(function)
        except RuntimeError:
            _warn_uncached()
            return numba.njit(**options)(function)

        def kept(*args: Any) -> Any:
            try:
                return kernel(*args)
            except OSError:  # the folder is full: what could not be kept is compiled all the same
                _warn_uncached()
                return kernel(*args)

        return kept

    return compile_


@functools.cache
def _warn_uncached() -> None:
    log.warning("no folder to keep compiled code in, so every process compiles it anew; NUMBA_CACHE_DIR names one")


def inlined(function: Callable[..., Any]) -> Any:
    """Decorator for a function that only compiled functions call: it is compiled into each of them."""
    return numba.njit(inline="always", fastmath=True)(inspect.unwrap(function))
