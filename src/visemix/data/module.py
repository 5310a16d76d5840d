"""Windows of prepared clips, for training and validation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch.utils.data import DataLoader, Dataset

from visemix.data.base import DATA, DataModule, DataRequest
from visemix.data.clips import NO_PICTURES, PARSE, UNKNOWN_WORDS, ClipFolder, find_clips
from visemix.data.domains import TrainingDomains, ValidationDomains
from visemix.data.sampling import ShuffledSampler
from visemix.data.windows import Span, TrainingWindows, ValidationWindows
from visemix.face import FaceModel
from visemix.options import Count, Natural, NotNegative, Positive, Seed
from visemix.types import FPS, VisemixError, collate

log = logging.getLogger(__name__)

KEPT = 2**29  # bytes of decoded pictures that a process keeps: 26 seconds of 512²
SEEN_BEFORE = (
    "%s: data.holdout=%g s are kept from training, but its identity, albedo and background were estimated from all but "
    "its last %g s; for scores on footage never seen, prepare it again with a --holdout as long and --overwrite"
)
MAYBE_SEEN = (
    "%s: data.holdout=%g s are kept from training, and its meta.yaml (`holdout`) says of its last %g s alone that "
    "identity, albedo and background owe nothing to them; where that is so of more, write it with a `holdout` as long"
)


@DATA.register("clips")
class ClipsModule(DataModule):
    """Clips that `visemix prepare` made, in windows of `window` frames, as batches of `types.Clip`.

    Training windows lie wherever the face was seen throughout; validation goes through what was held out, one window
    after another.

    Args:
        face: the face model in use; the clips must have been fitted with it.
        root: a folder of clips, or one clip.
        clips: names of the clips to take, by default all in `root`.
        window: frames in an example.
        batch: examples in a training batch; validation goes one by one.
        workers: processes that load; 0 loads in this one.
        holdout: seconds at the end of each training clip that are kept for validation; a clip of which fewer were held
            out when it was prepared is named in a warning.
        watch: seconds before them that are not trained on either; where there are any, validation looks at these, so
            that nothing that a run chooses by it (`train.*.patience`) has seen what it is scored on.
        seconds: of each clip no more is trained on than so much, right before what is kept; by default all.
        val_speakers: people who are in validation only, with all of their clips.
        target: a folder of one person's clips, which a post-net adapts to; used in that stage alone.
        grid: training windows begin at multiples of this many frames: with a `cached` encoder, windows that come again
            are not heard anew. A stage that hears nothing takes them anywhere.
        align: move the sound of each clip by the lag that `prepare` found between it and the lips, so that what is
            heard and what is seen belong together. Scores are of the recording as it is.
        frames: also load the pictures; motion models do without.
        speech: leave out clips without speech (silent, or without a sound track), by name; a clip that was asked for
            by name is refused instead. By default where a stage hears the sound; where no stage asks (`request`), where
            no pictures are loaded.
        reference_gap: frames between a training window and its reference picture, at least.
        seed: of the standalone training loader.

    Raises:
        VisemixError: in `setup`, where no clip is left to train on, or one does not fit the face model.
    """

    option_sources = MappingProxyType({"root": "FOLDER (of clips, as visemix corpus or visemix prepare makes them)"})

    def __init__(
        self,
        face: FaceModel,
        *,
        root: str,
        clips: list[str] = [],  # noqa: B006 — a part's defaults are its config, copied by the registry
        window: Count = 50,
        batch: Count = 4,
        workers: Natural = 0,
        holdout: NotNegative = 2.0,
        watch: NotNegative = 0.0,
        seconds: Positive | None = None,
        val_speakers: list[str] = [],  # noqa: B006
        target: str | None = None,
        grid: Count = 1,
        align: bool = True,
        frames: bool = True,
        speech: bool | None = None,
        reference_gap: Natural = 10,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if window < 1 or batch < 1 or grid < 1:
            raise VisemixError(f"data.window={window}, data.batch={batch} and data.grid={grid} must be at least 1")
        self.face, self.root, self.names, self.window, self.batch = face, Path(root), list(clips), window, batch
        self.workers, self.held, self.val_speakers = workers, round(holdout * FPS), list(val_speakers)
        self.watched, self.most = round(watch * FPS), None if seconds is None else round(seconds * FPS)
        self.frames, self.speech, self.gap, self.seed = frames, speech, reference_gap, seed
        self.target, self.grid, self.paired = None if target is None else Path(target), grid, False
        self.segmentation = self.sounds = self.lips = False
        self.align = align
        self.context: tuple[int, int] | None = None
        self.gallery = 0
        self.train_spans: list[Span] = []
        self.val_spans: list[Span] = []
        self.watch_spans: list[Span] = []
        self.person_spans: tuple[list[Span], list[Span]] = [], []  # to train and to validate on

    def request(self, request: DataRequest) -> None:
        """Take note of what a stage wants; one that hears nothing takes silent clips, and windows off the grid."""
        super().request(request)
        if not request.uses_sound:
            self.speech, self.grid = False, 1  # a grid spares hearing, and would hide most frames
        elif self.speech is None:
            self.speech = True

    @classmethod
    def person_config(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The target's clips, where a target is named."""
        person: dict[str, Any] = {"root": options.get("target"), "target": None, "clips": [], "val_speakers": []}
        return {**options, **person} if options.get("target") else dict(options)

    @classmethod
    def shared_config(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """These options with no target."""
        return {**options, "target": None} if "target" in options else dict(options)

    @property
    def speakers(self) -> list[str]:
        """Who is trained on, sorted: after `setup`."""
        return sorted({span.clip.speaker for span in self.train_spans})

    def setup(self, stage: str | None = None) -> None:
        """Open the clips and split them into spans, if that was not done before.

        Raises:
            VisemixError: as the class says.
        """
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
            clip.pictures.keep = KEPT // len(clips)
        self.train_spans, self.val_spans = self._split(clips, self.root, named)
        if self.paired:
            if self.target is None:
                raise VisemixError("a post-net adapts to a person: name the folder of their clips as data.target")
            person = [ClipFolder(path, self.face) for path in find_clips(self.target)]
            self.person_spans = self._split(person, self.target, named=len(person) == 1)

    def _split(self, clips: Sequence[ClipFolder], root: Path, named: bool) -> tuple[list[Span], list[Span]]:
        """Spans to train and to validate on. A clip that was named and cannot be used is an error."""
        for clip in clips:
            clip.aligned, clip.around = self.align, self.context
        train: list[Span] = []
        val: list[Span] = []
        for clip in clips:
            reason = self._refusal(clip)
            if reason and named:
                raise VisemixError(f"{clip.path} {reason}")
            if reason:
                log.warning("%s is left out: it %s", clip.path, reason)
            elif clip.speaker in self.val_speakers:
                val.append(Span(clip, 0, clip.frames))
            else:
                cut = clip.frames - self.held - self.watched
                if self.held > round(min(clip.holdout * FPS, clip.frames)):
                    log.warning(SEEN_BEFORE if clip.fitted else MAYBE_SEEN, clip.path, self.held / FPS, clip.holdout)
                train += [span for span in self._visible_ranges(clip, cut) if len(span) >= self.window]
                if self.held:
                    val.append(Span(clip, clip.frames - self.held, clip.frames))
                if self.watched:
                    self.watch_spans.append(Span(clip, cut, cut + self.watched))
        if not train:
            why = reason or "is held out (data.val_speakers)"
            raise VisemixError(f"no clip in {root} can be trained on: {clips[-1].name} {why}")
        return train, val

    def _refusal(self, clip: ClipFolder) -> str:
        """Why a clip cannot be used; empty where it can."""
        return self._sound_lacking(clip) or self._pictures_lacking(clip) or self._too_short(clip)

    def _sound_lacking(self, clip: ClipFolder) -> str:
        """What keeps a clip from use in its sound, or nothing."""
        needs_speech = not self.frames if self.speech is None else self.speech
        if needs_speech and clip.audio != "speech":
            sound = "has no sound track" if clip.audio == "none" else "is silent"
            return f"{sound}: good as a target to render, not to learn motion from (data.speech=false takes it)"
        sync = clip.meta.get("lip_sync", {})
        if self.lips and needs_speech and sync.get("follows") is False:
            return f"has no lip sync: {sync['reason']}; motion is not learned from it (data.speech=false takes it)"
        return ""

    def _pictures_lacking(self, clip: ClipFolder) -> str:
        """What keeps a clip from use in its pictures and notes, or nothing."""
        if self.frames and not clip.has_pictures:
            return NO_PICTURES
        if self.segmentation and not (clip.has_labels and clip.has_background):
            return f"does not say what is head, torso and background in it, which this renderer needs: {PARSE}"
        if self.sounds and not clip.has_phonemes:
            return UNKNOWN_WORDS
        return ""

    def _too_short(self, clip: ClipFolder) -> str:
        """Why there is no window in a clip to train on, or nothing."""
        window = f"for a window of {self.window} (train.<stage>.window)"
        held = 0 if clip.speaker in self.val_speakers else min(self.held + self.watched, clip.frames)
        if clip.frames - held < self.window:
            said = (
                f"{held} of them kept from training (data.holdout, data.watch)" if held else "all of them to train on"
            )
            return f"is too short: {clip.frames} frames, {said}, {window}"
        longest = max(map(len, self._visible_ranges(clip, clip.frames - held)), default=0)
        if longest < self.window:
            return f"never shows the face for longer than {longest} frames, {window}"
        return ""

    def _visible_ranges(self, clip: ClipFolder, cut: int) -> list[Span]:
        """The stretches before frame `cut` in which the face was seen; between them its motion is made up."""
        first = 0 if self.most is None else max(0, cut - self.most)
        parts = (range(max(part.start, first), min(part.stop, cut)) for part in clip.visible_ranges)
        return [Span(clip, part.start, part.stop) for part in parts if part]

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of random windows in an order that `seed` draws; of `Domains` where `paired`."""
        windows: Any = TrainingWindows(
            self.train_spans, self.window, self.gap, self.frames, self.grid, self.sounds, self.gallery
        )
        if self.paired:
            person = TrainingWindows(self.person_spans[0], self.window, self.gap, self.frames, self.grid)
            windows = TrainingDomains(windows, person)
        rank, ranks = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        sampler = ShuffledSampler(len(windows), self.seed, rank=rank, ranks=ranks)
        return self._loader(windows, batch_size=self.batch, sampler=sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """Windows of what is watched, or else held out, one a batch; no longer than the shortest of these spans."""
        spans = self.watch_spans or self.val_spans
        window = min([self.window, *(len(span) for span in [*spans, *self.person_spans[1]])])
        windows: Any = ValidationWindows(spans, window, self.frames, self.sounds, self.gallery)
        if self.paired:
            windows = ValidationDomains(windows, ValidationWindows(self.person_spans[1], window, self.frames))
        return self._loader(windows, batch_size=1)

    def _loader(
        self, windows: Dataset[Any], batch_size: int, sampler: ShuffledSampler | None = None
    ) -> DataLoader[Any]:
        return DataLoader(
            windows,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            collate_fn=collate,
            persistent_workers=self.workers > 0,
        )
