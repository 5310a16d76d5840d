"""Which example comes when, and with which seed, as a function of the run's seed and the place alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count, islice
from typing import NamedTuple

import torch
from torch.utils.data import DistributedSampler


class Draw(NamedTuple):
    """An example, and the seed of the choices made for it: whoever asks for the same draw gets the same."""

    example: int
    seed: int


def step_seed(*numbers: int) -> int:
    """A seed that follows from a few numbers and from nothing else (`hash` differs between processes).

    >>> step_seed(0, 1) == step_seed(0, 1) != step_seed(1, 0)
    True
    """
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "big")


def shuffled(examples: int, seed: int, start: int = 0) -> Iterator[Draw]:
    """Draws without end, from the one at `start` on: every pass over the examples is a shuffle of its own.

    >>> list(islice(shuffled(3, seed=0, start=4), 5)) == list(islice(shuffled(3, seed=0), 9))[4:]
    True
    """
    for this_pass in count(start // examples):
        g = torch.Generator().manual_seed(step_seed(seed, this_pass))
        order = torch.randperm(examples, generator=g).tolist()
        for position in range(max(start, this_pass * examples), (this_pass + 1) * examples):
            yield Draw(order[position % examples], step_seed(seed, 0, position))


class ShuffledSampler(DistributedSampler[Draw]):  # which Lightning's trainer leaves as it is
    """The draws of one pass after another; of `ranks` processes that share them, the one of this `rank` takes every
    `ranks`-th, and the draws of the next pass where they do not come out even."""

    def __init__(self, examples: int, seed: int, *, rank: int = 0, ranks: int = 1) -> None:
        self.share, self.rank, self.ranks = -(-examples // ranks), rank, ranks
        self.examples, self.seed, self.passes = examples, seed, 0

    def __len__(self) -> int:
        return self.share

    def __iter__(self) -> Iterator[Draw]:
        begin, together = self.passes * self.share * self.ranks, self.share * self.ranks
        self.passes += 1
        return islice(shuffled(self.examples, self.seed, begin), self.rank, together, self.ranks)

    def set_epoch(self, epoch: int) -> None:
        """Go on with that pass, counted from 0; a trainer says so, also where it goes on from a checkpoint."""
        self.passes = epoch
