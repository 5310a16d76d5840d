"""Many videos → a folder of clips: several at once, resumable, and no bad one stops the others."""

from __future__ import annotations

import json
import math
import os
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from visemix.face import FACE
from visemix.ops.locks import hold, sweep
from visemix.ops.names import is_hidden, one_spelling
from visemix.ops.progress import BatchProgress, Console, batch_progress, progress_queue
from visemix.ops.store import append_text
from visemix.ops.workers import Workers
from visemix.plugins import load_plugin_file
from visemix.prepare import bisenet  # noqa: F401 – registers its parser
from visemix.prepare.extract import ProgressCallback, extract
from visemix.prepare.fit import RECONSTRUCT
from visemix.prepare.kept import refuse_another
from visemix.prepare.parser import PARSER
from visemix.prepare.track import TRACKER
from visemix.types import VisemixError

LOG = "prepare.log.jsonl"
DIED = "its process died; there may be too little memory, try fewer --jobs"


@dataclass(frozen=True)
class PrepareResult:
    """What became of the videos: names of clips, and for the failed ones the reason."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # were there already
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 where every video is a clip now, 1 where some failed, 2 where all did."""
        if not self.failed:
            return 0
        return 1 if self.done or self.skipped else 2


@dataclass(frozen=True)
class Options:
    """Options of every process of `prepare`; configs of parts, as YAML has them."""

    out: Path
    face: dict[str, Any]
    tracker: dict[str, Any]
    fit: dict[str, Any]
    scene: dict[str, Any] | None
    size: int
    holdout: float
    overwrite: bool
    threads: int
    plugins: tuple[str, ...]


@dataclass(frozen=True)
class VideoOutcome:
    """What became of one video: notes of its clip, or why there is none."""

    notes: list[str] = field(default_factory=list)
    skipped: bool = False
    reason: str = ""
    trace: str = ""  # of what was not foreseen


def prepare(
    videos: Sequence[str | Path],
    out: str | Path,
    *,
    face: Mapping[str, Any] | str = "ict",
    size: int = 512,
    holdout: float = 2.0,
    jobs: int = 1,
    overwrite: bool = False,
    tracker: Mapping[str, Any] | str = "mediapipe",
    fit: Mapping[str, Any] | str = "landmarks",
    scene: Mapping[str, Any] | str | None = "mediapipe",
    plugins: Sequence[str] = (),
    console: Console | None = None,
) -> PrepareResult:
    """Make a clip folder `out/<stem>` of every video.

    Clips that are there are skipped; a failure is said, appended to `out/prepare.log.jsonl` with its reason, and the
    next video goes on.

    Args:
        face, tracker, fit, scene: parts of the registries `FACE`, `TRACKER`, `RECONSTRUCT`, `PARSER`: a name, or a
            config with one. No `scene` leaves the labels of head and torso out, which only NeRFs want.
        size: pixels a side of the pictures, an even number.
        holdout: seconds at the end of each clip from which nothing is estimated that it has once (identity, albedo,
            background), so that scores there are of footage never seen: at least what a training run holds out
            (`data.holdout`). A clip with less than a second before them is learned from whole, which its notes say.
        jobs: videos at once, each in a process of its own.
        overwrite: make clips anew that are there.
        plugins: Python files that register further parts.
        console: where bars and messages go, by default to standard error.

    Raises:
        VisemixError: nothing to do, two videos of one name, or an unknown part or option.
    """
    console = console or Console(stderr=True)
    paths = [path for path in map(Path, videos) if not _passed_over(path, console)]
    _check(paths, size, jobs, holdout)
    for plugin in plugins:
        load_plugin_file(plugin)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    parts = (_config(face), _config(tracker), _config(fit))
    options = Options(
        Path(out),
        *parts,
        scene=None if scene is None else _config(scene),
        size=size,
        holdout=holdout,
        overwrite=overwrite,
        threads=threads,
        plugins=tuple(plugins),
    )
    preparer = VideoPreparer(options)  # here too: a wrong option is an error of the call, not of each video
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        sweep(options.out)
    except OSError as error:
        raise VisemixError(f"cannot write to {out}: {error.strerror}") from error
    result = PrepareResult()
    with batch_progress(console, len(paths)) as bars:
        answers = _in_process(preparer, paths, bars) if jobs == 1 else _in_workers(options, paths, jobs, bars)
        for path, answer in answers:
            _record_outcome(result, options.out, path, answer, console)
            bars.finish(path.stem)
    sweep(options.out)  # after processes that died
    return result


def _check(paths: list[Path], size: int, jobs: int, holdout: float) -> None:
    if not paths:
        raise VisemixError("no videos given; name some, as in visemix prepare clips/*.mp4 --out DIR")
    if size < 32 or size % 2:
        raise VisemixError(f"--size {size} must be an even number of pixels, 32 at least")
    if jobs < 1:
        raise VisemixError(f"--jobs {jobs} must be 1 at least")
    if not 0 <= holdout < math.inf:
        raise VisemixError(f"--holdout {holdout:g} must be seconds, 0 or more")
    twice = [name for name, count in Counter(one_spelling(path.stem) for path in paths).items() if count > 1]
    if twice:
        raise VisemixError(
            f"several videos would become the clip '{twice[0]}'; rename one, or use another --out for it"
        )


def _passed_over(path: Path, console: Console) -> bool:
    if is_hidden(path):
        note = f"{path}: passed over, as its name begins with a dot"
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    return is_hidden(path)


def _config(part: Mapping[str, Any] | str) -> dict[str, Any]:
    return {"name": part} if isinstance(part, str) else dict(part)


class VideoPreparer:
    """The parts, built once a process, and one video after another through them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.face = FACE.build(options.face)
        self.tracker = TRACKER.build(options.tracker)
        self.reconstruct = RECONSTRUCT.build(options.fit, self.face)
        self.parser = None if options.scene is None else PARSER.build(options.scene)
        self.parts = {"tracker": TRACKER.full(options.tracker), "fit": RECONSTRUCT.full(options.fit)}
        self.parts |= {"scene": {"name": "none"} if options.scene is None else PARSER.full(options.scene)}

    def prepare(self, video: Path, on_progress: ProgressCallback) -> VideoOutcome:
        """`VideoOutcome` of a video. Never raises but for Ctrl-C: what goes wrong is in it."""
        try:
            if self._is_done(video):
                return VideoOutcome(skipped=True)
            with hold(self._folder(video), wait=True):
                return VideoOutcome(skipped=True) if self._is_done(video) else self._make(video, on_progress)
        except VisemixError as error:
            return VideoOutcome(reason=str(error))
        except Exception as error:  # noqa: BLE001 — one bad video never stops the others
            return VideoOutcome(reason=f"{type(error).__name__}: {error}", trace=traceback.format_exc())

    def _make(self, video: Path, on_progress: ProgressCallback) -> VideoOutcome:
        tools, options = (self.face, self.tracker, self.reconstruct), self.options
        meta = extract(
            video,
            self._folder(video),
            *tools,
            options.size,
            parser=self.parser,
            holdout=options.holdout,
            overwrite=options.overwrite,
            parts=self.parts,
            on_progress=on_progress,
        )
        return VideoOutcome(notes=meta["notes"])

    def _folder(self, video: Path) -> Path:
        return self.options.out / video.stem

    def _is_done(self, video: Path) -> bool:
        out = self._folder(video)
        if self.options.overwrite or not out.exists():
            return False
        if not video.is_file():
            raise VisemixError(f"no such file: {video}")
        refuse_another(out, video, self.face, self.options.size, self.options.holdout, self.parts)
        return True


def _in_process(preparer: VideoPreparer, paths: list[Path], bars: BatchProgress) -> Iterator[tuple[Path, VideoOutcome]]:
    for path in paths:
        yield path, preparer.prepare(path, lambda *step, name=path.stem: bars.update(name, *step))


_preparer: VideoPreparer
_progress_queue: Any


def _init_worker(options: Options, reports: Any) -> None:
    global _preparer, _progress_queue
    torch.set_num_threads(options.threads)
    for plugin in options.plugins:
        load_plugin_file(plugin)
    _preparer, _progress_queue = VideoPreparer(options), reports


def _prepare_in_worker(video: Path) -> VideoOutcome:
    return _preparer.prepare(video, lambda *step: _progress_queue.put((video.stem, *step)))


def _in_workers(
    options: Options, paths: list[Path], jobs: int, bars: BatchProgress
) -> Iterator[tuple[Path, VideoOutcome]]:
    count = min(jobs, len(paths))
    with (
        progress_queue(bars) as reports,
        Workers[Path, VideoOutcome](count, _init_worker, (options, reports)) as workers,
    ):
        for path, answer in workers.map(_prepare_in_worker, paths):
            yield path, answer or VideoOutcome(reason=DIED)


def _record_outcome(result: PrepareResult, out: Path, path: Path, answer: VideoOutcome, console: Console) -> None:
    name = path.stem
    if answer.reason:
        result.failed[name] = answer.reason
        console.print(f"{path}: {answer.reason}", style="red", markup=False, highlight=False, soft_wrap=True)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"video": str(path), "clip": name, "reason": answer.reason, "time": now}
        if answer.trace:
            entry["trace"] = answer.trace
        append_text(out / LOG, json.dumps(entry, ensure_ascii=False) + "\n")
    elif answer.skipped:
        result.skipped.append(name)
    else:
        result.done.append(name)
        for note in answer.notes:
            console.print(f"{name}: {note}", markup=False, highlight=False, soft_wrap=True)
