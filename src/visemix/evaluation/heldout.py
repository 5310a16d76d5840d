"""A run on what it was not trained on: its held-out speech and pictures as files, or foreign speech; and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from visemix.data import DATA, ClipFolder, DataRequest, VideoWriter, find_clips
from visemix.data.foreign import held_out_spans
from visemix.data.windows import Span
from visemix.evaluation.pair import fit_file
from visemix.evaluation.result import Result, write_result
from visemix.evaluation.spans import (
    looped_footage,
    recorded_sound,
    render_motion,
    speech_motion,
    with_eyes,
    write_recording,
    write_span,
)
from visemix.evaluation.videos import evaluate
from visemix.generation import pick_device
from visemix.metrics import METRICS
from visemix.ops.checkpoint import WEIGHTS
from visemix.ops.store import is_newer, refuse_existing
from visemix.pipeline import TalkingFace
from visemix.plugins import load_plugin_file
from visemix.run import check_unedited, stored_config
from visemix.training.fitting import target_data
from visemix.training.ownership import trained_stages
from visemix.types import VisemixError

PAINTED = {
    "whole": "painted: the whole picture",
    "head": "painted: the head; body and place are the footage's",
    "face": "painted: the face; hair, body and place are the footage's, with gaussians and TAFT unmoved eyes as well",
}
FOLDER, SCORES = "held_out", "scores.json"  # in a run's folder: real/ and fake/ with a video a clip, and the scores
CLIPS = "clips"  # in `FOLDER`, where the data module is not made of clips on disk
OOD_FOLDER = "foreign"  # the same, of the person saying what others say


def is_run(path: Path) -> bool:
    """Whether a folder is a run's."""
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
        plugins: Python files that register further metrics, and third-party parts of the run: a run names no code.
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
    options |= {"progress": progress, "plugins": plugins}
    result = _scored(run / FOLDER, model, metrics, options)
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
        files = [real, fake, fit_file(real)]
        if overwrite or not all(is_newer(path, run / WEIGHTS) for path in files):
            write_span(model, span, spoken, real, fake, batch, progress)
    return made


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
        write_recording(real, span, frames, recorded_sound(span, frames))
        footage = looped_footage(model, span, frames)
        foreign_speech = said.speech(0, frames)
        with VideoWriter(fake, sound=foreign_speech.wave[0], overwrite=True) as writer:
            for video in render_motion(
                model, with_eyes(model, speech_motion(model, foreign_speech, footage), footage), footage, batch
            ):
                writer.write(video.frames[0])
    options |= {"progress": progress, "plugins": plugins}
    return _scored(run / OOD_FOLDER, model, METRICS.without_truth(), options)


def _scored(folder: Path, model: TalkingFace, metrics: Sequence[str] | None, options: Mapping[str, Any]) -> Result:
    """Scores of what the model made in a folder beside what was recorded, written there."""
    said = [painted_region(model)]
    return evaluate(folder / "real", folder / "fake", metrics, folder / SCORES, overwrite=True, said=said, **options)


def painted_region(model: TalkingFace) -> str:
    """What of each picture is painted, in words: a face over real footage scores better than a whole picture."""
    return PAINTED[model.render.paste]


def held_out(
    cfg: DictConfig, model: TalkingFace, spoken: bool, clips: str | Path | None = None, kept: Path | None = None
) -> list[Span]:
    """The stretches that the run's data keeps for validation. A data module that is not made of clips on disk gives
    examples, which are written to `kept`.

    Raises:
        VisemixError: nothing is held out, or as the data module's `setup`.
    """
    about = target_data(cfg.data) | ({} if clips is None else {"root": str(clips)})
    data = DATA.build(about, model.face)
    hears = model.audio_driven or (spoken and "motion" in model.notes.get("trained", ["motion"]))
    data.request(DataRequest(1, 1, frames=True, segmentation=model.render.needs_segmentation, uses_sound=hears))
    data.prepare_data()
    data.setup("fit")
    spans = held_out_spans(data, model.face, kept)
    if not spans:
        raise VisemixError(f"run '{cfg.name}' holds nothing out (data.holdout=0 and no data.val_speakers); give videos")
    return spans


def _load_run(run: Path, device: str, plugins: Sequence[str | Path] = ()) -> tuple[DictConfig, TalkingFace]:
    """A run's config and its model, which must be able to draw."""
    cfg = read_config(run)
    for plugin in plugins:
        load_plugin_file(plugin)
    model = TalkingFace.from_checkpoint(run).to(pick_device(device))
    learns = next(iter(model.render.parameters()), None) is not None
    if learns and not model.render.works_untrained and "render" not in trained_stages(model.notes):
        raise VisemixError(f"the render stage of {run} was never trained, so it draws nothing to score; fit it too")
    return cfg, model


def read_config(run: Path) -> DictConfig:
    """The complete config that a run was trained with.

    Raises:
        VisemixError: no run folder, or a config that was edited since.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise VisemixError(f"{run} is no run folder (it has no config.yaml); give one that `visemix fit` printed")
    check_unedited(run)
    return stored_config(run)
