"""From a run, a sound and a clip to a video, in bounded memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from visemix.data import ClipFolder, VideoWriter, is_silent, read_sound, whole_frames
from visemix.data.clips import PARSE
from visemix.data.footage import paste_into_source, pingpong
from visemix.data.windows import gallery_of
from visemix.motion import MotionModel
from visemix.ops.checkpoint import SHIPPED, resolve_checkpoint
from visemix.ops.locks import hold
from visemix.ops.progress import Console
from visemix.ops.store import refuse_existing, sha256
from visemix.options import check_seed
from visemix.pipeline import SHOWN, TalkingFace
from visemix.plugins import load_plugin_file
from visemix.training.modules import STAGES
from visemix.training.ownership import applicable_stages, trained_stages
from visemix.types import FPS, Gallery, Speech, Subject, VisemixError
from visemix.values import did_you_mean

log = logging.getLogger(__name__)

__all__ = ["generate"]

SIZE = 512  # pixels a side of a video that is prepared on the way
TARGETS = "targets"  # where a run keeps clips that were prepared for it on the way


class LoopedFootage:
    """A clip as footage for any length of speech: there and back again, seen by one reference picture.

    `within` a stretch of its frames, by default all. `gallery` is for renderers that choose among pictures.
    """

    def __init__(
        self,
        clip: ClipFolder,
        frames: int,
        *,
        start: int = 0,
        within: range | None = None,
        style: str | None = None,
        gallery: Gallery | None = None,
    ) -> None:
        self.clip, self.style, self.gallery = clip, style, gallery
        within = range(clip.frames) if within is None else within
        self.order = [within[k] for k in pingpong(len(within), frames, start - within.start)]
        self.reference = clip.footage([0])
        self.device = torch.device("cpu")

    def subject(self, frames: Tensor, *, footage: bool = True) -> Subject:
        subject = self.clip.subject([self.order[k] for k in frames.tolist()], footage=footage)
        speaker = subject.speaker if self.style is None else (self.style,)
        gallery = self.gallery if footage else None
        return replace(subject, speaker=speaker, reference=self.reference, gallery=gallery).to(self.device)


def generate(
    run: str | Path,
    audio: str | Path,
    target: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    style: str | None = None,
    seed: int | None = None,
    eyes: str | None = None,
    start: float = 0.0,
    batch: int = 4,
    device: str = "auto",
    size: int | None = None,
    plugins: Sequence[str | Path] = (),
    progress: bool = True,
) -> Path:
    """Make `target` say what is heard in `audio`: H.264 and AAC, round(25 · seconds of audio) frames, and answer `out`.

    Args:
        run: a run folder, its `model.safetensors`, or "starter", a model that comes with the library.
        target: a clip folder that `prepare` wrote; or a video, which is prepared first and kept in the run's folder.
            Speech that is longer than it goes through it there and back again. Where the face leaves the picture in
            between, the longest stretch with it is used.
        style: the speaker of the training clips whose manner is used; by default the model's choice.
        seed: of the motion, where the motion model knows more than one that fits; by default the run's `motion.seed`.
            Blinks that are made are drawn from it too, by default from 0.
        eyes: "blinking", "footage" or "driven", see `TalkingFace`; by default the run's `eyes`.
        start: seconds into the target at which to begin.
        batch: frames that are painted at a time.
        size: pixels a side to which a video is prepared, by default 512. A clip has its own.
        plugins: Python files that register the third-party parts of the run.

    Raises:
        VisemixError: something unreadable, `out` exists, a clip of another face model, an unknown style or word for
            the eyes, a seed for a motion model that draws nothing; another process writes `out`.
    """
    out = Path(out)
    refuse_existing(out, overwrite)
    for plugin in plugins:
        load_plugin_file(plugin)
    with hold(out):
        speech = Speech(whole_frames(read_sound(audio)).unsqueeze(0))
        if is_silent(speech.wave):
            log.warning("the sound of %s is silence: nothing is said that the face could move to", audio)
        chosen: dict[str, Any] = {} if eyes is None else {"eyes": eyes}
        model = TalkingFace.from_checkpoint(run, **chosen).to(pick_device(device))
        warn_of_untrained(model)
        check_style(model, style)
        if eyes is not None and model.audio_driven:
            raise VisemixError(f"{run} paints from the sound itself, its eyes too; leave out --eyes")
        set_seed(model, seed)
        clip = load_target(target, model, Path(run), size)
        clip.check_pictures()
        if model.render.needs_segmentation and not clip.has_background:
            raise VisemixError(f"{clip.path} does not say what is head, torso and background in it; {PARSE}")
        warn_of_other_person(model, clip)
        first, usable = choose_start(clip, start)
        gallery = gallery_of(clip, model.render.gallery)
        footage = LoopedFootage(clip, speech.frames, start=first, within=usable, style=style, gallery=gallery)
        footage.device = next(model.face.buffers()).device
        videos = model.stream(speech.to(footage.device), footage, batch=batch)
        crops = (frame.cpu() for video in videos for frame in video.frames[0])
        with VideoWriter(out, sound=audio, overwrite=overwrite) as writer, progress_bar(progress) as shown:
            for picture in shown.track(
                paste_into_source(clip, footage.order, crops), speech.frames, description="generating"
            ):
                writer.write(picture)
    return out


def load_target(target: str | Path, model: TalkingFace, run: Path, size: int | None = None) -> ClipFolder:
    """The clip in a folder; or a video's, prepared with the model's face and kept by the video's content.

    Raises:
        VisemixError: no such file, a video that cannot be prepared, or a `size` for a clip.
    """
    target = Path(target)
    if not target.exists():
        raise VisemixError(f"no such target: {target}; give a clip folder or a video")
    if target.is_dir() and size is not None:
        raise VisemixError(f"{target} is a clip, and has its size; leave out --size")
    if target.is_dir():
        return ClipFolder(target, model.face)
    from visemix.prepare.videos import prepare  # brings the face tracker, which is an extra

    size = size or SIZE
    kept = run_home(run) / TARGETS / f"{sha256(target)[:12]}-{size}"
    make = partial(prepare, [target], kept, face=model.config["face"], size=size, holdout=0.0)
    made = make()
    if made.failed and (kept / target.stem).exists():  # made otherwise, by an older version
        made = make(overwrite=True)
    if made.failed:
        raise VisemixError("; ".join(made.failed.values()))
    return ClipFolder(kept / target.stem, model.face)


def run_home(run: Path) -> Path:
    """The folder that keeps what is made on the way for a run."""
    if resolve_checkpoint(run).parent == SHIPPED:
        return Path("runs") / run
    return run if run.is_dir() else run.parent


def warn_of_untrained(model: TalkingFace) -> None:
    known = trained_stages(model.notes)
    for stage in applicable_stages(model):
        # not missed
        beside = STAGES[stage].opt_in or (model.render.works_untrained if stage == "render" else model.audio_driven)
        if stage not in known and not beside:
            log.warning("the %s stage of this run was never trained; fit it too, or load it from another run", stage)


def warn_of_other_person(model: TalkingFace, clip: ClipFolder) -> None:
    known = model.notes.get(SHOWN, [])
    if known and clip.speaker not in known:
        who = " and ".join(known)
        log.warning("this run learnt how %s looks; %s in %s gets these looks too", who, clip.speaker, clip.path)


def check_style(model: TalkingFace, style: str | None) -> None:
    known = [name for module in model.motion.modules() if isinstance(module, MotionModel) for name in module.speakers]
    if style is not None and style not in known:
        have = ", ".join(known) or "none"
        raise VisemixError(f"this run has no style '{style}'{did_you_mean(style, known)} (have: {have})")


def set_seed(model: TalkingFace, seed: int | None) -> None:
    if seed is None:
        return
    check_seed(seed)
    drawing = [module for module in model.motion.modules() if isinstance(module, MotionModel) and module.draws]
    if not drawing:
        name = model.config["motion"]["name"]
        raise VisemixError(f"motion model '{name}' knows one motion for a sound; leave out --seed")
    for module in drawing:
        module.seed = seed
    model.blink_seed = seed


def choose_start(clip: ClipFolder, seconds: float) -> tuple[int, range]:
    """The frame to begin with, and those to stay within: where the face is seen for longest from there on.

    Raises:
        VisemixError: it lies behind the end of the clip.
    """
    frame = round(seconds * FPS) if math.isfinite(seconds) else -1
    if not 0 <= frame < clip.frames:
        raise VisemixError(f"{clip.path} lasts {clip.frames / FPS:.2f} s; --start {seconds:g} lies outside")
    usable = max(clip.visible_ranges, key=lambda part: part.stop - max(part.start, frame))
    if len(clip.visible_ranges) > 1:
        shown = f"{usable.start / FPS:.2f} s to {usable.stop / FPS:.2f} s"
        log.warning("the face leaves the picture in %s; only %s of it are used", clip.path, shown)
    return max(usable.start, frame), usable


def pick_device(name: str) -> torch.device:
    """The torch device of that name; `auto` is a GPU where there is one.

    Raises:
        VisemixError: an unknown name, or a GPU where torch sees none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise VisemixError(f"device '{name}' cannot be used here: this torch sees no GPU; say auto or cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise VisemixError(f"no device '{name}'; say auto, cpu or cuda") from error


class FrameRateColumn(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} frames/s")


def progress_bar(shown: bool) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        FrameRateColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown)
