"""Video files as 25 pictures a second, by their timestamps, whatever rate they were recorded at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import torch
from jaxtyping import UInt8
from torch import Tensor

from visemix.data.containers import open_media, packets, picture_stream, sound_stream
from visemix.data.timeline import KeyFrames, Lost, Shown, pictures
from visemix.data.upright import Upright
from visemix.types import FPS, VisemixError

# Containers that count in milliseconds put a frame up to 1 ms off its place, on either side.
EARLY = 0.002
HOLD = 3600.0  # seconds for which pictures may stand still in all: one damaged timestamp can ask for years
BACK = 1.0  # seconds by which a picture may be timed before the one it follows
# Containers whose header says how long they are, and is right about it: of each stream, or of all together.
OF_STREAMS = "mov,mp4,m4a,3gp,3g2,mj2", "avi"
OF_ALL = "matroska,webm", "flv", "asf"


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


def probe(path: str | Path) -> Probe:
    """Frames, rate, length and size of a media file."""
    with open_media(path) as container:
        stream = picture_stream(container)
        sound = sound_stream(container) is not None
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

    Slower sources repeat pictures, faster ones skip some; times count from the file's first picture. Pictures come as
    players show them: turned and mirrored as the file says, with square pixels, tone-mapped where they are HDR, and of
    the first one's size. Iterating decodes the file once, in bounded memory, and can be done again; `between` gives the
    same pictures. A file that breaks off early gives the frames it still holds, and `notes` says so afterwards.

    Raises:
        VisemixError: on opening, where the file cannot be read or holds no picture.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        info = probe(path)
        self.fps, self.sound, self.source_frames, self._declared = info.fps, info.sound, info.frames, info.seconds
        with open_media(path) as container:
            stream = picture_stream(container)
            if stream is None:
                raise VisemixError(f"{path} holds no picture; give a video file")
            first, self._start = self._first(container, stream)
            self.time_base = float(stream.time_base)
            self.start = self._start * self.time_base  # seconds, on the clock that the sound track shares
            self._upright = Upright(first, stream.sample_aspect_ratio)
            self.height, self.width = self._upright.size
            self._rgb(first)
        self._keys: KeyFrames | None = None
        self.notes = self._remarks(set())

    @property
    def frames(self) -> int:
        """Frames at 25 a second, by what the file says of its length; decoding may find fewer."""
        return max(1, round(self._declared * FPS))

    def __iter__(self) -> Iterator[UInt8[Tensor, "3 H W"]]:
        return self.between(0, None)

    def between(self, start: int, stop: int | None) -> Iterator[UInt8[Tensor, "3 H W"]]:
        """Frames `start` up to `stop` (None: the end), found by seeking. Each is a view on H×W×3 memory.

        Raises:
            VisemixError: no picture can be decoded, or the file's clock is broken.
        """
        shown, picture = None, None
        for frame in self._frames(start, stop):
            if frame is not shown:
                shown, picture = frame, self._rgb(frame)
            yield picture  # type: ignore[misc]
        if shown is None and start == 0:
            raise VisemixError(f"no picture in {self.path} can be decoded; convert it again from its source")

    def _frames(self, start: int, stop: int | None) -> Iterator[Any]:
        end = math.inf if stop is None else stop
        k, time, shown, broken, last_step = start, 0.0, None, 0, 1 / self.fps
        sizes = set()
        for frame, when in self._timed(start):
            if frame is None:
                broken += 1
                continue
            time = when
            while shown is not None and k / FPS < time - EARLY:
                if k >= end:
                    return
                yield shown
                k += 1
            shown = frame
            sizes.add((frame.width, frame.height))
        if shown is None:
            return
        if shown.duration:
            last_step = min(shown.duration * self.time_base, HOLD)
        total = max(1, round((time + last_step) * FPS))
        while k < min(end, total):
            yield shown
            k += 1
        if stop is None:
            self.notes = self._remarks(sizes) + self._damage(broken, time + last_step)

    def _timed(self, start: int) -> Iterator[tuple[Any | None, float]]:
        """Decoded frames from one at or before output frame `start`, with their seconds from the first."""
        last, held = None, 0.0
        for frame, ticks in self._source(start):
            if frame is None:
                yield None, 0.0
                continue
            time = (ticks - self._start) * self.time_base
            last = time if last is None else last
            held += max(0.0, time - last - 1)
            if held > HOLD or last - time > BACK:
                jump = f"the clock of {self.path} jumps from {last:.2f} s to {time:.2f} s"
                raise VisemixError(f"{jump}; convert it again from its source")
            last = max(last, time)
            yield frame, time

    def _source(self, start: int) -> Iterator[Shown]:
        ticks, before = self._start + int((start / FPS + EARLY) / self.time_base), -math.inf
        if start > 0:
            if self._keys is None:
                with open_media(self.path) as container:
                    self._keys = KeyFrames(container, picture_stream(container))
            try:
                with open_media(self.path) as container:
                    for shown in self._keys.seek(container, picture_stream(container), ticks):
                        yield shown
                        before = shown.ticks
                return
            except (Lost, av.FFmpegError):
                pass
        with open_media(self.path) as container:
            for shown in pictures(container, picture_stream(container)):
                if shown.frame is None or shown.ticks > before:
                    yield shown

    def _first(self, container: Any, stream: Any) -> tuple[Any, int]:
        for frame, ticks in pictures(container, stream):
            if frame is not None:
                return frame, ticks
        raise VisemixError(f"no picture in {self.path} can be decoded; convert it again from its source")

    def _remarks(self, sizes: set[tuple[int, int]]) -> list[str]:
        """What is done to the pictures that their maker may not expect."""
        remarks = []
        if self._upright.hdr:
            remarks.append(f"its pictures are HDR ({self._upright.hdr}); they are tone-mapped for an ordinary screen")
        if sizes - {self._upright.first}:
            remarks.append("its pictures change size midway; all are brought to the first one's")
        return remarks

    def _damage(self, broken: int, seconds: float) -> list[str]:
        until = self.start + seconds
        end = self._end(until)
        if (end - until) * FPS > 2:
            return [f"breaks off at {seconds:.2f} s of {end - self.start:.2f} s; what is there is used"]
        return [f"{broken} damaged packets skipped"] if broken else []

    def _end(self, until: float) -> float:
        """When the pictures should end that end at `until`, in seconds on the file's clock."""
        with open_media(self.path) as container:
            kind, stream = container.format.name, picture_stream(container)
            if kind in OF_STREAMS and stream is not None and stream.duration:
                return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
            end = (container.duration or 0) / 1e6 if kind in OF_ALL else until
            if (end - until) * FPS <= 2:
                return until
            # One of the tracks lasts that long. It may be the sound.
            others = [s for s in container.streams if s.type == "audio"]
            ends = ((p.pts + (p.duration or 0)) * p.time_base for p in packets(container, *others) if p.pts is not None)
            return until if others and (end - max(ends, default=0)) * FPS <= 2 else end

    def _rgb(self, frame: Any) -> UInt8[Tensor, "3 H W"]:
        try:
            return self._upright(frame)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            raise VisemixError(f"the pictures of {self.path} cannot be converted to RGB ({error})") from error


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
