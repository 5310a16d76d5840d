"""A run on what it was not trained on: its held-out speech and pictures as files, and their scores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from visemix.data import DATA, VideoWriter
from visemix.data.module import Span
from visemix.evaluation import evaluate, write_scores
from visemix.generation import Loop, bar, pick_device
from visemix.ops.device import keep_memory
from visemix.pipeline import WEIGHTS, TalkingFace, plain
from visemix.registry import load_file
from visemix.training.modules import STAGES
from visemix.types import Motion, Space, Video, VisemixError

log = logging.getLogger(__name__)

FOLDER, SCORES = "held_out", "scores.json"  # in a run's folder: real/ and fake/ with a video a clip, and the scores


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
    **options: Any,
) -> dict[str, Any]:
    """Write what a run makes of the clips' held-out ends beside what was recorded, and score the files.

    Speech drives the run where its motion model was trained; a run with only a renderer gets the recorded motion. Both
    sides are the clip's square pictures, encoded alike. Videos that are there and younger than the weights are kept.

    Args:
        out: a second place for the scores.
        clips: where the run's clips are now, if not where they were in training.
        overwrite: make the videos anew, and replace `out`.
        batch: frames painted at a time.
        options: handed on to `evaluate`.

    Returns:
        What `evaluate` answers; it is also in `RUN/held_out/scores.json`.

    Raises:
        VisemixError: no run there, nothing held out, no trained renderer, or clips that are gone.
    """
    run = Path(run)
    if out is not None and Path(out).exists() and not overwrite:
        raise VisemixError(f"{out} exists and is kept; choose another name or pass --overwrite")
    write_held_out(run, clips=clips, overwrite=overwrite, batch=batch, device=device, progress=progress)
    folder = run / FOLDER
    options = options | {"overwrite": True, "progress": progress}
    scores = evaluate(folder / "real", folder / "fake", metrics, folder / SCORES, **options)
    if out is not None:
        write_scores(Path(out), scores)
    return scores


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
    cfg = read_config(run)
    for plugin in cfg.plugins:
        load_file(plugin)
    model = TalkingFace.from_checkpoint(run).to(pick_device(device))
    spoken = "motion" in _learnt(model)
    if "render" not in _learnt(model) and next(iter(model.render.parameters()), None) is not None:
        raise VisemixError(f"the render stage of {run} was never trained, so it draws nothing to score; fit it too")
    made = []
    keep_memory()
    for span in held_out(cfg, model, spoken, clips):
        real, fake = (run / FOLDER / side / f"{span.clip.name}.mp4" for side in ("real", "fake"))
        made.append(fake)
        if not overwrite and all(_younger(path, run / WEIGHTS) for path in (real, fake)):
            continue
        sound = span.clip.speech(span.start, len(span)).wave[0] if span.clip.audio == "speech" else None
        with VideoWriter(real, sound=sound, overwrite=True) as writer:
            for k in range(span.start, span.stop):
                writer.write(span.clip.footage([k]))
        with VideoWriter(fake, sound=sound, overwrite=True) as writer, bar(progress) as shown:
            task = shown.add_task(span.clip.name, total=len(span))
            for video in generated(model, span, spoken, batch):
                writer.write(video.frames[0])
                shown.advance(task, video.frames.shape[1])
    return made


def held_out(cfg: DictConfig, model: TalkingFace, spoken: bool, clips: str | Path | None = None) -> list[Span]:
    """The stretches that the run's data keeps for validation."""
    about = plain(cfg.data) | ({} if clips is None else {"root": str(clips)})
    data: Any = DATA.build(about, model.face)
    data.window, data.frames, data.speech = 1, True, spoken
    data.setup()
    spans: list[Span] = getattr(data, "val_spans", [])
    if not spans:
        raise VisemixError(f"run '{cfg.name}' holds nothing out (data.holdout=0 and no data.val_speakers); give videos")
    return spans


@torch.inference_mode()
def generated(model: TalkingFace, span: Span, spoken: bool, batch: int) -> Iterator[Video]:
    """What the model makes of a stretch, `batch` frames at a time: from its sound, or from its recorded motion."""
    loop = Loop(span.clip, len(span), start=span.start)
    loop.device = next(model.face.buffers()).device
    if spoken:
        yield from model.stream(span.clip.speech(span.start, len(span)).to(loop.device), loop, batch=batch)
        return
    for frames in torch.arange(len(span)).split(batch):
        subject = loop.subject(frames)
        yield model.draw(Motion(subject.expression, Space.EXPRESSION), subject)


def read_config(run: Path) -> DictConfig:
    path = run / "config.yaml"
    if not path.is_file():
        raise VisemixError(f"{run} is no run folder (it has no config.yaml); give one that `visemix fit` printed")
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    return cfg


def _learnt(model: TalkingFace) -> list[str]:
    return [*model.notes.get("trained", STAGES), *model.notes.get("loaded", [])]


def _younger(path: Path, than: Path) -> bool:
    return path.is_file() and path.stat().st_mtime >= than.stat().st_mtime
