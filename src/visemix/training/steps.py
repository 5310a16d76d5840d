"""Training batches as a function of the seed and the step, so that a run can stop and go on at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from visemix.data.sampling import Draw, shuffled


class Steps(Sampler[list[Draw]]):
    """The batches of steps `start` to `steps`: every pass over the examples is a shuffle of its own."""

    def __init__(self, examples: int, batch: int, steps: int, seed: int) -> None:
        self.examples, self.batch, self.steps, self.seed = examples, batch, steps, seed
        self.start = 0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = shuffled(self.examples, self.seed, self.start * self.batch)
        for _ in range(self.start, self.steps):
            yield list(islice(draws, self.batch))


class Seeded(Dataset[Any]):
    """Examples whose random choices follow from the draw, whichever process makes them."""

    def __init__(self, base: Any) -> None:
        self.base = base

    def __getitem__(self, draw: Draw) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)
            return self.base[draw.example]


class StepLoader(DataLoader[Any]):
    """A loader of exactly `steps` batches over the examples of another; Lightning stores and restores its place.

    `between` is called before each batch: all that belongs to the step before, its validation too, is done by then.
    """

    def __init__(
        self,
        base: DataLoader[Any],
        *,
        batch: int,
        steps: int,
        seed: int,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.place, self.between = 0, between
        self.plan = Steps(len(base.dataset), batch, steps, seed)  # type: ignore[arg-type]
        super().__init__(
            Seeded(base.dataset),
            batch_sampler=self.plan,
            num_workers=base.num_workers,
            collate_fn=base.collate_fn,
            pin_memory=base.pin_memory,
            worker_init_fn=base.worker_init_fn,
            prefetch_factor=base.prefetch_factor,
            multiprocessing_context=base.multiprocessing_context,
        )

    def __iter__(self) -> Any:
        self.place = self.plan.start
        self.between()
        for batch in super().__iter__():
            self.place += 1
            yield batch
            self.between()

    def state_dict(self) -> dict[str, int]:
        """How many batches have been handed out."""
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that have been handed out."""
        self.place = self.plan.start = state["place"]
