"""Checkpoints and clips of older formats, written anew in today's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import yaml
from safetensors.torch import load, save

from visemix.data.clipfiles import FORMAT, LANDMARK_UNITS, META, SOUND, TENSORS, read_meta
from visemix.data.clips import ClipFolder
from visemix.data.clipwriter import atomic_folder
from visemix.ops.checkpoint import SHIPPED, WEIGHTS
from visemix.ops.formats import CHECKPOINT, format_of, upgrade
from visemix.ops.store import read_tensors, write_tensors
from visemix.types import SAMPLE_RATE, VisemixError

__all__ = ["Migrated", "migrate"]


@dataclass(frozen=True)
class Migrated:
    """What became of a checkpoint or a clip: its format before and now, or the sentence that says why it stayed."""

    path: Path
    before: int | None = None
    now: int | None = None
    reason: str = ""


def migrate(paths: Sequence[str | Path]) -> list[Migrated]:
    """Every checkpoint and clip folder among `paths`, and in folders below them, in today's format, and what became
    of each. What has it already is left as it is.

    Each is written beside its place, which it takes when it is whole; what was there before stays until then. A file
    keeps its date, so that scores of a run are not taken for older than its weights.

    Raises:
        VisemixError: there is no such path, or neither a checkpoint nor a clip in it.
    """
    return [_one(found) for path in paths for found in _found(Path(path))]


def _found(path: Path) -> Iterator[Path]:
    """The checkpoint files and clip folders at a path or below it."""
    if path.is_file():
        yield path
        return
    below = sorted(file for name in (WEIGHTS, META) for file in path.rglob(name))
    shown = [file for file in below if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not shown:
        raise VisemixError(f"no checkpoint and no clip in {path}; give a {WEIGHTS}, a run, a clip, or a folder of them")
    yield from (file.parent if file.name == META else file for file in shown)


def _one(path: Path) -> Migrated:
    try:
        before, now = _clip(path) if path.is_dir() else _checkpoint(path)
    except VisemixError as error:
        return Migrated(path, reason=str(error))
    return Migrated(path, before, now)


def _checkpoint(file: Path) -> tuple[int, int]:
    """The format a checkpoint had, and has."""
    try:
        weights, notes = read_tensors(file)
    except (ValueError, OSError) as error:
        raise VisemixError(f"{file} is no checkpoint of Visemix ({error})") from error
    if "config" not in notes:
        raise VisemixError(f"{file} is no checkpoint of a model")
    held = format_of(notes)
    if held == CHECKPOINT:
        return held, held
    content = upgrade((weights, notes), file)
    if file.resolve().parent == SHIPPED.resolve():
        raise VisemixError(f"{file} comes with the library, which reads it as it is")
    date = file.stat()
    write_tensors(file, *content)
    os.utime(file, ns=(date.st_atime_ns, date.st_mtime_ns))
    return held, CHECKPOINT


def _clip(folder: Path) -> tuple[int, int]:
    """The format a clip had, and has."""
    meta = read_meta(folder, any_format=True)
    held = int(meta["format"])
    if held == FORMAT:
        return held, held
    if any(step not in STEPS for step in range(held, FORMAT)):
        raise VisemixError(f"{folder / META} has format {held}, from which no way leads; prepare the clip again")
    folder = folder.resolve()  # a link to a clip stays one
    with atomic_folder(folder, overwrite=True) as part:
        shutil.copytree(folder, part, dirs_exist_ok=True)
        for step in range(held, FORMAT):
            STEPS[step](part, meta)
        (part / META).write_text(
            yaml.safe_dump(meta | {"format": FORMAT}, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        ClipFolder(part).speech()  # what cannot be read must not take the place
    return held, FORMAT


def _sound_apart(folder: Path, meta: dict[str, Any]) -> None:
    """A clip of format 1 as format 2: the sound in a file of its own, landmarks as whole numbers, constant light
    once."""
    tensors = load((folder / TENSORS).read_bytes())
    with (folder / SOUND).open("wb") as sound:
        wave = tensors.pop("wave").clamp(-1, 1).numpy()
        soundfile.write(sound, wave, SAMPLE_RATE, "PCM_16", format="FLAC")
    units = tensors["landmarks"].float() * (LANDMARK_UNITS / int(meta["size"]))
    tensors["landmarks"] = units.round().clamp(-32768, 32767).short()
    if (tensors["light"] == tensors["light"][0]).all():
        tensors["light"] = tensors["light"][:1].clone()
    (folder / TENSORS).write_bytes(save(tensors))


STEPS: dict[int, Callable[[Path, dict[str, Any]], None]] = {1: _sound_apart}  # from a format of clips to the next one
