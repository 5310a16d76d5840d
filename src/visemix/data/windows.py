"""Windows of prepared clips: which frames make an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Dataset

from visemix.data.clips import ClipFolder
from visemix.types import Clip


class Draw(NamedTuple):
    """An example, and the seed of the choices made for it: whoever asks for the same draw gets the same window."""

    example: int
    seed: int


@dataclass(frozen=True)
class Span:
    """The frames `start` … `stop − 1` of a clip, for one of the two splits."""

    clip: ClipFolder
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class TrainingWindows(Dataset[Clip]):
    """Windows at random places of the spans, or of a grid over them; one pass has as many as it takes to cover them.

    The reference picture is drawn from the same span, at least `gap` frames away from the window. Choices follow from
    a `Draw`'s seed, or from torch's global generator where only a number is asked for.
    """

    def __init__(
        self, spans: Sequence[Span], window: int, gap: int, frames: bool, grid: int = 1, sounds: bool = False
    ) -> None:
        self.window, self.gap, self.frames, self.grid, self.sounds = window, gap, frames, grid, sounds
        self.spans = [span for span in spans for _ in range(-(-len(span) // window))]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, at: int | Draw) -> Clip:
        example, seed = at if isinstance(at, tuple) else (at, int(torch.randint(2**62, ())))
        g = torch.Generator().manual_seed(seed)
        span = self.spans[example]
        places = (len(span) - self.window) // self.grid + 1
        start = span.start + self.grid * int(torch.randint(places, (), generator=g))
        reference = self._reference(span, start, g) if self.frames else None
        frames = range(start, start + self.window)
        return span.clip.clip(frames, footage=self.frames, reference=reference, sounds=self.sounds)

    def _reference(self, span: Span, start: int, g: torch.Generator) -> int:
        before = max(0, start - self.gap - span.start)
        after = max(0, span.stop - (start + self.window + self.gap))
        if before + after == 0:  # too short to keep the distance: then as far as it goes
            return span.start if start - span.start >= span.stop - start - self.window else span.stop - 1
        k = int(torch.randint(before + after, (), generator=g))
        return span.start + k if k < before else span.stop - after + (k - before)


class ValidationWindows(Dataset[Clip]):
    """Windows one after another, the last one ending with its span; the reference is the clip's first frame."""

    def __init__(self, spans: Sequence[Span], window: int, frames: bool, sounds: bool = False) -> None:
        self.window, self.frames, self.sounds = window, frames, sounds
        self.places = [(span.clip, start) for span in spans for start in _starts(span, window)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: int) -> Clip:
        clip, start = self.places[at]
        reference = 0 if self.frames else None
        frames = range(start, start + self.window)
        return clip.clip(frames, footage=self.frames, reference=reference, sounds=self.sounds)


def _starts(span: Span, window: int) -> list[int]:
    last = span.stop - window
    return [*range(span.start, last, window), last]
