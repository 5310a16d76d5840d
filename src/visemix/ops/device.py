"""Number types, threads and memory of the machine under torch."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import torch
from torch import Tensor

from visemix.types import VisemixError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def inference_dtype(precision: Literal["auto", "float32", "bfloat16"], device: torch.device) -> torch.dtype:
    """The number type to run a network in: what was asked for, or for "auto" bfloat16 where the hardware multiplies it.

    A processor without bfloat16 instructions works it out ten times more slowly than float32, so "auto" asks first.
    """
    if precision == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether `device` has instructions for bfloat16 matrices (AVX512-BF16 or AMX; NVIDIA from Ampere on)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    has = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch on so many threads, and afterwards on as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def limit_threads(ways: int) -> AbstractContextManager[None]:
    """Torch with its share of the cores, where as many threads of ours compute at once: more would only wait."""
    return torch_threads(max(1, torch.get_num_threads() // ways))


def keep_memory() -> bool:
    """Tell this process's allocator to keep the memory it has, for every later allocation; true where that worked.

    glibc asks the system for each buffer above 32 MiB at the latest, hands it back when it is freed, and the next layer
    of a network faults every page in again: up to half the time of a convolutional network on 512² pictures. After
    this call such buffers stay with the process, which never shrinks again. For a process that does nothing else but
    generate. Linux with glibc only; elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(libc, "mallopt"):  # musl has neither
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 << 20))
    return all([libc.mallopt(name, value) == 1 for name, value in settings])


def batched_map(work: Callable[[Tensor], Tensor], count: int, piece: int, device: torch.device) -> Tensor:
    """Rows of `work(indices)` over 0 … count − 1, computed `piece` indices at a time and concatenated.

    Where the memory does not suffice, once more with an eighth of it.

    Raises:
        VisemixError: not even that fits.
    """
    for size in (piece, max(1, piece // 8)):
        try:
            return torch.cat([work(at) for at in torch.arange(count, device=device).split(size)])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
    raise VisemixError(
        f"not enough memory on {device} for {size} rays at a time; set render.memory lower, or free some of it"
    )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory; a processor's allocator has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
