"""When each picture of a stream is shown, and how to come back to one by seeking."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple

from visemix.data.containers import decode, packets

TRIES = 1, 4, 16  # key frames to go back, where a file's own index leads too far


class Shown(NamedTuple):
    """A decoded frame (None for a packet that cannot be decoded) and when it is shown, in ticks of its stream."""

    frame: Any | None
    ticks: int


class Lost(Exception):
    """What is read after seeking is not what stands there when the file is read from its beginning."""


def pictures(container: Any, stream: Any) -> Iterator[Shown]:
    """The pictures of a stream from the beginning of its file."""
    stream.thread_type = "AUTO"
    stamps = Stamps(container, stream)
    for packet in packets(container, stream):
        stamps.send(packet)
        frames = decode(packet)
        if frames is None:
            yield Shown(None, 0)
        for frame in frames or ():
            yield Shown(frame, stamps.show(frame))


class Stamps:
    """The times of pictures as a decoder gives them out, which is always in the order in which they are shown.

    A file may hold the times of decoding alone: AVI does, and what was copied from it into another container. There no
    timestamp is less than one before it, although the decoder reorders; the k-th picture has the k-th time.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._context, self._by_dts = stream.codec_context, container.format.name == "avi"
        rate = stream.average_rate or stream.guessed_rate or 25
        self._step = max(1, round(1 / (rate * stream.time_base)))
        self._waiting: list[int] = []
        self._latest: int | None = None
        self._last = -self._step
        self._told = False  # whether timestamps go back, so that they must be those of showing

    def send(self, packet: Any) -> None:
        """Take note of a packet that goes into the decoder."""
        stamp = packet.dts if self._by_dts else packet.pts
        if stamp is None or packet.is_discard or (self._latest is None and not packet.is_keyframe):
            return
        self._told |= self._latest is not None and stamp < self._latest
        self._latest = stamp
        heapq.heappush(self._waiting, stamp)

    def show(self, frame: Any) -> int:
        """When a frame is shown that came out of the decoder."""
        in_turn = frame.pts is None or (self._context.has_b_frames and not self._told)
        if in_turn and self._waiting:
            self._last = heapq.heappop(self._waiting)
        else:
            self._last = self._last + self._step if frame.pts is None else int(frame.pts)
            while self._waiting and self._waiting[0] <= self._last:
                heapq.heappop(self._waiting)
        return self._last


class KeyFrames:
    """Where the key frames of a stream lie, found by reading the file's packets once, without decoding.

    Seeking is up to each container, and not all do it well: MPEG-PS guesses timestamps from where it lands. So a key
    frame that was sought is told by its place in the file, and from there on pictures have the times that they have
    when the file is read from its beginning.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._pts: list[int | None] = []
        self._sizes: list[int] = []
        self._numbers: dict[int, int] = {}
        reorders, told = stream.codec_context.has_b_frames, False
        for packet in packets(container, stream):
            if not packet.size:
                continue
            if packet.is_keyframe and packet.pts is not None and packet.pos is not None:
                self._numbers[packet.pos] = len(self._pts)
            told |= bool(self._pts) and None not in (packet.pts, self._pts[-1]) and packet.pts < self._pts[-1]
            self._pts.append(packet.pts)
            self._sizes.append(packet.size)
        self._keys = list(self._numbers.values())
        times = [self._pts[n] for n in self._keys]
        usable = not (reorders and not told) and container.format.name != "avi" and None not in self._pts
        if not usable or times != sorted(set(times)):  # type: ignore[type-var]
            self._keys = []

    def seek(self, container: Any, stream: Any, ticks: int) -> Iterator[Shown]:
        """The pictures of a freshly opened stream, from one at or before `ticks` on.

        Raises:
            Lost: at once or later on; read from the beginning then.
        """
        stream.thread_type = "AUTO"
        last = bisect_right(self._keys, ticks, key=lambda n: self._pts[n])  # type: ignore[arg-type, return-value]
        for back in TRIES:
            if last - back < 0:
                break
            wanted = self._keys[last - back]
            container.seek(self._pts[wanted], stream=stream)
            found = packets(container, stream)
            for packet in found:
                number = self._numbers.get(packet.pos) if packet.pos is not None else None
                if number is None or packet.size != self._sizes[number]:
                    continue
                if number > self._keys[last - 1]:
                    break
                yield from self._from(number, packet, found)
                return
        raise Lost

    def _from(self, number: int, packet: Any, rest: Iterator[Any]) -> Iterator[Shown]:
        first = self._pts[number]
        begun = False
        while True:
            if packet.size:
                if number >= len(self._sizes) or packet.size != self._sizes[number]:
                    raise Lost
                packet.pts = self._pts[number]
                number += 1
            frames = decode(packet)
            if frames is None:
                yield Shown(None, 0)
            for frame in frames or ():
                if frame.pts is None or (frame.is_corrupt and not begun):
                    raise Lost
                if frame.pts >= first:  # what goes before it refers to what was not decoded
                    begun = True
                    yield Shown(frame, int(frame.pts))
            following = next(rest, None)
            if following is None:
                return
            packet = following
