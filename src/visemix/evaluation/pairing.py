"""Pairs of a real video and its fake, and their frames as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from visemix.data.clips import NO_PICTURES
from visemix.data.media import open_media, picture_stream, probe
from visemix.types import VisemixError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
PREPARED = "meta.yaml", "frames.mp4"  # a folder with both is a prepared clip; its pictures are in the second


@dataclass(frozen=True)
class Pair:
    """A real video and its fake, of one size and one rate."""

    name: str
    real: Path
    fake: Path
    fps: float
    width: int
    height: int
    frames: tuple[int, int]  # real and fake, by what the files say of themselves; decoding may find fewer


def find_pairs(real: str | Path, fake: str | Path) -> tuple[list[Pair], list[str]]:
    """Two files, or the files of two folders that share a name; and what had to be left out.

    Both sides may be a video file, a folder of them, a prepared clip or a folder of prepared clips.

    Raises:
        VisemixError: nothing there, no partner for a fake, or a pair of unequal size or rate.
    """
    reals, fakes = _videos(Path(real)), _videos(Path(fake))
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
    return [_checked(name, reals[name], fakes[name]) for name in reals if name in fakes], notes


def rgb_frames(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Every frame as recorded, RGB: FFmpeg's default conversion, which is what published scores were measured on.

    `VideoReader` converts more exactly, and to 25 frames a second; scores must not mix the two (44 dB apart).

    Raises:
        VisemixError: a damaged file.
    """
    with open_media(path) as container:
        try:
            for frame in container.decode(picture_stream(container)):
                yield frame.to_ndarray(format="rgb24")
        except av.FFmpegError as error:
            raise VisemixError(f"{path} is damaged ({error.strerror}); make it again, or leave it out") from error


def _is_collection(path: Path) -> bool:
    return path.is_dir() and not _is_prepared(path)


def _is_prepared(path: Path) -> bool:
    described, filmed = ((path / file).is_file() for file in PREPARED)
    if described and not filmed:
        raise VisemixError(f"{path} {NO_PICTURES}")
    return described and filmed


def _videos(path: Path) -> dict[str, Path]:
    if _is_prepared(path):
        return {path.name: path / PREPARED[1]}
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise VisemixError(f"no such file or folder: {path}")
    found: dict[str, Path] = {}
    for child in sorted(path.iterdir()):
        if not _is_prepared(child) and child.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        if child.stem in found:
            raise VisemixError(f"{path} has two videos named '{child.stem}'; keep one of them")
        found[child.stem] = child / PREPARED[1] if child.is_dir() else child
    if not found:
        raise VisemixError(f"{path} holds neither videos ({', '.join(VIDEO_SUFFIXES)}) nor prepared clips")
    return found


def _checked(name: str, real: Path, fake: Path) -> Pair:
    one, other = probe(real), probe(fake)
    for info in (one, other):
        if not info.width:
            raise VisemixError(f"{info.path} holds no picture; give a video file")
    if (one.width, one.height) != (other.width, other.height):
        raise VisemixError(
            f"{real} is {one.width}×{one.height} and {fake} is {other.width}×{other.height}; "
            "make them one size yourself, for what resizing does to a score is not small"
        )
    if abs(one.fps - other.fps) > 1e-3 * one.fps:
        raise VisemixError(
            f"{real} has {one.fps:.5g} frames a second and {fake} {other.fps:.5g}; convert one of them, "
            "or give the prepared clip as the real one"
        )
    return Pair(name, real, fake, one.fps, one.width, one.height, (one.frames, other.frames))
