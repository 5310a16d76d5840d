"""Tensors and texts on disk, written whole or not at all. Tensors as safetensors: no pickles."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from visemix.ops.names import within_limit
from visemix.types import VisemixError

NOTES = "visemix"  # the metadata's only key
REPLACE = "pass --overwrite (overwrite=True from Python)"


def refuse_existing(path: str | Path | None, overwrite: bool, other: str = "another name") -> None:
    """Raises VisemixError for a file or folder that is there and was not to be replaced; `other` is the way around."""
    if path is not None and Path(path).exists() and not overwrite:
        raise VisemixError(f"{path} exists and is kept; choose {other} or {REPLACE}")


def beside(path: Path, process: int | None = None) -> Path:
    """The path at which a process, by default this one, writes what is to stand at `path` once it is whole."""
    return path.with_name(within_limit(f".{path.name}", f".{process or os.getpid()}.part"))


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file to write, which takes its place at `path` when everything went well, and vanishes when not.

    Raises:
        OSError: the place is not to be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write `tensors`, with `notes` (anything JSON holds) in the file's metadata.

    A crash leaves the file that was there before. Equal content gives equal bytes.

    Raises:
        VisemixError: the disk is full, or the place is not to be written to.
    """
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        place = tensor.untyped_storage().data_ptr()  # safetensors refuses two names for one memory
        plain[name] = tensor.clone() if place in seen or tensor.numel() < _stored(tensor) else tensor
        seen.add(place)
    held = {NOTES: json.dumps(dict(notes))}  # one entry: their order is not kept
    try:
        with atomic_write(path) as part:
            safetensors.torch.save_file(plain, part, held)
            part.chmod(0o644)  # safetensors makes files that only their owner can read
    except (SafetensorError, OSError) as error:
        raise VisemixError(f"{path} could not be written ({error}); what was there before is kept") from error


def write_text(path: Path, text: str) -> Path:
    """Write a text file, whole or not at all; returns its path.

    Raises:
        VisemixError: the disk is full, or the place is not to be written to.
    """
    try:
        with atomic_write(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise VisemixError(f"cannot write {path}: {error.strerror}") from error
    return path


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and notes of a file that `write_tensors` wrote.

    Raises:
        ValueError: it is another kind of file, or broken.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, _notes(file)  # noqa: SIM118 – not a dict
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def read_notes(path: Path) -> dict[str, Any]:
    """Only the notes, without reading the tensors.

    Raises:
        ValueError: it is another kind of file, or broken.
    """
    try:
        with safe_open(path, "pt") as file:
            return _notes(file)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _notes(file: Any) -> dict[str, Any]:
    held = file.metadata() or {}
    if NOTES not in held:
        raise ValueError("it was not written by Visemix")
    return dict(json.loads(held[NOTES]))


def _stored(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def is_newer(path: Path, than: Path) -> bool:
    """Whether there is such a file, written after another or with it."""
    return path.is_file() and path.stat().st_mtime >= than.stat().st_mtime


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hex; read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
