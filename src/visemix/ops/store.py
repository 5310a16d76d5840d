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

from visemix.ops.locks import scratch
from visemix.types import VisemixError

NOTHING = "nothing was left behind"
NOTES = "visemix"  # the metadata's only key
REPLACE = "pass --overwrite (overwrite=True from Python)"


def refuse_existing(path: str | Path | None, overwrite: bool, other: str = "another name") -> None:
    """Raises VisemixError for a file or folder that is there and was not to be replaced; `other` is the way around."""
    if path is not None and Path(path).exists() and not overwrite:
        raise VisemixError(f"{path} exists and is kept; choose {other} or {REPLACE}")


class NotWritten(VisemixError):
    """A disk that is full, or a place that is not to be written to."""

    def __init__(self, path: Path, error: Exception, left: str = "what was there before is kept") -> None:
        self.why: str = error.why if isinstance(error, NotWritten) else str(getattr(error, "strerror", None) or error)
        super().__init__(f"{path} could not be written ({self.why}); {left}")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Context: a file to write, which takes its place at `path` when everything went well, and vanishes when not. A
    power cut leaves one or the other, whole.

    Raises:
        NotWritten: the disk is full, or the place is not to be written to.
    """
    try:
        with scratch(path.parent) as place:
            yield place / path.name
            settle(place / path.name, path)
    except (SafetensorError, OSError) as error:
        raise NotWritten(path, error) from error


def settle(part: Path, path: Path) -> None:
    """Let a finished file or folder take its place, once it is on the disk itself."""
    for file in [part, *(part.rglob("*") if part.is_dir() else ())]:
        _flush(file)
    part.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write `tensors`, with `notes` (anything JSON holds) in the file's metadata.

    A crash leaves the file that was there before. Equal content gives equal bytes.

    Raises:
        NotWritten: the disk is full, or the place is not to be written to.
    """
    seen: set[int] = set()
    plain = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        place = tensor.untyped_storage().data_ptr()  # safetensors refuses two names for one memory
        plain[name] = tensor.clone() if place in seen or tensor.numel() < _stored(tensor) else tensor
        seen.add(place)
    held = {NOTES: json.dumps(dict(notes))}  # one entry: their order is not kept
    with atomic_write(path) as part:
        safetensors.torch.save_file(plain, part, held)
        part.chmod(0o644)  # safetensors makes files that only their owner can read


def write_text(path: Path, text: str) -> Path:
    """Write a text file (UTF-8), whole or not at all; returns its path.

    Raises:
        NotWritten: the disk is full, or the place is not to be written to.
    """
    return write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file, whole or not at all; returns its path.

    Raises:
        NotWritten: the disk is full, or the place is not to be written to.
    """
    with atomic_write(path) as part:
        part.write_bytes(content)
    return path


def append_text(path: Path, text: str) -> None:
    """Append to a text file (UTF-8), at once and down to the disk itself; the last line may be cut off by a power cut.

    Raises:
        NotWritten: the disk is full, or the place is not to be written to.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode(errors="backslashreplace"))  # a name may hold bytes that are no text
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NotWritten(path, error) from error


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


def refuse_endless(path: Path) -> None:
    """Raises VisemixError for a pipe or a device, which would be read for ever, or waited for."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise VisemixError(f"{path} is no ordinary file; give one")


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hex; read in pieces.

    Raises:
        VisemixError: a pipe or a device.
    """
    refuse_endless(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
