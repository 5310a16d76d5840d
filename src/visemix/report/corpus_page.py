"""A page about a corpus: frames, waveform, phonemes and mouth opening of its clips on one time axis."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visemix.data import ClipFolder, Label, find_clips
from visemix.data.clipfiles import PHONEMES
from visemix.face import FACE, FaceModel
from visemix.face.layout import lips_apart
from visemix.ops.store import write_text
from visemix.report import heading, page, paragraph, picture, png, table
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Motion, Space

PAGE = "corpus.html"
WIDTH, SHOWN, FRAMES, CLIPS = 960, 3.6, 12, 6  # of a strip: pixels, seconds, pictures; clips that are shown
STYLE = """<style>.strip text { font: 11px system-ui, sans-serif; text-anchor: middle; fill: var(--ink) }
.strip .axis { fill: var(--quiet) } .wave { fill: var(--c2); stroke: none } .pause { fill: none } .sound {
fill: var(--c0); fill-opacity: .22; stroke: var(--page) } .open { fill: none; stroke: var(--c1); stroke-width: 1.8 }
.strip .name { text-anchor: start; fill: var(--quiet) }</style>"""


def write_page(root: str | Path) -> Path:
    """Write `corpus.html` into a folder of `visemix corpus` and return its path. Other clips in it are passed over."""
    root = Path(root)
    clips = [ClipFolder(path) for path in find_clips(root) if (path / PHONEMES).is_file()]
    seconds = sum(clip.frames for clip in clips) / FPS
    size = sum(file.stat().st_size for clip in clips for file in clip.path.iterdir())
    blocks = [
        STYLE,
        paragraph(
            f"{len(clips)} clips of {len({clip.speaker for clip in clips})} synthetic speakers, {seconds / 60:.1f} "
            f"minutes, {size / 1e6:.1f} MB. Nothing here is a real person. Phonemes, expression, pose, light and the "
            "masks of head and torso are known exactly; they lie beside the pictures."
        ),
    ]
    filmed = [clip for clip in clips if clip.has_pictures]
    if filmed:
        blocks.append(picture(faces(filmed), "everybody, and what is head (light), torso and background"))
    for clip in clips[:CLIPS]:
        told = clip.meta["corpus"]
        words = "sings" if told["singing"] else "says"
        blocks += [
            heading(clip.name),
            strip(clip, FACE.build({"name": clip.meta["face"]["name"]})),
            paragraph(f"{clip.speaker} {words} ({told['language']}): {_short(told['text'])}", note=True),
        ]
    rows = [(clip.name, clip.speaker, *_conditions_text(clip.meta["corpus"]), clip.frames / FPS) for clip in clips]
    blocks += [heading("All clips"), table(("clip", "speaker", "voice", "language", "conditions", "seconds"), rows)]
    return write_text(root / PAGE, page("A corpus of talking heads", blocks))


def _conditions_text(told: dict[str, Any]) -> tuple[str, str, str]:
    conditions = ", ".join(told.get("conditions", ())) or "clean"
    return f"{told['synthesiser']} {told['voice']}", told["language"], conditions


def faces(clips: list[ClipFolder], most: int = 8) -> np.ndarray:
    """A frame of each clip over its labels, side by side."""
    columns = []
    for clip in clips[:most]:
        middle = [clip.frames // 2]
        label = clip.labels(middle)[0].float() / max(Label) * 235
        columns.append(torch.cat([clip.footage(middle)[0] * 255, label.expand(3, -1, -1)], 1))
    return torch.cat(columns, 2).round().to(torch.uint8).permute(1, 2, 0).numpy()


def mouth_opening(clip: ClipFolder, face: FaceModel) -> Float[Tensor, " T"]:
    """Distance between the inner lips (points 63 and 67 of iBUG-68) in each frame, millimetres."""
    subject = clip.subject(range(clip.frames), footage=False)
    return lips_apart(face.landmarks(Motion(subject.expression, Space.EXPRESSION), subject)[0]) * 100


def strip(clip: ClipFolder, face: FaceModel) -> str:
    """The seconds around a clip's middle: pictures if any, waveform, phonemes and mouth opening on one axis, as SVG."""
    frames = min(clip.frames, round(SHOWN * FPS))
    start = max(0, (clip.frames - frames) // 2)
    began, seconds = start / FPS, frames / FPS
    side = WIDTH / FRAMES if clip.has_pictures else 0.0
    wave_at, sounds_at, curve_at, high = side + 34, side + 64, side + 98, 90

    def across(time: float) -> float:
        return (time - began) / seconds * WIDTH

    parts = []
    for n in range(FRAMES if clip.has_pictures else 0):
        k = min(start + int((n + 0.5) / FRAMES * frames), clip.frames - 1)
        pixels = clip.pictures.frames([k])[0].permute(1, 2, 0).contiguous().numpy()
        source = base64.b64encode(png(pixels)).decode()
        parts.append(
            f'<image x="{n * side:.1f}" width="{side}" height="{side}" href="data:image/png;base64,{source}"/>'
        )
    wave = clip.speech(start, frames).wave[0].abs().unflatten(0, (-1, SAMPLES_PER_FRAME // 4)).amax(1)
    tops = [(i / len(wave) * WIDTH, 26 * float(v) / max(float(wave.max()), 1e-6)) for i, v in enumerate(wave)]
    outline = [*((x, wave_at - y) for x, y in tops), *((x, wave_at + y) for x, y in reversed(tops))]
    parts.append(f'<polygon class="wave" points="{_points(outline)}"/>')
    for first, last, symbol in clip.phonemes():
        low, up = max(across(first), 0.0), min(across(last), float(WIDTH))
        if up > low and symbol != "_":
            parts.append(
                f'<rect class="sound" x="{low:.1f}" y="{sounds_at}" width="{up - low:.1f}" height="22"/>'
                f'<text x="{(low + up) / 2:.1f}" y="{sounds_at + 15}">{escape(symbol)}</text>'
            )
    opening = mouth_opening(clip, face)[start : start + frames]
    most = max(float(opening.max()), 1e-6)
    curve = [(across((start + k + 0.5) / FPS), curve_at + high * (1 - float(v) / most)) for k, v in enumerate(opening)]
    parts.append(f'<polyline class="open" points="{_points(curve)}"/>')
    parts.append(f'<text class="name" x="4" y="{curve_at + 10}">mouth opening, up to {most:.0f} mm</text>')
    bottom = curve_at + high + 18
    for second in range(int(np.ceil(began)), int(began + seconds) + 1):
        at = min(max(across(float(second)), 10.0), WIDTH - 10.0)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{side}" y2="{bottom - 12}"/>')
        parts.append(f'<text class="axis" x="{at:.1f}" y="{bottom}">{second} s</text>')
    label = f"{clip.name}: {len(clip.speech().wave[0]) / SAMPLE_RATE:g} s"
    about = f'class="strip" viewBox="0 0 {WIDTH} {bottom + 6}" role="img" aria-label="{escape(label)}"'
    return f"<svg {about}>{''.join(parts)}</svg>"


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _short(text: str, most: int = 240) -> str:
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"
