"""A stage's work as one picture: frames under their originals, or the mouth's opening over time as two curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from skimage.draw import line
from skimage.io import imsave
from torch import Tensor

from visemix.pipeline import TalkingFace
from visemix.types import Clip, Motion, Space

UPPER_LIP, LOWER_LIP = 62, 66  # the middles of the inner lips in iBUG-68
GREY, RED = (0.6, 0.6, 0.6), (0.85, 0.1, 0.1)  # the truth, and ours


def repainted(model: TalkingFace, clip: Clip, *, columns: int = 4) -> Float[Tensor, "3 H W"]:
    """The middle frame of the batch's first clips, and under each what the renderer makes of its motion."""
    few = first(clip, columns)
    middle = torch.tensor([few.subject.frames // 2])
    assert few.video is not None
    heard = model.render.space is Space.FEATURES
    motion = Motion(model.audio(few.speech).values, Space.FEATURES) if heard else few.motion
    drawn = model.draw(Motion(motion.values[:, middle], motion.space), few.subject.at(middle))
    rows = [torch.cat(list(frames[:, 0]), -1) for frames in (few.video.frames[:, middle], drawn.frames)]
    return torch.cat(rows, -2).clamp(0, 1)


def mouth_curves(model: TalkingFace, clip: Clip, *, height: int = 160) -> Float[Tensor, "3 H W"]:
    """How far the first clip's mouth opens in each frame, true (grey) and predicted from its sound (red)."""
    one = first(clip, 1)
    spoken = model.motion(model.audio(one.speech), one.subject)
    curves = [mouth_opening(model, motion, one).cpu() for motion in (one.motion, spoken)]
    low, high = torch.cat(curves).min(), torch.cat(curves).max()
    width = 4 * len(curves[0])
    picture = torch.ones(3, height, width)
    for curve, colour in zip(curves, (GREY, RED), strict=True):
        rows = ((high - curve) / (high - low).clamp_min(1e-6) * (height - 1)).long().tolist()
        for frame in range(1, len(rows)):
            ys, xs = line(rows[frame - 1], 4 * frame - 4, rows[frame], 4 * frame)
            picture[:, ys, xs] = torch.tensor(colour)[:, None]
    return picture


def mouth_opening(model: TalkingFace, motion: Motion, clip: Clip) -> Float[Tensor, " T"]:
    """Distance between the inner lips of the batch's first clip, in decimetres."""
    points = model.face.landmarks(motion, clip.subject)[0]
    return (points[:, UPPER_LIP] - points[:, LOWER_LIP]).norm(dim=-1)


def first(clip: Clip, count: int) -> Clip:
    """The first clips of a batch."""
    fewer = clip.map(lambda t: t[:count])
    return replace(fewer, subject=replace(fewer.subject, speaker=fewer.subject.speaker[:count]))


def write_picture(path: Path, picture: Float[Tensor, "3 H W"]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, picture.mul(255).round().byte().permute(1, 2, 0).cpu().numpy(), check_contrast=False)
