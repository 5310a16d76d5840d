"""A trained head over some frames of a person's clip, moved by its own recorded motion or by somebody else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from visemix.data import ClipFolder
from visemix.data.sound import read_sound
from visemix.data.windows import Span, gallery_before
from visemix.face import FaceModel
from visemix.face.eyes import transfer_eyes
from visemix.pipeline import TalkingFace, whole_frames
from visemix.types import SAMPLES_PER_FRAME, Motion, Space, Speech

LINE = 18  # pixels: the height of a row's name


@torch.inference_mode()
def painted(model: TalkingFace, clip: ClipFolder, frames: range, motion: Motion | None = None) -> list[Tensor]:
    """Pictures (3, H, W); `motion` (1, T, ·) has a row for each of the frames, by default it is the recorded one."""
    gallery = gallery_before(Span(clip, frames.start, frames.stop), model.render.gallery)
    context, made = model.render.context, []
    for t in frames:
        around = range(t - context, t + context + 1)
        near = clip.subject([min(max(k, 0), clip.frames - 1) for k in around], footage=False)
        moves = Motion(near.expression, Space.EXPRESSION)
        if motion is not None:
            rows = [min(max(k - frames.start, 0), len(frames) - 1) for k in around]
            moves = Motion(motion.values[:, rows], motion.space)
        subject = replace(clip.subject([t], reference=0), gallery=gallery)
        made.append(model.render(model.face.convert(moves, model.render.space, near), subject).frames[0, 0])
    return made


def recorded_of(other: ClipFolder, count: int) -> tuple[Motion, list[Tensor]]:
    """What another person does in the last `count` frames, over and over where there are fewer; and the pictures."""
    first = max(0, other.frames - count)
    frames = [first + k % (other.frames - first) for k in range(count)]
    return Motion(other.subject(frames, footage=False).expression, Space.EXPRESSION), list(other.footage(frames))


@torch.inference_mode()
def spoken(run: Path, sound: Path, clip: ClipFolder, frames: range) -> Motion:
    """What a run's motion model makes of the first seconds of a sound, for the person of a clip."""
    talker = TalkingFace.from_checkpoint(run)
    wave = whole_frames(read_sound(sound))[None, : len(frames) * SAMPLES_PER_FRAME]
    if wave.shape[1] < len(frames) * SAMPLES_PER_FRAME:
        raise SystemExit(f"{sound} is shorter than the {len(frames)} frames that are painted")
    return talker.motion(talker.audio(Speech(wave)), clip.subject(frames, footage=False))


@torch.inference_mode()
def with_own_eyes(face: FaceModel, motion: Motion, clip: ClipFolder, frames: range) -> Motion:
    """As `visemix generate` drives a head: eyes and brows stay the footage's."""
    still = clip.subject(frames, footage=False)
    return transfer_eyes(face, motion, face.convert(Motion(still.expression, Space.EXPRESSION), motion.space, still))


def write_sheet(path: Path, rows: dict[str, list[Tensor]], every: int) -> None:
    """A row each, under its name, of every so manieth of its pictures, in their own size."""
    size = next(iter(rows.values()))[0].shape[-1]
    strips = []
    for name, pictures in rows.items():
        chosen = torch.stack(pictures[::every]).float()
        if chosen.shape[-1] != size:
            chosen = F.interpolate(chosen, (size, size), mode="bilinear", antialias=True)
        strip = torch.cat(list(chosen), -1).clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy()
        title = Image.new("RGB", (strip.shape[1], LINE), "white")
        ImageDraw.Draw(title).text((4, 3), name, fill="black")
        strips += [np.asarray(title), strip]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(strips)).save(path)
