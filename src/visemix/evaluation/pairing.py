"""Pairs of a real video and its fake, and the pictures in which they are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from visemix.data.clips import NO_PICTURES
from visemix.data.media import VideoReader
from visemix.ops.names import is_hidden, one_spelling
from visemix.types import FPS, VisemixError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
PREPARED = "meta.yaml", "frames.mp4"  # a folder with both is a prepared clip; its pictures are in the second
SAME_RATE = 0.05  # frames a second by which 25 may be missed without a word: some containers round a picture's length


@dataclass(frozen=True)
class Pair:
    """A real video and its fake, as they are compared: 25 times a second, in what both show."""

    name: str
    real: Path
    fake: Path
    width: int
    height: int
    frames: tuple[int, int]  # real and fake, by what the files say of themselves; decoding may find fewer
    notes: list[str] = field(default_factory=list)


def find_pairs(real: str | Path, fake: str | Path) -> tuple[list[Pair], list[str]]:
    """Two files, or the files of two folders that share a name; and what had to be left out.

    Both sides may be a video file, a folder of them, a prepared clip or a folder of prepared clips.

    Raises:
        VisemixError: nothing there, no partner for a fake, or a pair of unequal size.
    """
    (reals, passed), (fakes, also) = _videos(Path(real)), _videos(Path(fake))
    if len(reals) == len(fakes) == 1 and not _is_collection(Path(real)) and not _is_collection(Path(fake)):
        (name, one), (_, other) = next(iter(reals.items())), next(iter(fakes.items()))
        return [_checked(name, one, other)], []
    alone = [name for name in fakes if name not in reals]
    if alone:
        have = ", ".join(list(reals)[:5]) + (", …" if len(reals) > 5 else "")
        raise VisemixError(f"{fake} has '{alone[0]}', which has no partner of that name in {real} (have: {have})")
    left = [name for name in reals if name not in fakes]
    notes = (
        [f"{len(left)} of {len(reals)} real videos have no fake and are left out: {', '.join(left)}"] if left else []
    )
    notes += [f"passed over in {side}: {', '.join(names)}" for side, names in ((real, passed), (fake, also)) if names]
    return [_checked(name, reals[name], fakes[name]) for name in reals if name in fakes], notes


def pictures(
    reader: VideoReader, width: int | None = None, height: int | None = None
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """A video's pictures, 25 a second: all of each, or its upper left part of that size."""
    for picture in reader:
        yield picture.permute(1, 2, 0).numpy()[:height, :width]


def videos_in(folder: Path, clips: bool = True) -> tuple[dict[str, Path], list[str]]:
    """Videos and, where `clips`, prepared clips in a folder by their names without ending; and the files that look like
    some and are none.

    Raises:
        VisemixError: two of one name.
    """
    found: dict[str, Path] = {}
    passed = []
    for child in sorted(folder.iterdir()):
        prepared = clips and _is_prepared(child)
        if not prepared and child.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        if is_hidden(child) or not (prepared or child.is_file()):
            passed.append(child.name)
            continue
        name = one_spelling(child.name if prepared else child.stem)
        if name in found:
            raise VisemixError(f"{folder} has two videos named '{name}'; keep one of them")
        found[name] = child / PREPARED[1] if prepared else child
    return found, passed


def _is_collection(path: Path) -> bool:
    return path.is_dir() and not _is_prepared(path)


def _is_prepared(path: Path) -> bool:
    described, filmed = ((path / file).is_file() for file in PREPARED)
    if described and not filmed:
        raise VisemixError(f"{path} {NO_PICTURES}")
    return described and filmed


def _videos(path: Path) -> tuple[dict[str, Path], list[str]]:
    if _is_prepared(path):
        return {one_spelling(path.name): path / PREPARED[1]}, []
    if path.is_file():
        return {one_spelling(path.stem): path}, []
    if not path.is_dir():
        raise VisemixError(f"no such file or folder: {path}")
    found, passed = videos_in(path)
    if not found:
        raise VisemixError(f"{path} holds neither videos ({', '.join(VIDEO_SUFFIXES)}) nor prepared clips")
    return found, passed


def _checked(name: str, real: Path, fake: Path) -> Pair:
    one, other = VideoReader(real), VideoReader(fake)
    width, height = (_common(*sides) for sides in ((one.width, other.width), (one.height, other.height)))
    if not width or not height:
        raise VisemixError(
            f"{real} is {one.width}×{one.height} and {fake} is {other.width}×{other.height}; "
            "make them one size yourself, for what resizing does to a score is not small"
        )
    notes = []
    if (one.width, one.height) != (other.width, other.height):
        notes.append(
            f"real is {one.width}×{one.height} and fake {other.width}×{other.height}: videos have even sides, and what "
            f"that added at the right or below is left out; {width}×{height} are compared"
        )
    if any(abs(reader.fps - FPS) > SAME_RATE for reader in (one, other)):
        notes.append(
            f"real has {one.fps:.5g} frames a second and fake {other.fps:.5g}; they are compared {FPS} times a second, "
            "by what is on screen at each time"
        )
    return Pair(name, real, fake, width, height, (one.frames, other.frames), notes)


def _common(one: int, other: int) -> int:
    """The side that both have: an odd one has a partner that was made even, as `VideoWriter` does; 0 for others."""
    low, high = sorted((one, other))
    return low if low == high or (high == low + 1 and low % 2) else 0
