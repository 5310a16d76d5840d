"""A held-out stretch as videos: what was recorded, and what a run makes of its sound or of its motion."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.data import VideoWriter
from visemix.data.windows import Span, gallery_before
from visemix.evaluation.pair import fit_file
from visemix.generation import LoopedFootage, progress_bar
from visemix.ops.store import write_tensors
from visemix.pipeline import TalkingFace
from visemix.types import Motion, Space, Speech, Video

log = logging.getLogger(__name__)


def write_span(
    model: TalkingFace, span: Span, spoken: bool, real: Path, fake: Path, batch: int, progress: bool
) -> None:
    """One stretch as recorded and as the run makes it, with the landmarks of both motions beside."""
    sound = recorded_sound(span, len(span))
    write_recording(real, span, len(span), sound)
    footage = looped_footage(model, span, len(span))
    true = recorded_motion(span).to(footage.device)
    from_speech = model.audio_driven or (spoken and span.clip.audio == "speech")
    if spoken and not from_speech:
        log.warning("%s holds no speech: what is scored is painted from its recorded motion", span.clip.path)
    motion = speech_motion(model, _speech(model, span), footage) if from_speech else true
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
    write_tensors(fit_file(video), {"fit": offsets.unflatten(-1, (-1, 3)).cpu()}, notes)


def looped_footage(model: TalkingFace, span: Span, frames: int) -> LoopedFootage:
    """The footage of a stretch, on the model's device."""
    footage = LoopedFootage(span.clip, frames, start=span.start, gallery=gallery_before(span, model.render.gallery))
    footage.device = next(model.face.buffers()).device
    return footage


def recorded_motion(span: Span) -> Motion:
    """The motion that was fitted to a stretch."""
    return span.clip.clip(range(span.start, span.stop), footage=False).motion


@torch.inference_mode()
def predict_motion(model: TalkingFace, span: Span, footage: LoopedFootage) -> Motion:
    """What drives the renderer at the sound of a stretch, motion or features, in memory as a whole."""
    return with_eyes(model, speech_motion(model, _speech(model, span), footage), footage)


@torch.inference_mode()
def with_eyes(model: TalkingFace, motion: Motion, footage: LoopedFootage) -> Motion:
    """The motion (B, T, D) with eyes and brows as the run's `eyes` says."""
    return model.apply_eyes(motion, footage.subject(torch.arange(motion.values.shape[1]), footage=False))


@torch.inference_mode()
def speech_motion(model: TalkingFace, speech: Speech, footage: LoopedFootage) -> Motion:
    """The motion model's answer to any speech, with its own eyes and on the footage's device, in memory as a whole."""
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


def recorded_sound(span: Span, frames: int) -> Float[Tensor, " S"] | None:
    """The waveform (16 kHz) of a stretch as recorded; None where nobody speaks."""
    return span.clip.speech(span.start, frames).wave[0] if span.clip.audio == "speech" else None


def write_recording(path: Path, span: Span, frames: int, sound: Float[Tensor, " S"] | None) -> None:
    """The recording itself, encoded as what is made will be."""
    with VideoWriter(path, sound=sound, overwrite=True) as writer:
        for k in range(span.start, span.start + frames):
            writer.write(span.clip.footage([k]))
