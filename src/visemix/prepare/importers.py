"""A data set as its authors hand it out → one video for each clip, which `prepare` takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import torch
from jaxtyping import UInt8
from torch import Tensor

from visemix.data.media import VideoReader
from visemix.data.sound import read_sound
from visemix.data.writer import VideoWriter
from visemix.ops.progress import Console, batch_progress
from visemix.prepare.layouts import LAYOUTS, Entry, UnusableEntry
from visemix.types import FPS, SAMPLE_RATE, VisemixError

CRF = 14


def export_clips(
    layout: str, root: str | Path, out: str | Path, *, console: Console | None = None
) -> tuple[list[Path], dict[str, str]]:
    """Cut every clip of a data set into a video `out/<speaker>_<number>.mp4`, at 25 frames a second with its sound.

    Args:
        layout: "hdtf", "voxceleb", "lrs3" or "adnerf": how `root` is laid out.
        console: where bars and messages go, by default to standard error.

    Returns:
        The videos, those that were there already among them, and for every entry that is broken the reason.

    Raises:
        VisemixError: an unknown layout, or a folder that is not laid out so.
    """
    if layout not in LAYOUTS:
        raise VisemixError(f"no layout '{layout}'; choose {', '.join(LAYOUTS)}")
    if not Path(root).is_dir():
        raise VisemixError(f"there is no folder {root}")
    entries = list(LAYOUTS[layout](Path(root)))
    console = console or Console(stderr=True)
    made: list[Path] = []
    broken: dict[str, str] = {}
    with batch_progress(console, len(entries), "cut out") as bars:
        for entry in entries:
            path = Path(out) / f"{entry.name}.mp4"
            try:
                if isinstance(entry, UnusableEntry):
                    raise VisemixError(entry.reason)
                if not path.exists():
                    export_clip(entry, path)
                made.append(path)
            except VisemixError as error:
                broken[entry.name] = str(error)
                console.print(
                    f"{entry.name} is skipped: {error}", style="red", markup=False, highlight=False, soft_wrap=True
                )
            bars.finish(entry.name)
    return made, broken


def export_clip(entry: Entry, path: Path) -> None:
    """Write one entry as a video.

    Raises:
        VisemixError: its source cannot be read, or ends before the entry begins.
    """
    sound = read_sound(entry.sound or entry.source)
    first = round(entry.start * FPS)
    last = None if entry.stop is None else round(entry.stop * FPS)
    begin = round(entry.start * SAMPLE_RATE)
    end = None if entry.stop is None else round(entry.stop * SAMPLE_RATE)
    pictures = _stills(entry) if entry.frames else VideoReader(entry.source).between(first, last)
    with VideoWriter(path, sound=sound[begin:end], crf=CRF) as out:
        for picture in pictures:
            out.write(_cropped(picture, entry))


def _stills(entry: Entry) -> Iterator[UInt8[Tensor, "3 H W"]]:
    for number in entry.frames:
        files = [entry.source / f"{number}.{ending}" for ending in ("jpg", "png")]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise VisemixError(f"there is no {files[0]}, nor a .png of that number")
        try:
            with av.open(str(file)) as container:
                frame: Any = next(container.decode(video=0))
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
        except (av.FFmpegError, StopIteration) as error:
            raise VisemixError(f"{file} is not a readable picture") from error


def _cropped(picture: UInt8[Tensor, "3 H W"], entry: Entry) -> UInt8[Tensor, "3 h w"]:
    """The entry's box made square, as far as the picture reaches, of an even size."""
    if entry.box is None:
        return picture
    height, width = picture.shape[1:]
    across, down = (width, height) if entry.unit == 1 else (1, 1) if entry.unit is None else (height / entry.unit,) * 2
    left, top, wide, high = (v * s for v, s in zip(entry.box, (across, down, across, down), strict=True))
    side = 2 * (round(min(max(wide, high), width, height)) // 2)
    x = min(max(round(left + wide / 2 - side / 2), 0), width - side)
    y = min(max(round(top + high / 2 - side / 2), 0), height - side)
    return picture[:, y : y + side, x : x + side]
