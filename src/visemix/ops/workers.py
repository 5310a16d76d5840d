"""Processes that work off a list; one that dies takes only its own item with it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CONTEXT = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork


class Workers(Generic[Item, Result]):
    """`count` processes, each set up once by `initialise(*options)`: a context, at whose end they end.

    Each has an executor of its own, so that a crash (a decoder's, the kernel's for want of memory) is known to belong
    to the item in hand, and a fresh process takes the next. None outlives the process that began it, however that ends.
    """

    def __init__(self, count: int, initialise: Callable[..., None], options: tuple[Any, ...]) -> None:
        self.initialise, self.options = initialise, options
        self._threads = ThreadPoolExecutor(count)
        self._mine = threading.local()
        self._all: list[ProcessPoolExecutor] = []

    def __enter__(self) -> Workers[Item, Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for executor in self._all:
            executor.shutdown(wait=False, cancel_futures=True)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[tuple[Item, Result | None]]:
        """(item, result) in the order they are done; None where the process died over it."""
        jobs = {self.submit(work, item): item for item in items}
        for job in as_completed(jobs):
            yield jobs[job], job.result()

    def submit(self, work: Callable[[Item], Result], item: Item) -> Future[Result | None]:
        """One item's result, once its turn has come; None where the process died over it."""
        return self._threads.submit(self._one, work, item)

    def _one(self, work: Callable[[Item], Result], item: Item) -> Result | None:
        if getattr(self._mine, "executor", None) is None:
            self._mine.executor = ProcessPoolExecutor(1, CONTEXT, _initialise, (self.initialise, *self.options))
            self._all.append(self._mine.executor)
        try:
            return self._mine.executor.submit(work, item).result()
        except BrokenProcessPool:
            self._mine.executor = None
            return None


def _initialise(initialise: Callable[..., None], *options: Any) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    initialise(*options)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
