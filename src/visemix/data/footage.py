"""Talking longer than the footage lasts, and the generated square back in the full picture."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from jaxtyping import Float, UInt8
from torch import Tensor

from visemix.data.clips import ClipFolder
from visemix.data.crop import Box, paste
from visemix.data.media import VideoReader
from visemix.data.metaschema import WANTED
from visemix.ops.store import sha256
from visemix.types import VisemixError

AT_ONCE = 16  # full frames in memory

log = logging.getLogger(__name__)


def pingpong(frames: int, count: int, start: int = 0) -> list[int]:
    """Numbers of `count` frames that go through a footage of `frames` there and back again, without a jump.

    >>> pingpong(4, 10)
    [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    >>> pingpong(1, 3)
    [0, 0, 0]
    """
    period = max(1, 2 * (frames - 1))
    places = ((start + k) % period for k in range(count))
    return [min(place, period - place) for place in places]


def read_frames(reader: VideoReader, order: Iterable[int], at_once: int = AT_ONCE) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """Frames of a video in any order, at most about `at_once` in memory. Going forward decodes once; going back
    decodes anew from key frame to key frame.

    Raises:
        VisemixError: the video has no such frame.
    """
    wanted = iter(order)
    ahead: Iterator[Tensor] = iter(())
    next_up = -1
    while block := list(islice(wanted, at_once)):
        low, high = min(block), max(block) + 1
        if low != next_up:
            ahead = reader.between(low, None)
        kept = {k: frame for k, frame in zip(range(low, high), ahead, strict=False) if k in set(block)}
        next_up = high
        if missing := set(block) - kept.keys():
            raise VisemixError(f"{reader.path} ends before its frame {min(missing)}, which is wanted")
        yield from (kept[k] for k in block)


def paste_into_source(
    clip: ClipFolder, order: Iterable[int], crops: Iterable[Float[Tensor, "3 size size"]]
) -> Iterator[UInt8[Tensor, "3 H W"] | Float[Tensor, "3 size size"]]:
    """Each crop pasted into the source's full picture, frame by frame, in bounded memory.

    Args:
        clip: whose footage it is.
        order: for each crop, the number of the clip's frame that it was made over.
        crops: generated pictures, RGB in [0, 1].

    Yields:
        Full pictures; or the crops as they come, said aloud, where the source is gone or is another file now.

    Raises:
        VisemixError: the source has no such frames, or the square lies beside its pictures.
    """
    source = find_source(clip)
    if source is None:
        yield from crops
        return
    box = Box(**clip.meta["crop"])
    first = int(clip.meta["source"]["first"])
    reader = VideoReader(source)
    if not box.overlaps(reader.height, reader.width):
        raise VisemixError(f"{clip.path} was cut out beside the pictures of {source}, says its meta.yaml; {WANTED}")
    pictures = read_frames(reader, (first + k for k in order))
    for crop, picture in zip(crops, pictures, strict=False):
        yield paste(picture, crop, box)


def find_source(clip: ClipFolder) -> Path | None:
    """The video that a clip was made from, if it is still there and still the same; else a warning says why not."""
    about = clip.meta.get("source")
    if about and "synthetic" in about:  # drawn, not cut from anything: the square is the whole picture
        return None
    if not about or "crop" not in clip.meta:
        log.warning("%s does not say what it was cut from; the result is the square crop", clip.path)
        return None
    path = Path(about["path"])
    if not path.is_file():
        log.warning("%s, which %s was cut from, is gone; the result is the square crop", path, clip.path)
        return None
    if path.stat().st_size != about["bytes"] or sha256(path) != about["sha256"]:
        log.warning("%s is not the file any more that %s was cut from; the result is the square crop", path, clip.path)
        return None
    return path
