"""Sound by its container's clock, which is the pictures' too, rather than by how many samples there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise

import numpy as np
from jaxtyping import Float

from visemix.types import VisemixError

GAP = 0.04  # seconds by which a block is timed after or before the end of the last one: a hole, or an overlap
SMALL_GAP = 0.008  # the same where the blocks before were in time
JITTER = 4, 50  # a small gap is so many times what any of so many blocks before it was off
BACK = 1.0  # seconds of overlap beyond which the clock itself is broken
HOLES = 3600.0  # seconds of holes that are filled with silence, in all
DRIFT = 0.003  # seconds that sound and clock may differ: containers round to milliseconds, and some clocks jitter
STRETCH = 2  # times that a second is made longer or shorter at most
PIECE = 1 << 22  # samples of all channels in a piece at most

Block = Float[np.ndarray, "channels _"]


@dataclass
class _Piece:
    """About a second of sound without a hole: its blocks, and by how many samples the clock is ahead at each."""

    start: int  # number of its first sample in the file
    opens: bool  # whether it is the first one after a hole
    blocks: list[Block] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    samples: int = 0

    @property
    def lead(self) -> float:
        return float(np.median(self.ahead))


def in_time(blocks: Iterable[tuple[Block, float | None]], rate: int, start: float | None) -> Iterator[Block]:
    """Blocks of sound such that sample k is heard k / rate seconds after `start`, None: where the sound begins.

    What is timed before `start` is dropped, a hole of more than 8 ms, or 40 where the clock jitters, is filled with
    silence, and as much of an overlap is dropped. Where the recorder's clock ran slower or faster than its container's,
    each second is made longer or shorter by cubic interpolation, so that sound stays within about 3 ms of its time.
    Sound that keeps time comes as it is, sample for sample.

    Args:
        blocks: float32 (channels, n), and when each begins, in seconds on the container's clock; None where that is
            not known, and it follows the one before.

    Raises:
        VisemixError: the clock jumps back by more than a second, or on by more than an hour in all.
    """
    given, filled, skip = 0, 0, 0
    before: _Piece | None = None
    for piece, after in pairwise(chain(_pieces(blocks, rate, start), (None,))):
        assert piece is not None
        if piece.opens:
            missing = piece.start + round(piece.ahead[0]) - given
            skip, before = max(0, -missing), None
            filled += max(0, missing)
            if filled > HOLES * rate:
                raise VisemixError(f"its clock jumps on by {missing / rate:.0f} s")
            yield from _silence(len(piece.blocks[0]), max(0, missing), rate)
            given += max(0, missing)
        if after is not None and after.opens:
            after = None
        dropped = min(skip, piece.samples)
        skip -= dropped
        kept, end = piece.samples - dropped, piece.start + piece.samples + _lead_at_end(before, piece, after)
        extra = round(end - given - kept)
        if not kept or abs(extra) <= DRIFT * rate:
            yield from _without(piece.blocks, dropped)
        else:
            length = min(max(kept + extra, kept // STRETCH), kept * STRETCH)
            whole = np.concatenate(piece.blocks, 1)[:, dropped:]
            last = whole if before is None else before.blocks[-1]
            yield _stretched(whole, length, last[:, -1:], (whole if after is None else after.blocks[0])[:, :2])
            kept = length
        given += kept
        before = piece


def _pieces(blocks: Iterable[tuple[Block, float | None]], rate: int, start: float | None) -> Iterator[_Piece]:
    piece: _Piece | None = None
    samples, ahead = 0, 0.0
    jumps: deque[float] = deque(maxlen=JITTER[1])
    for block, time in blocks:
        if start is None:
            start = time or 0.0
        late = ahead if time is None else (time - start) * rate - samples
        jump = late - ahead
        if piece is not None and jump < -BACK * rate:
            raise VisemixError(f"its clock jumps back by {-jump / rate:.1f} s")
        hole = piece is None or abs(jump) > min(GAP * rate, max(SMALL_GAP * rate, JITTER[0] * max(jumps, default=0)))
        jumps.append(0 if piece is None else abs(jump))
        if piece is None or hole or piece.samples * len(block) >= min(rate * len(block), PIECE):
            if piece is not None:
                yield piece
            piece = _Piece(samples, hole)
        ahead = late
        piece.blocks.append(block)
        piece.ahead.append(late)
        piece.samples += block.shape[1]
        samples += block.shape[1]
    if piece is not None:
        yield piece


def _lead_at_end(before: _Piece | None, piece: _Piece, after: _Piece | None) -> float:
    """By how many samples the clock is ahead of the sound at the end of a piece, from how it is around it."""
    if after is not None:
        return (piece.lead + after.lead) / 2
    return piece.lead if before is None else piece.lead + (piece.lead - before.lead) / 2


def _silence(channels: int, samples: int, rate: int) -> Iterator[Block]:
    for done in range(0, samples, rate):
        yield np.zeros((channels, min(rate, samples - done)), np.float32)


def _without(blocks: list[Block], dropped: int) -> Iterator[Block]:
    for block in blocks:
        if dropped < block.shape[1]:
            yield block[:, dropped:]
        dropped = max(0, dropped - block.shape[1])


def _stretched(samples: Block, length: int, before: Block, after: Block) -> Block:
    """The samples at `length` places over the same time, by a Catmull-Rom spline."""
    around = np.concatenate([before, samples, after, samples[:, -1:], samples[:, -1:]], 1)
    places = np.arange(length) * (samples.shape[1] / length)
    whole = places.astype(np.int64)
    t = (places - whole).astype(np.float32)
    a, b, c, d = (around[:, whole + k] for k in range(4))
    return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
