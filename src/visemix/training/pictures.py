"""Pictures that show what a stage has learnt: frames under their originals, curves, or a map of motions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from skimage.draw import line
from skimage.io import imsave
from torch import Tensor

from visemix.face.layout import lips_apart
from visemix.ops.store import atomic_write
from visemix.ops.tsne import tsne
from visemix.pipeline import TalkingFace
from visemix.types import Clip, Motion

GREY, RED, BLUE = (0.6, 0.6, 0.6), (0.85, 0.1, 0.1), (0.15, 0.35, 0.8)  # the truth, ours, and what it was made from
GREEN = (0.2, 0.6, 0.25)  # the truth of many others
MOST = 400  # points of one kind in a map


def render_comparison(
    model: TalkingFace, clip: Clip, *, columns: int = 4, spoken: bool = False
) -> Float[Tensor, "3 H W"]:
    """The middle frame of the batch's first clips, and under each what the renderer makes of its motion: the recorded
    one, or the one that is `spoken`."""
    few = first_clips(clip, columns)
    middle = torch.tensor([few.subject.frames // 2])
    assert few.video is not None
    from_speech = spoken or model.audio_driven
    motion = model.predict_motion(model.audio(few.speech), few.subject) if from_speech else few.motion
    drawn = model.draw(Motion(motion.values[:, middle], motion.space), few.subject.at(middle))
    rows = [torch.cat(list(frames[:, 0]), -1) for frames in (few.video.frames[:, middle], drawn.frames)]
    return torch.cat(rows, -2).clamp(0, 1)


def mouth_curves(model: TalkingFace, clip: Clip, *, height: int = 160) -> Float[Tensor, "3 H W"]:
    """How far the first clip's mouth opens in each frame, true (grey) and predicted from its sound (red)."""
    one = first_clips(clip, 1)
    spoken = model.motion(model.audio(one.speech), one.subject)
    curves = [mouth_opening(model, motion, one).cpu() for motion in (one.motion, spoken)]
    return plot(curves, (GREY, RED), height, 4)


def offset_curves(curves: Float[Tensor, "B offsets"], *, height: int = 160) -> Float[Tensor, "3 H W"]:
    """How well mouth and sound match, the sound moved by −15 … 15 frames: for each clip (grey), and the mean (red)."""
    lines = [*curves.cpu(), curves.mean(0).cpu()]
    return plot(lines, (*[GREY] * len(curves), RED), height, 8)


def domain_map(rows: dict[str, Float[Tensor, "N C"]], *, side: int = 480, dot: int = 2) -> Float[Tensor, "3 side side"]:
    """The four sets of GeneFace's Fig. 10, frame by frame, in one t-SNE map: true motions of the "many" (green), of the
    person ("truth", grey), and those made from the sound of the many, "before" the post-net (blue) and "after" (red).

    The post-net has worked where red lies among grey, and blue does not.
    """
    kinds = {"many": GREEN, "truth": GREY, "before": BLUE, "after": RED}
    few = {
        name: rows[name][torch.linspace(0, len(rows[name]) - 1, min(MOST, len(rows[name]))).long()] for name in kinds
    }
    places = tsne(torch.cat(list(few.values())).cpu())
    low, high = places.min(0).values, places.max(0).values
    cells = ((places - low) / (high - low).max().clamp_min(1e-6) * (side - 4 * dot - 1)).long() + 2 * dot
    picture = torch.ones(3, side, side)
    colours = [kinds[name] for name, points in few.items() for _ in points]
    for (x, y), colour in zip(cells.tolist(), colours, strict=True):
        picture[:, y - dot : y + dot + 1, x - dot : x + dot + 1] = torch.tensor(colour)[:, None, None]
    return picture


def heat_map(values: Float[Tensor, "rows columns"], *, dot: int = 4) -> Float[Tensor, "3 H W"]:
    """Numbers from 0 (white) to 1 (black), a square each."""
    return (1 - values).clamp(0, 1).cpu().repeat_interleave(dot, 0).repeat_interleave(dot, 1).expand(3, -1, -1)


def plot(
    curves: Sequence[Tensor], colours: Sequence[tuple[float, float, float]], height: int, step: int
) -> Float[Tensor, "3 H W"]:
    """Curves over one pair of axes, `step` pixels to a value."""
    low, high = torch.cat(list(curves)).min(), torch.cat(list(curves)).max()
    picture = torch.ones(3, height, step * len(curves[0]))
    for curve, colour in zip(curves, colours, strict=True):
        rows = ((high - curve) / (high - low).clamp_min(1e-6) * (height - 1)).long().tolist()
        for at in range(1, len(rows)):
            ys, xs = line(rows[at - 1], step * (at - 1), rows[at], step * at)
            picture[:, ys, xs] = torch.tensor(colour)[:, None]
    return picture


def mouth_opening(model: TalkingFace, motion: Motion, clip: Clip) -> Float[Tensor, " T"]:
    """Distance between the inner lips of the batch's first clip, in decimetres."""
    return lips_apart(model.face.landmarks(motion, clip.subject)[0])


def first_clips(clip: Clip, count: int) -> Clip:
    """The first clips of a batch."""
    fewer = clip.map(lambda t: t[:count])
    return replace(fewer, subject=replace(fewer.subject, speaker=fewer.subject.speaker[:count]))


def write_picture(path: Path, picture: Float[Tensor, "3 H W"]) -> None:
    """Write RGB in [0, 1] as an image file of 8 bits, in a folder that is made if it is missing."""
    with atomic_write(path) as part:
        imsave(part, picture.mul(255).round().byte().permute(1, 2, 0).cpu().numpy(), check_contrast=False)
