"""People's mouths beside the corpus's, a row for each sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from visemix.corpus.scene import Scene
from visemix.data import ClipFolder
from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d

CELL, LABEL = 128, 100  # pixels
OURS = 4  # speakers shown
FACE_WIDTHS = 0.55  # of the picture that is cut out


def write_page(
    path: Path, names: list[str], face: FaceModel, real: list[tuple[Path, Any]], acted: list[Any], ours: list[Any]
) -> None:
    """`real`: clips and what is known of their mouths; `acted` and `ours`: the same of the corpus."""
    columns = [[_photograph(clip, frame) for frame in typical(said, names)] for clip, said in real]
    for actor, said in list(zip(acted, ours, strict=True))[:OURS]:
        columns.append(_drawn(face, actor, typical(said, names)))
    page = Image.new("RGB", (LABEL + CELL * len(columns), CELL * len(names)), "white")
    for row, name in enumerate(names):
        ImageDraw.Draw(page).text((6, CELL * (row + 0.4)), name, fill="black", font=_font())
        for k, column in enumerate(columns):
            picture = column[row]
            if picture is not None:
                page.paste(picture, (LABEL + CELL * k, CELL * row))
    edge = LABEL + CELL * len(real)
    ImageDraw.Draw(page).line((edge, 0, edge, page.height), fill="red", width=3)
    page.save(path)


def typical(said: Any, names: list[str]) -> list[int | None]:
    """For each class the frame whose opening is the median of those in which it is said."""
    found: list[int | None] = []
    for name in names:
        frames = [round(at) for sound, at in said.sounds if sound == name and 0 <= round(at) < len(said.mouth)]
        frames.sort(key=lambda frame: said.mouth[frame, 0])
        found.append(frames[len(frames) // 2] if frames else None)
    return found


def _photograph(path: Path, frame: int | None) -> Image.Image | None:
    if frame is None:
        return None
    clip = ClipFolder(path)
    pixels = clip.subject(range(frame, frame + 1)).footage
    assert pixels is not None
    return _cut(pixels[0, 0], clip.tensor("landmarks")[frame])


def _drawn(face: FaceModel, actor: Any, frames: list[int | None]) -> list[Image.Image | None]:
    wanted = [frame for frame in frames if frame is not None]
    pose, expression = actor.subject.pose[0, wanted], actor.subject.expression[0, wanted]
    points = landmarks_2d(face, actor.subject.expression, actor.subject)[0]
    scene = Scene(face, actor.person, 256)
    with torch.inference_mode():
        pictures = iter([picture for picture, _ in scene.draw(expression, pose)])
    return [None if frame is None else _cut(next(pictures), points[frame]) for frame in frames]


def _cut(picture: torch.Tensor, points: torch.Tensor) -> Image.Image:
    """The mouth, as large as the face is wide."""
    pixels = picture if picture.dtype == torch.uint8 else picture.clamp(0, 1).mul(255).round().to(torch.uint8)
    x, y = points[48:68].mean(0).tolist()
    half = FACE_WIDTHS / 2 * float(np.ptp(points[:17, 0].numpy()))
    whole = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
    return whole.crop((round(x - half), round(y - half), round(x + half), round(y + half))).resize((CELL, CELL))


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype("DejaVuSans.ttf", 15)  # has phonetic letters
    except OSError:
        return ImageFont.load_default(15)
