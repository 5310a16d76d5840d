"""Tensors on disk: safetensors, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> None:
    """Write `tensors` with `notes` as the file's metadata. A crash leaves the file that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        place = tensor.untyped_storage().data_ptr()  # safetensors refuses two names for one memory
        plain[name] = tensor.clone() if place in seen or tensor.numel() < _stored(tensor) else tensor
        seen.add(place)
    part = path.with_name(path.name + ".part")
    try:
        safetensors.torch.save_file(plain, part, dict(notes))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _stored(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // tensor.element_size()
