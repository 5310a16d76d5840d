"""Synthetic speakers whose mouth follows their sound: clips that need no download and whose truth is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from visemix.data.acting import Style, act
from visemix.data.clips import ClipFolder, write_clip
from visemix.data.rig import layout_of
from visemix.data.utterance import Voice, utter, voice_for
from visemix.face import FaceModel
from visemix.face.shading import draw, landmarks_2d, soft_light
from visemix.ops.camera import square_camera
from visemix.types import FPS, Subject, VisemixError

NAMES = ("ada", "ben", "cleo", "dan", "eve", "finn", "gina", "hugo")
BACK = -1.7  # decimetres behind the origin, so that there is room around the head
FINER = 2  # pictures are drawn this many times as large, then averaged: the rasteriser does not smooth edges
CHUNK = 10  # frames drawn at once


@dataclass(frozen=True)
class Person:
    """What a synthetic speaker looks and sounds like."""

    name: str
    voice: Voice
    identity: Float[Tensor, " I"]
    albedo: Float[Tensor, "N 3"]
    light: Float[Tensor, "27"]
    backdrop: Float[Tensor, "3 H W"]
    mouth: float  # how far this speaker opens the mouth


def synthesise(
    folder: str | Path,
    speakers: int = 3,
    seconds: float = 12.0,
    size: int = 128,
    seed: int = 0,
    *,
    face: FaceModel,
    overwrite: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> list[ClipFolder]:
    """Write a clip for each speaker into `folder`, as if a video had been prepared, but with nothing to estimate.

    Every speaker says sentences in a formant voice of their own; lips and jaw move with the sounds, blend from
    one into the next and close for m and p; eyes blink, brows and head move. Coefficients, pose and light on disk are
    those the pictures were drawn with. The same seed gives the same numbers.

    Args:
        seconds: of each clip.
        size: of the square pictures, pixels.
        face: the `toy` model, or another with expressions of the same names.
        tick: called after every frame, for a progress bar of `speakers * round(25 * seconds)` steps.

    Raises:
        VisemixError: the face lacks an expression, fewer than one second, more than eight speakers, or a clip exists.
    """
    layout_of(face)
    if seconds < 1 or not 1 <= speakers <= len(NAMES):
        raise VisemixError(f"{speakers} speakers for {seconds} seconds; ask for 1 to {len(NAMES)}, a second or more")
    clips = []
    for number in range(speakers):
        rng = np.random.default_rng([seed, number])
        clips.append(_clip(Path(folder), number, round(seconds * FPS), size, face, rng, overwrite, tick))
    return clips


def _clip(
    folder: Path,
    number: int,
    frames: int,
    size: int,
    face: FaceModel,
    rng: np.random.Generator,
    overwrite: bool,
    tick: Callable[[], None],
) -> ClipFolder:
    person = _person(number, size, face, rng)
    seed = int(rng.integers(2**31))
    said = utter(frames / FPS, person.voice, seed)
    wave = torch.from_numpy(said.wave)
    acted = act(said.phones, frames, Style(amplitude=person.mouth), face, seed)
    pose = acted.pose + torch.tensor([0, 0, 0, 0, 0, BACK])
    subject = Subject(
        speaker=(person.name,),
        identity=person.identity[None],
        expression=acted.expression[None],
        pose=pose[None],
        camera=square_camera(size)[None],
        light=person.light.expand(1, frames, 27),
        albedo=person.albedo[None],
    )
    tensors = {
        "wave": wave,
        "identity": person.identity,
        "expression": acted.expression,
        "pose": pose,
        "camera": subject.camera[0],
        "light": subject.light[0],
        "albedo": person.albedo,
        "landmarks": landmarks_2d(face, subject.expression, subject)[0],
        "error": torch.zeros(frames),
    }
    meta = {
        "source": {"synthetic": "visemix.data.synthetic", "sha256": None},
        "fit": {"reprojection_px": 0.0, "inner_mouth_px": 0.0, "mouth_opening_r": 1.0},
        "phones": [[phone.symbol, round(phone.start, 4), round(phone.stop, 4)] for phone in said.phones],
    }
    pictures = _pictures(face, subject, person.backdrop, size, tick)
    return write_clip(folder / f"{person.name}_000", tensors, pictures, meta, face=face, overwrite=overwrite)


def _person(number: int, size: int, face: FaceModel, rng: np.random.Generator) -> Person:
    voice = voice_for(int(rng.integers(2**31)), "en", ("female", "male")[number % 2], "formants")
    identity = torch.from_numpy(rng.standard_normal(face.identity.shape[-1])).float().clamp(-2, 2)
    tone = torch.from_numpy(rng.standard_normal(face.texture.shape[-1])).float()
    if len(tone):
        tone[0] = (0.3, -2.2, -1.0, 0.8)[number % 4]  # skins differ on purpose, not by luck
    albedo = (face.albedo + face.texture @ tone).clamp(0.02, 0.98)
    light = soft_light().reshape(3, 9).clone()
    light[:, 1:4] += 0.08 * torch.from_numpy(rng.standard_normal(3)).float()
    light += 0.02 * torch.from_numpy(rng.standard_normal((3, 1))).float()
    return Person(NAMES[number], voice, identity, albedo, light.flatten(), _backdrop(size, rng), rng.uniform(0.85, 1.1))


def _backdrop(size: int, rng: np.random.Generator) -> Float[Tensor, "3 H W"]:
    """A wall with stains and a coloured jumper, out of focus."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    wall = rng.uniform(0.25, 0.75, 3)[:, None, None] * (1.1 - 0.4 * y + 0.2 * (x - 0.5) * rng.choice([-1, 1]))
    for scale, strength in ((0.02, 0.05), (0.1, 0.12)):
        stain = gaussian_filter(rng.standard_normal((size, size)), scale * size, mode="wrap")
        wall = wall * (1 + strength * stain / stain.std())
    shoulders = ((x - 0.5) / 0.42) ** 2 + ((y - 1.08) / 0.2) ** 2
    inside = 1 / (1 + np.exp((shoulders - 1) * 0.15 * size))
    folds = 1 + 0.08 * np.sin(40 * x + 6 * np.sin(9 * y + rng.uniform(0, 6)))
    jumper = rng.uniform(0.1, 0.8, 3)[:, None, None] * folds * (1.4 - 0.4 * y)
    return torch.from_numpy(np.clip(wall * (1 - inside) + jumper * inside, 0, 1)).float()


def _pictures(
    face: FaceModel, subject: Subject, backdrop: Tensor, size: int, tick: Callable[[], None]
) -> Iterator[UInt8[Tensor, "3 H W"]]:
    large = FINER * size
    for some in torch.arange(subject.frames).split(CHUNK):
        part = replace(subject.at(some), camera=FINER * subject.camera)
        with torch.no_grad():
            seen = draw(face, part.expression, part, (large, large))
        head = F.avg_pool2d((seen.image * seen.coverage)[0], FINER)
        share = F.avg_pool2d(seen.coverage[0], FINER)
        for picture in (head + backdrop * (1 - share)).clamp(0, 1).mul(255).round().to(torch.uint8):
            yield picture
            tick()
