"""Which of several implementations does the work: `auto` may choose, a name is an order."""

from __future__ import annotations

import importlib.util

import torch

from visemix.types import VisemixError

INSTALL = {
    "pytorch3d": "build it for your torch and CUDA as github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md says",
    "nerfacc": "pip install nerfacc",
    "tinycudann": "build it with github.com/NVlabs/tiny-cuda-nn's pip command",
}


def available(backend: str) -> bool:
    """Whether the package behind a backend is installed (`torch` always is).

    >>> available("torch")
    True
    """
    return importlib.util.find_spec(backend) is not None


def pick(asked: str, fast: str, device: torch.device | str) -> str:
    """The backend that was asked for; under `auto`, `fast` on a CUDA device where it is installed, else `torch`.

    A named backend is never replaced: if its package is missing, the error says how to get it.

    >>> pick("auto", "pytorch3d", "cpu")
    'torch'
    """
    if asked not in ("auto", "torch", fast):
        raise VisemixError(f"no backend named '{asked}' here (have: auto, torch, {fast})")
    if asked == fast and not available(fast):
        raise VisemixError(f"backend '{fast}' is not installed: {INSTALL[fast]}, or say 'auto' or 'torch'")
    if asked == "auto":
        return fast if torch.device(device).type == "cuda" and available(fast) else "torch"
    return asked
