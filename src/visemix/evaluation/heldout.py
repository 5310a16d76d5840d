"""A run on what it was not trained on: its held-out speech and pictures as files, or foreign speech; and the scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from visemix.data import DATA, ClipFolder, VideoWriter, find_clips
from visemix.data.foreign import held_out_spans
from visemix.data.windows import Span, gallery_before
from visemix.evaluation.pair import FIT
from visemix.evaluation.result import Result, write_result
from visemix.evaluation.videos import evaluate, refuse_existing
from visemix.generation import LoopedFootage, pick_device, progress_bar
from visemix.metrics import METRICS
from visemix.ops.checkpoint import WEIGHTS
from visemix.ops.store import is_newer, write_tensors
from visemix.pipeline import TalkingFace
from visemix.registry import load_plugin_file
from visemix.run import check_unedited
from visemix.training.fitting import target_data
from visemix.training.stage import trained_stages
from visemix.types import Motion, Space, Speech, Video, VisemixError

log = logging.getLogger(__name__)

PAINTED = {
    "whole": "painted: the whole picture",
    "head": "painted: the head; body and place are the footage's",
    "face": "painted: the face; hair, body and place are the footage's, with gaussians and TAFT unmoved eyes as well",
}
FOLDER, SCORES = "held_out", "scores.json"  # in a run's folder: real/ and fake/ with a video a clip, and the scores
CLIPS = "clips"  # in `FOLDER`, where the data module is not made of clips on disk
OOD_FOLDER = "foreign"  # the same, of the person saying what others say


def is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file()


def evaluate_run(
    run: str | Path,
    metrics: Sequence[str] | None = None,
    out: str | Path | None = None,
    *,
    clips: str | Path | None = None,
    overwrite: bool = False,
    batch: int = 4,
    device: str = "auto",
    progress: bool = True,
    plugins: Sequence[str | Path] = (),
    **options: Any,
) -> Result:
    """Write what a run makes of the clips' held-out ends beside what was recorded, and score the files.

    Speech drives the run where it has a trained motion model; a run with only a renderer, or a clip without speech
    where the motion model comes from another run, gets the recorded motion. Head pose and torso motion are always
    those of the recorded pictures. Both sides are the clip's square pictures, encoded alike, with the motion's 68
    landmarks beside each (so that errors in 3D are the motion model's own, without a second fit, and with its own
    eyes). The eyes in the pictures are as the run's `eyes` says: by default the footage's, which in a held-out stretch
    are the true ones. Videos younger than the weights are kept. The result is also in `RUN/held_out/scores.json`.

    Args:
        out: a second place for the scores.
        clips: where the run's clips are now, if not where they were in training.
        overwrite: make the videos anew, and replace `out`.
        batch: frames painted at a time.
        plugins: Python files that register further metrics, beside those of the run.
        options: handed on to `evaluate`.

    Raises:
        VisemixError: no run there, nothing held out, no trained renderer, or clips that are gone.
    """
    run = Path(run)
    if not is_run(run):
        raise VisemixError(
            f"{run} is no run folder (it has no config.yaml); give a run, or what is real and what is not"
        )
    refuse_existing(out, overwrite)
    cfg, model = _load_run(run, device, plugins)
    _write(run, cfg, model, clips, overwrite, batch, progress)
    folder = run / FOLDER
    options |= {
        "overwrite": True,
        "progress": progress,
        "said": [painted_region(model)],
        "plugins": [*cfg.plugins, *plugins],
    }
    result = evaluate(folder / "real", folder / "fake", metrics, folder / SCORES, **options)
    if out is not None:
        write_result(Path(out), result)
    return result


def write_held_out(
    run: Path,
    *,
    clips: str | Path | None = None,
    overwrite: bool = False,
    batch: int = 4,
    device: str = "auto",
    progress: bool = True,
) -> list[Path]:
    """The generated videos, one for each held-out stretch; the recorded ones lie in `real/` under the same names."""
    return _write(run, *_load_run(run, device), clips, overwrite, batch, progress)


def _write(
    run: Path,
    cfg: DictConfig,
    model: TalkingFace,
    clips: str | Path | None,
    overwrite: bool,
    batch: int,
    progress: bool,
) -> list[Path]:
    spoken = "motion" in trained_stages(model.notes)
    made = []
    for span in held_out(cfg, model, spoken, clips, run / FOLDER / CLIPS):
        real, fake = (run / FOLDER / side / f"{span.clip.name}.mp4" for side in ("real", "fake"))
        made.append(fake)
        files = [real, fake, real.with_suffix(FIT)]
        if overwrite or not all(is_newer(path, run / WEIGHTS) for path in files):
            _write_span(model, span, spoken, real, fake, batch, progress)
    return made


def _write_span(
    model: TalkingFace, span: Span, spoken: bool, real: Path, fake: Path, batch: int, progress: bool
) -> None:
    """One stretch as recorded and as the run makes it, with the landmarks of both motions beside."""
    sound = _recorded_sound(span, len(span))
    _record(real, span, len(span), sound)
    footage = _looped_footage(model, span, len(span))
    true = recorded_motion(span).to(footage.device)
    from_speech = model.audio_driven or (spoken and span.clip.audio == "speech")
    if spoken and not from_speech:
        log.warning("%s holds no speech: what is scored is painted from its recorded motion", span.clip.path)
    motion = _speech_motion(model, _speech(model, span), footage) if from_speech else true
    lag = span.clip.lag if span.clip.lag_known else None
    _write_points(model, span, footage, real, true, lag)
    # the motion model's eyes, not the footage's
    _write_points(model, span, footage, fake, motion, 0 if from_speech else lag)
    with VideoWriter(fake, sound=sound, overwrite=True) as writer, progress_bar(progress) as shown:
        task = shown.add_task(span.clip.name, total=len(span))
        for video in render_motion(model, with_eyes(model, motion, footage) if from_speech else motion, footage, batch):
            writer.write(video.frames[0])
            shown.advance(task, video.frames.shape[1])


def _write_points(
    model: TalkingFace, span: Span, footage: LoopedFootage, video: Path, motion: Motion, lag: int | None
) -> None:
    """A motion's 68 points beside its video, with what is known of its sound's clock."""
    if motion.space is Space.FEATURES:  # driven by sound itself: no landmarks that could be wrong
        return
    person = footage.subject(torch.tensor([0]), footage=False)
    offsets = model.face.convert(motion, Space.LANDMARKS, person).values[0]
    notes = {"source": (span.clip.meta.get("source") or {}).get("sha256", ""), "lag": lag}
    write_tensors(video.with_suffix(FIT), {"fit": offsets.unflatten(-1, (-1, 3)).cpu()}, notes)


def _looped_footage(model: TalkingFace, span: Span, frames: int) -> LoopedFootage:
    """The footage of a stretch, on the model's device."""
    footage = LoopedFootage(span.clip, frames, start=span.start, gallery=gallery_before(span, model.render.gallery))
    footage.device = next(model.face.buffers()).device
    return footage


def evaluate_speech(
    run: str | Path,
    speech: str | Path,
    *,
    clips: str | Path | None = None,
    batch: int = 4,
    device: str = "auto",
    progress: bool = True,
    plugins: Sequence[str | Path] = (),
    **options: Any,
) -> Result:
    """Let the run's person say what clips of others say (GeneFace's out-of-domain audio), and score the files.

    There is no truth for that, so only what needs none is measured (`VideoMetric.without_truth`): sync, steadiness,
    and the distance of the pictures from the person's held-out ones, which lie beside them with what is said in those.
    Each speaks no longer than the person's own held-out end.

    Args:
        speech: a folder of clips, as `visemix corpus --split ood` makes.
        clips, batch, device, plugins, options: as for `evaluate_run`.

    Raises:
        VisemixError: as `evaluate_run`; or a run that was not taught to speak.
    """
    run = Path(run)
    cfg, model = _load_run(run, device, plugins)
    if "motion" not in trained_stages(model.notes) and not model.audio_driven:
        raise VisemixError(f"the motion stage of {run} was never trained, so it cannot say what it hears; fit it too")
    span = held_out(cfg, model, True, clips, run / FOLDER / CLIPS)[0]
    for path in find_clips(Path(speech)):
        said = ClipFolder(path)
        frames = min(len(span), said.frames)
        real, fake = (run / OOD_FOLDER / side / f"{said.name}.mp4" for side in ("real", "fake"))
        if all(is_newer(file, run / WEIGHTS) for file in (real, fake)):
            continue
        _record(real, span, frames, _recorded_sound(span, frames))
        footage = _looped_footage(model, span, frames)
        foreign_speech = said.speech(0, frames)
        with VideoWriter(fake, sound=foreign_speech.wave[0], overwrite=True) as writer:
            for video in render_motion(
                model, with_eyes(model, _speech_motion(model, foreign_speech, footage), footage), footage, batch
            ):
                writer.write(video.frames[0])
    folder = run / OOD_FOLDER
    options |= {
        "overwrite": True,
        "progress": progress,
        "said": [painted_region(model)],
        "plugins": [*cfg.plugins, *plugins],
    }
    return evaluate(folder / "real", folder / "fake", METRICS.without_truth(), folder / SCORES, **options)


def painted_region(model: TalkingFace) -> str:
    """What of each picture is painted, in words: a face over real footage scores better than a whole picture."""
    return PAINTED[model.render.paste]


def held_out(
    cfg: DictConfig, model: TalkingFace, spoken: bool, clips: str | Path | None = None, kept: Path | None = None
) -> list[Span]:
    """The stretches that the run's data keeps for validation. A data module that is not made of clips on disk gives
    examples, which are written to `kept`."""
    about = target_data(cfg.data) | ({} if clips is None else {"root": str(clips)})
    data: Any = DATA.build(about, model.face)
    data.window, data.frames, data.segmentation = 1, True, model.render.needs_segmentation
    data.speech = model.audio_driven or (spoken and "motion" in model.notes.get("trained", ["motion"]))
    data.prepare_data()
    data.setup("fit")
    spans = held_out_spans(data, model.face, kept)
    if not spans:
        raise VisemixError(f"run '{cfg.name}' holds nothing out (data.holdout=0 and no data.val_speakers); give videos")
    return spans


def recorded_motion(span: Span) -> Motion:
    """The motion that was fitted to a stretch."""
    return span.clip.clip(range(span.start, span.stop), footage=False).motion


@torch.inference_mode()
def predict_motion(model: TalkingFace, span: Span, footage: LoopedFootage) -> Motion:
    """What drives the renderer at a stretch's sound: the whole motion, which is small."""
    return with_eyes(model, _speech_motion(model, _speech(model, span), footage), footage)


@torch.inference_mode()
def with_eyes(model: TalkingFace, motion: Motion, footage: LoopedFootage) -> Motion:
    """What a motion model made of sound, with the eyes that the run's `eyes` gives it."""
    return model.apply_eyes(motion, footage.subject(torch.arange(motion.values.shape[1]), footage=False))


@torch.inference_mode()
def _speech_motion(model: TalkingFace, speech: Speech, footage: LoopedFootage) -> Motion:
    still = footage.subject(torch.arange(speech.frames), footage=False)
    pieces, space = model.stream_speech_motion(speech.to(footage.device), still)
    return Motion(torch.cat(list(pieces), 1), space)


@torch.inference_mode()
def render_motion(model: TalkingFace, motion: Motion, footage: LoopedFootage, batch: int) -> Iterator[Video]:
    """Pictures of a motion over the footage, `batch` frames at a time."""
    still = footage.subject(torch.arange(motion.values.shape[1]), footage=False)
    yield from model.stream_video([motion.values], motion.space, still, footage, batch=batch)


def _speech(model: TalkingFace, span: Span) -> Speech:
    """What is said in a stretch, as recorded, with what the encoder hears around it."""
    return span.clip.speech(span.start, len(span), around=model.audio.context)


def _recorded_sound(span: Span, frames: int) -> Float[Tensor, " S"] | None:
    """What is said in the recording; None where nobody speaks."""
    return span.clip.speech(span.start, frames).wave[0] if span.clip.audio == "speech" else None


def _record(path: Path, span: Span, frames: int, sound: Float[Tensor, " S"] | None) -> None:
    """The recording itself, encoded as what is made will be."""
    with VideoWriter(path, sound=sound, overwrite=True) as writer:
        for k in range(span.start, span.start + frames):
            writer.write(span.clip.footage([k]))


def _load_run(run: Path, device: str, plugins: Sequence[str | Path] = ()) -> tuple[DictConfig, TalkingFace]:
    """A run's config and its model, which must be able to draw."""
    cfg = read_config(run)
    for plugin in [*cfg.plugins, *plugins]:
        load_plugin_file(plugin)
    model = TalkingFace.from_checkpoint(run).to(pick_device(device))
    learns = next(iter(model.render.parameters()), None) is not None
    if learns and not model.render.works_untrained and "render" not in trained_stages(model.notes):
        raise VisemixError(f"the render stage of {run} was never trained, so it draws nothing to score; fit it too")
    return cfg, model


def read_config(run: Path) -> DictConfig:
    path = run / "config.yaml"
    if not path.is_file():
        raise VisemixError(f"{run} is no run folder (it has no config.yaml); give one that `visemix fit` printed")
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    check_unedited(run)
    return cfg
