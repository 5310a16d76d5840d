"""Choice among several implementations of an operation: `auto` picks one, a name is an order."""

from __future__ import annotations

import functools
import importlib.util
import logging
from importlib import metadata

import torch

from visemix.types import VisemixError

log = logging.getLogger(__name__)

INSTALL = {
    "pytorch3d": (
        "pip install easypytorch3d or pipablepytorch3d, where one has a wheel for your CUDA build of torch, or build "
        "it as github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says"
    ),
    "nerfacc": "pip install nerfacc",
    "numba": "pip install numba",
    "gsplat": "pip install gsplat, which compiles itself for your GPU when it is first used",
    "tinycudann": "build it with github.com/NVlabs/tiny-cuda-nn's pip command",
}

SLOWER = {"numba": "20 to 60 times as long to draw Gaussians"}  # benchmarks/splat.py


def available(backend: str) -> bool:
    """Whether the package behind a backend is installed (`torch` always is).

    >>> available("torch")
    True
    """
    return importlib.util.find_spec(backend) is not None


def version_of(package: str) -> str | None:
    """The installed version of a package; None where it is not installed.

    >>> version_of("no-such-package") is None
    True
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def choose_backend(asked: str, fast: str, device: torch.device | str, *, processor: str = "torch") -> str:
    """The backend that was asked for; under `auto`, `fast` on a CUDA device where it is installed, else `torch`.

    `processor` is what `auto` takes instead on a processor, and warns once if its package is missing. A named backend
    is never replaced: if its package is missing, the error says how to get it.

    Raises:
        VisemixError: an unknown backend, or a named one whose package is missing.

    >>> choose_backend("auto", "pytorch3d", "cpu")
    'torch'
    """
    kind = torch.device(device).type
    known = list(dict.fromkeys(["auto", "torch", processor, fast]))
    if asked not in known:
        raise VisemixError(f"no backend named '{asked}' here (have: {', '.join(known)})")
    if asked != "auto":
        if not available(asked):
            raise VisemixError(f"backend '{asked}' is not installed: {INSTALL[asked]}, or say 'auto' or 'torch'")
        return asked
    if kind == "cuda" and available(fast):
        return fast
    if kind == "cpu" and not available(processor):
        _warn_slow(processor)
        return "torch"
    return processor if kind == "cpu" else "torch"


@functools.cache
def _warn_slow(missing: str) -> None:
    log.warning("%s is not installed; plain torch takes %s: %s", missing, SLOWER[missing], INSTALL[missing])
