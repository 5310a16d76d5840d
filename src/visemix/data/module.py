"""Windows of prepared clips, for training and validation."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from visemix.data.base import DATA, DataModule
from visemix.data.clips import ClipFolder, find_clips
from visemix.face import FaceModel
from visemix.types import FPS, Clip, VisemixError, collate

log = logging.getLogger(__name__)


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
    """Windows at random places of the spans; one pass has as many as it takes to cover them.

    The reference picture is drawn from the same span, at least `gap` frames away from the window. Choices follow from
    a `Draw`'s seed, or from torch's global generator where only a number is asked for.
    """

    def __init__(self, spans: Sequence[Span], window: int, gap: int, frames: bool) -> None:
        self.window, self.gap, self.frames = window, gap, frames
        self.spans = [span for span in spans for _ in range(-(-len(span) // window))]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, at: int | Draw) -> Clip:
        example, seed = at if isinstance(at, tuple) else (at, int(torch.randint(2**62, ())))
        g = torch.Generator().manual_seed(seed)
        span = self.spans[example]
        start = int(torch.randint(span.start, span.stop - self.window + 1, (), generator=g))
        reference = self._reference(span, start, g) if self.frames else None
        return span.clip.clip(range(start, start + self.window), footage=self.frames, reference=reference)

    def _reference(self, span: Span, start: int, g: torch.Generator) -> int:
        before = max(0, start - self.gap - span.start)
        after = max(0, span.stop - (start + self.window + self.gap))
        if before + after == 0:  # too short to keep the distance: then as far as it goes
            return span.start if start - span.start >= span.stop - start - self.window else span.stop - 1
        k = int(torch.randint(before + after, (), generator=g))
        return span.start + k if k < before else span.stop - after + (k - before)


class ValidationWindows(Dataset[Clip]):
    """Windows one after another, the last one ending with its span; the reference is the clip's first frame."""

    def __init__(self, spans: Sequence[Span], window: int, frames: bool) -> None:
        self.window, self.frames = window, frames
        self.places = [(span.clip, start) for span in spans for start in _starts(span, window)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, at: int) -> Clip:
        clip, start = self.places[at]
        reference = 0 if self.frames else None
        return clip.clip(range(start, start + self.window), footage=self.frames, reference=reference)


def _starts(span: Span, window: int) -> list[int]:
    last = span.stop - window
    return [*range(span.start, last, window), last]


class Shuffled(Sampler[Draw]):
    """Every example once a pass, in an order, and with seeds, that follow from `seed` and the number of the pass."""

    def __init__(self, examples: int, seed: int) -> None:
        self.examples = examples
        self.g = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.examples

    def __iter__(self) -> Iterator[Draw]:
        order = torch.randperm(self.examples, generator=self.g).tolist()
        seeds = torch.randint(2**62, (self.examples,), generator=self.g).tolist()
        yield from map(Draw, order, seeds)


@DATA.register("clips")
class ClipsModule(DataModule):
    """Clips that `visemix prepare` made, in windows of `window` frames, as batches of `types.Clip`.

    Training windows lie anywhere; validation goes through what was held out, one window after another.

    Args:
        face: the face model in use; the clips must have been fitted with it.
        root: a folder of clips, or one clip.
        clips: names of the clips to take, by default all in `root`.
        window: frames in an example.
        batch: examples in a training batch; validation goes one by one.
        workers: processes that load; 0 loads in this one.
        holdout: seconds at the end of each training clip that are kept for validation.
        val_speakers: people who are in validation only, with all of their clips.
        frames: also load the pictures; motion models do without.
        speech: leave out clips without speech (silent, or without a sound track), by name; a clip that was asked for
            by name is refused instead. By default where no pictures are loaded: motion is learned from speech, a
            renderer learns from any clip.
        reference_gap: frames between a training window and its reference picture, at least.
        seed: of the standalone training loader.

    Raises:
        VisemixError: in `setup`, where no clip is left to train on, or one does not fit the face model.
    """

    def __init__(
        self,
        face: FaceModel,
        *,
        root: str,
        clips: list[str] = [],  # noqa: B006 — a part's defaults are its config, copied by the registry
        window: int = 50,
        batch: int = 4,
        workers: int = 0,
        holdout: float = 2.0,
        val_speakers: list[str] = [],  # noqa: B006
        frames: bool = True,
        speech: bool | None = None,
        reference_gap: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if window < 1 or batch < 1:
            raise VisemixError(f"data.window={window} and data.batch={batch} must be at least 1")
        self.face, self.root, self.names, self.window, self.batch = face, Path(root), list(clips), window, batch
        self.workers, self.held, self.val_speakers = workers, round(holdout * FPS), list(val_speakers)
        self.frames, self.speech, self.gap, self.seed = frames, speech, reference_gap, seed
        self.train_spans: list[Span] = []
        self.val_spans: list[Span] = []

    @property
    def speakers(self) -> list[str]:
        """Who is trained on, sorted: after `setup`."""
        return sorted({span.clip.speaker for span in self.train_spans})

    def setup(self, stage: str | None = None) -> None:
        if self.train_spans:
            return
        named = bool(self.names) or (self.root / "meta.yaml").is_file()
        paths = [self.root / name for name in self.names] or find_clips(self.root)
        clips = [ClipFolder(path, self.face) for path in paths]
        unknown = sorted(set(self.val_speakers) - {clip.speaker for clip in clips})
        if unknown:
            have = ", ".join(sorted({clip.speaker for clip in clips}))
            raise VisemixError(f"data.val_speakers: nobody named {', '.join(unknown)} in {self.root} (have: {have})")
        for clip in clips:
            reason = self._unfit(clip)
            if reason and named:
                raise VisemixError(f"{clip.path} {reason}")
            if reason:
                log.warning("%s is left out: it %s", clip.path, reason)
            elif clip.speaker in self.val_speakers:
                self.val_spans.append(Span(clip, 0, clip.frames))
            else:
                cut = clip.frames - self.held
                self.train_spans.append(Span(clip, 0, cut))
                if self.held:
                    self.val_spans.append(Span(clip, cut, clip.frames))
        if not self.train_spans:
            raise VisemixError(f"no clip in {self.root} can be trained on; prepare longer ones, or ones with speech")

    def _unfit(self, clip: ClipFolder) -> str:
        """Why a clip cannot be used, or nothing."""
        needs_speech = not self.frames if self.speech is None else self.speech
        if needs_speech and clip.audio != "speech":
            sound = "has no sound track" if clip.audio == "none" else "is silent"
            return f"{sound}: good as a target to render, not to learn motion from (data.speech=false takes it)"
        held = 0 if clip.speaker in self.val_speakers else self.held
        if clip.frames - held < self.window:
            return f"is too short: {clip.frames} frames, {held} held out, for a window of {self.window} (data.window)"
        return ""

    def train_dataloader(self) -> DataLoader[Clip]:
        windows = TrainingWindows(self.train_spans, self.window, self.gap, self.frames)
        sampler = Shuffled(len(windows), self.seed)
        return self._loader(windows, batch_size=self.batch, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Clip]:
        window = min([self.window, *(len(span) for span in self.val_spans)])
        return self._loader(ValidationWindows(self.val_spans, window, self.frames), batch_size=1)

    def _loader(self, windows: Dataset[Clip], batch_size: int, sampler: Shuffled | None = None) -> DataLoader[Clip]:
        return DataLoader(
            windows,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            persistent_workers=self.workers > 0,
        )
