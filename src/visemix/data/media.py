"""Video files as 25 pictures a second, by their timestamps, whatever rate they were recorded at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation, VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from visemix.types import FPS, VisemixError

# Containers that count in milliseconds put a frame up to 1 ms off its place, on either side.
EARLY = 0.002


def _exact() -> dict[str, Any]:
    """How to convert colours without the dark cast (1 of 255) of swscale's fast path, and in one thread: its own
    halve the speed on pictures of this size. PyAV 14 has neither switch."""
    for options in ({"threads": 1, "interpolation": _flags()}, {"threads": 1}):
        try:
            VideoReformatter().reformat(av.VideoFrame(2, 2, "yuv420p"), format="rgb24", **options)
        except (TypeError, ValueError):
            continue
        return options
    return {}


def _flags() -> Any:
    flags: Any = Interpolation.BILINEAR
    for name in ("ACCURATE_RND", "FULL_CHR_H_INT", "FULL_CHR_H_INP"):
        flags = flags | getattr(Interpolation, name, 0)
    return flags


EXACT = _exact()


@dataclass(frozen=True)
class Probe:
    """Frames, rate, length, size and sound of a media file, as its header has them: nothing is decoded."""

    path: Path
    frames: int  # of the file's own, at its own rate; 0 where there is no picture
    fps: float
    seconds: float
    width: int
    height: int
    sound: bool  # whether there is a sound track (which may still be silent)


def open_media(path: str | Path) -> Any:
    """A PyAV container to read from.

    Raises:
        VisemixError: no such file, or none that FFmpeg can read.
    """
    path = Path(path)
    if not path.is_file():
        raise VisemixError(f"no such file: {path}")
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise VisemixError(
            f"{path} is not a readable video or sound file ({error.strerror}): it may be cut off or of another kind; "
            "play it, or convert it again from its source"
        ) from error


def picture_stream(container: Any) -> Any | None:
    """The first stream that moves: cover art of a music file does not count."""
    still = getattr(getattr(av.stream, "Disposition", None), "attached_pic", None)
    for stream in container.streams.video:
        if still is None or not stream.disposition & still:
            return stream
    return None


def probe(path: str | Path) -> Probe:
    """Frames, rate, length and size of a media file."""
    with open_media(path) as container:
        stream = picture_stream(container)
        sound = bool(container.streams.audio)
        seconds = (container.duration or 0) / 1e6
        if stream is None:
            return Probe(Path(path), 0, 0.0, seconds, 0, 0, sound)
        if stream.duration:
            seconds = float(stream.duration * stream.time_base)
        fps = float(stream.average_rate or stream.guessed_rate or FPS)
        frames = stream.frames or round(seconds * fps)
        return Probe(Path(path), frames, fps, seconds, stream.width, stream.height, sound)


class VideoReader:
    """A video file at exactly 25 frames a second: frame k is the picture that is on screen at k / 25 seconds.

    Slower sources repeat pictures, faster ones skip some; times count from the file's first picture. Iterating decodes
    the file once, in bounded memory, and can be done again. A file that breaks off early gives the frames it still
    holds, and `notes` says so afterwards. Rotation written by phones is applied.

    Raises:
        VisemixError: on opening, where the file cannot be read or holds no picture.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        info = probe(path)
        self.fps, self.sound, self.source_frames, self._declared = info.fps, info.sound, info.frames, info.seconds
        self._to_rgb = VideoReformatter()
        with open_media(path) as container:
            stream = picture_stream(container)
            if stream is None:
                raise VisemixError(f"{path} holds no picture; give a video file")
            first = next((f for f, _ in _decoded(container, stream) if f is not None and f.pts is not None), None)
            if first is None:
                raise VisemixError(f"no picture in {path} can be decoded; convert it again from its source")
            self.time_base = float(stream.time_base)
            self.start = first.pts * self.time_base  # seconds, on the clock that the sound track shares
            self.height, self.width = self._rgb(first).shape[1:]

    @property
    def frames(self) -> int:
        """Frames at 25 a second, by what the file says of its length; decoding may find fewer."""
        return max(1, round(self._declared * FPS))

    def __iter__(self) -> Iterator[UInt8[Tensor, "3 H W"]]:
        return self.between(0, None)

    def between(self, start: int, stop: int | None) -> Iterator[UInt8[Tensor, "3 H W"]]:
        """Frames `start` up to `stop` (None: the end), found by seeking. Each is a view on H×W×3 memory.

        Raises:
            VisemixError: no picture can be decoded.
        """
        frame = None
        for frame in self._frames(start, stop):
            yield self._rgb(frame)
        if frame is None and start == 0:
            raise VisemixError(f"no picture in {self.path} can be decoded; convert it again from its source")

    def _frames(self, start: int, stop: int | None) -> Iterator[Any]:
        end = math.inf if stop is None else stop
        k, time, shown, broken, last_step = start, 0.0, None, 0, 1 / self.fps
        for frame, damage in self._source(start):
            broken += damage
            if frame is None or frame.pts is None:
                continue
            time = frame.pts * self.time_base - self.start
            while shown is not None and k / FPS < time - EARLY:
                if k >= end:
                    return
                yield shown
                k += 1
            shown = frame
        if shown is None:
            return
        if shown.duration:
            last_step = shown.duration * self.time_base
        total = max(1, round((time + last_step) * FPS))
        while k < min(end, total):
            yield shown
            k += 1
        if stop is None:
            self._report(broken, time + last_step)

    def _source(self, start: int) -> Iterator[tuple[Any | None, bool]]:
        """Decoded frames from the last one before output frame `start`."""
        if start > 0:
            with open_media(self.path) as container:
                stream = picture_stream(container)
                container.seek(int((self.start + start / FPS) / self.time_base), stream=stream)
                found = _decoded(container, stream)
                first, damage = next(((f, d) for f, d in found if f is not None and f.pts is not None), (None, False))
                if first is not None and first.pts * self.time_base - self.start <= start / FPS + EARLY:
                    yield first, damage
                    yield from found
                    return
        with open_media(self.path) as container:  # from the beginning, also where seeking overshot
            yield from _decoded(container, picture_stream(container))

    def _report(self, broken: int, seconds: float) -> None:
        missing = self._declared - seconds
        self.notes = []
        if missing * FPS > 2:
            self.notes.append(f"breaks off at {seconds:.2f} s of {self._declared:.2f} s; what is there is used")
        elif broken:
            self.notes.append(f"{broken} damaged packets skipped")

    def _rgb(self, frame: Any) -> UInt8[Tensor, "3 H W"]:
        picture: np.ndarray = self._to_rgb.reformat(frame, format="rgb24", **EXACT).to_ndarray()
        turns = round(getattr(frame, "rotation", 0) / 90) % 4
        if turns:
            picture = np.ascontiguousarray(np.rot90(picture, turns))
        return torch.from_numpy(picture).permute(2, 0, 1)


def _decoded(container: Any, stream: Any) -> Iterator[tuple[Any | None, bool]]:
    """(frame, False), or (None, True) for a packet that could not be decoded."""
    stream.thread_type = "AUTO"
    for frames in packets(container, stream):
        if frames is None:
            yield None, True
        else:
            yield from ((frame, False) for frame in frames)


def packets(container: Any, stream: Any) -> Iterator[list[Any] | None]:
    """The frames of each packet of a stream; None for a packet that could not be decoded."""
    found = container.demux(stream)
    while True:
        try:
            packet = next(found, None)
            if packet is None:
                return
            frames = packet.decode()
        except EOFError:
            return
        except av.FFmpegError:
            frames = None
        yield frames


def in_chunks(frames: Iterable[UInt8[Tensor, "3 H W"]], size: int) -> Iterator[UInt8[Tensor, "n 3 H W"]]:
    """Single frames as stacks of `size`; the last one may be shorter."""
    stack: list[Tensor] = []
    for frame in frames:
        stack.append(frame)
        if len(stack) == size:
            yield torch.stack(stack)
            stack = []
    if stack:
        yield torch.stack(stack)


def read_video(path: str | Path) -> UInt8[Tensor, "T 3 H W"]:
    """All of a short video at 25 frames a second. Long ones belong in `VideoReader`, which streams."""
    return torch.stack(list(VideoReader(path)))
