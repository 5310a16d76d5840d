"""Windows of prepared clips: which frames make an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import Dataset

from visemix.data.clips import ClipFolder
from visemix.data.sampling import Draw
from visemix.types import Clip, Gallery


@dataclass(frozen=True)
class Span:
    """The frames `start` … `stop − 1` of a clip, for one of the two splits."""

    clip: ClipFolder
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def evenly_spaced(ranges: Sequence[range], count: int) -> list[int]:
    """Numbers of `count` frames, evenly spaced over ranges; repeated where these hold fewer.

    >>> evenly_spaced([range(0, 4), range(10, 14)], 4), evenly_spaced([range(2)], 4)
    ([0, 2, 10, 12], [0, 0, 1, 1])
    """
    frames = [k for part in ranges for k in part]
    return [frames[k * len(frames) // count] for k in range(count)]


def with_gallery(clip: Clip, gallery: Gallery | None) -> Clip:
    """The clip with this gallery of its subject; as it is where there is none."""
    return clip if gallery is None else replace(clip, subject=replace(clip.subject, gallery=gallery))


class TrainingWindows(Dataset[Clip]):
    """Windows at random places of the spans, or of a grid over them; one pass has as many as it takes to cover them.

    The reference picture is drawn from the same span, at least `gap` frames away from the window, and so is a gallery
    of `gallery` pictures, spread over it. Choices follow from a `Draw`'s seed, or from torch's global generator where
    only a number is asked for.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        window: int,
        gap: int,
        frames: bool,
        grid: int = 1,
        sounds: bool = False,
        gallery: int = 0,
    ) -> None:
        self.gallery = gallery
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
        clip = span.clip.clip(frames, footage=self.frames, reference=reference, sounds=self.sounds)
        return with_gallery(clip, self._gallery(span, start))

    def _gallery(self, span: Span, start: int) -> Gallery | None:
        """`Gallery` of frames far enough from the window, some repeated, so that there are as many for every window."""
        if not self.gallery:
            return None
        shown = evenly_spaced([range(span.start, span.stop)], self.gallery)
        away = [max(start - k, k - (start + self.window - 1)) for k in shown]
        far = [k for k in range(len(shown)) if away[k] >= min(self.gap, max(away))]
        index = torch.tensor([far[k % len(far)] for k in range(len(shown))])
        return span.clip.gallery(shown).map(lambda t: t[:, index])

    def _reference(self, span: Span, start: int, g: torch.Generator) -> int:
        before = max(0, start - self.gap - span.start)
        after = max(0, span.stop - (start + self.window + self.gap))
        if before + after == 0:  # too short to keep the distance: then as far as it goes
            return span.start if start - span.start >= span.stop - start - self.window else span.stop - 1
        k = int(torch.randint(before + after, (), generator=g))
        return span.start + k if k < before else span.stop - after + (k - before)


class ValidationWindows(Dataset[Clip]):
    """Windows one after another, the last one ending with its span; the reference is the clip's first frame, and the
    gallery lies before the span."""

    def __init__(
        self, spans: Sequence[Span], window: int, frames: bool, sounds: bool = False, gallery: int = 0
    ) -> None:
        self.window, self.frames, self.sounds, self.gallery = window, frames, sounds, gallery
        self.places = [(span, start) for span in spans for start in _starts(span, window)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: int) -> Clip:
        span, start = self.places[at]
        reference = 0 if self.frames else None
        frames = range(start, start + self.window)
        clip = span.clip.clip(frames, footage=self.frames, reference=reference, sounds=self.sounds)
        return with_gallery(clip, gallery_before(span, self.gallery))


def gallery_of(clip: ClipFolder, count: int) -> Gallery | None:
    """`count` of a clip's pictures, spread over what shows the face; None where nobody wants any."""
    return clip.gallery(evenly_spaced(clip.visible_ranges, count)) if count else None


def gallery_before(span: Span, count: int) -> Gallery | None:
    """`count` pictures from what the clip shows before a stretch that is held out; of its first frame, where that is
    all of it."""
    if not count:
        return None
    known = [
        range(part.start, min(part.stop, span.start)) for part in span.clip.visible_ranges if part.start < span.start
    ]
    return span.clip.gallery(evenly_spaced(known or [range(1)], count))


def _starts(span: Span, window: int) -> list[int]:
    last = span.stop - window
    return [*range(span.start, last, window), last]
