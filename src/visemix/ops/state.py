"""What belongs to the whole process (random draws, the environment), changed for a while and put back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def preserve_rng() -> Iterator[None]:
    """The generators of Python, NumPy and torch are afterwards where they were; CUDA's too, where CUDA is in use."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 – other people's code draws from it
    used = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=used):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The same generators, begun at `seed` and afterwards where they were."""
    with preserve_rng():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        yield


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables that hold for a while, where the user has not set them."""
    added = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
