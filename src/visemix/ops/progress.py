"""How far a batch is, on the console."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment

from visemix.ops.workers import CONTEXT
from visemix.terminal import printable, printable_lines


class Console(console.Console):
    """Rich's console, on which what a file calls itself, or says in a note, cannot steer the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of a renderable, all text in them printable; what Rich steers by is Rich's own."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(printable_lines(piece.text), piece.style)


class BatchProgress:
    """One bar for the whole, and one for each item in work."""

    def __init__(self, progress: Progress, total: int, what: str) -> None:
        self.progress = progress
        self.whole = progress.add_task(what, total=total)
        self.rows: dict[str, TaskID] = {}

    def update(self, name: str, step: str, done: int, total: int) -> None:
        """Set an item's bar to `done` of `total` in this step; its first report adds the bar."""
        if name not in self.rows:
            self.rows[name] = self.progress.add_task("")
        self.progress.update(self.rows[name], description=printable(f"{name}: {step}"), completed=done, total=total)

    def finish(self, name: str) -> None:
        """Remove an item's bar and count it in the whole."""
        if name in self.rows:
            self.progress.remove_task(self.rows.pop(name))
        self.progress.advance(self.whole)


@contextmanager
def batch_progress(console: Console, total: int, what: str = "videos") -> Iterator[BatchProgress]:
    """Context: the bars of a batch of `total` items, on the console until it ends."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield BatchProgress(progress, total, what)


@contextmanager
def progress_queue(bars: BatchProgress) -> Iterator[Any]:
    """A queue for other processes: what they put in as (name, step, done, total) is shown till the context ends."""
    reports: Any = CONTEXT.SimpleQueue()

    def forward_reports() -> None:
        for report in iter(reports.get, None):
            bars.update(*report)

    listener = threading.Thread(target=forward_reports, daemon=True)
    listener.start()
    try:
        yield reports
    finally:
        reports.put(None)
        listener.join()
