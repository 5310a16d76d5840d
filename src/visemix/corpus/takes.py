"""One clip of a corpus: somebody is given words, speaks and acts them, and is filmed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors.torch import save
from torch import Tensor

from visemix.corpus.acting import VERSION, act, reconstruction_noise
from visemix.corpus.cast import Person, cast
from visemix.corpus.recordings import babble_of, recorded
from visemix.corpus.scene import PLACE, Scene
from visemix.corpus.sentences import languages
from visemix.corpus.utterance import Utterance, utter
from visemix.corpus.voices import RECORDED, Asked, Voice, ruled, voice_for
from visemix.data.clipfiles import FRAMES, LABELS, PHONEMES, PICTURES, describe_face, read_meta
from visemix.data.clipwriter import whole_folder, write_data
from visemix.data.labels import LabelWriter
from visemix.data.phonemes import write_phonemes
from visemix.data.writer import VideoWriter
from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d
from visemix.ops.camera import square_camera
from visemix.ops.device import on_threads
from visemix.types import FPS, SAMPLES_PER_FRAME, Subject, VisemixError

TRUTH = "truth.safetensors"
REPORT_EVERY = 25  # frames
CRF = 22
STEPS = 2**13  # of loudness up to full: finer ones are only noise, and would be a fifth of a clip

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Take:
    """One clip to make: who, what kind of speech, which."""

    clip: str
    number: int
    unseen: bool = False
    language: str = "en"
    voice: str | None = None  # other than the speaker's own: somebody else is heard
    singing: bool = False


@dataclass(frozen=True)
class Recipe:
    """What all clips of a corpus have in common."""

    out: Path
    seconds: float
    size: int
    language: str
    voice: str | None
    synthesiser: Asked
    face: dict[str, Any]
    seed: int
    noise: bool = False
    manner: Literal["drifting", "held"] = "drifting"
    overwrite: bool = False
    conditions: tuple[str, ...] = ()  # some of `acoustics.KINDS`
    pictures: bool = True


def make(recipe: Recipe, take: Take, face: FaceModel, tell: Tell = lambda *_: None) -> bool:
    """Make one clip, in one thread; False where it is there already.

    Raises:
        VisemixError: it is there but made otherwise, or cannot be written.
    """
    folder = recipe.out / take.clip
    if folder.exists() and not recipe.overwrite:
        _compare(folder, recipe, take, face)
        return False
    with on_threads(1):  # sums come out the same to the last bit only if they are cut into the same parts
        person = person_of(recipe, take, face)
        words, ways = _seeds(recipe.seed, take)
        style = replace(person.style, held=recipe.manner == "held")
        tell("speaks", 0, 1)
        voice = heard_in(recipe, take, person)
        said, recordings = _recording(recipe, take, voice, words)
        frames = len(said.wave) // SAMPLES_PER_FRAME
        acted = act(said.phones, frames, style, face, ways)
        subject = subject_of(person, acted.expression, acted.pose, recipe.size)
        with whole_folder(folder, recipe.overwrite) as part:
            background = _film(part, Scene(face, person, recipe.size), subject, tell) if recipe.pictures else None
            write_phonemes(part / PHONEMES, said.phones)
            tensors = _tensors(face, subject, said)
            if recipe.noise:
                (part / TRUTH).write_bytes(save({"expression": tensors["expression"].contiguous()}))
                tensors["expression"] = reconstruction_noise(tensors["expression"], face, ways)
            meta = {"speaker": person.name} | _meta(recipe, take, voice, said, recordings)
            write_data(part, take.clip, tensors, meta, face, background)
    return True


def _film(part: Path, scene: Scene, subject: Subject, tell: Tell) -> UInt8[Tensor, "3 H W"]:
    """Pictures and labels of a performance; the place without the person is returned."""
    with VideoWriter(part / FRAMES, seekable=True, crf=CRF) as pictures, LabelWriter(part / LABELS) as labels:
        for k, (picture, label) in enumerate(scene.draw(subject.expression[0], subject.pose[0])):
            pictures.write(picture)
            labels.write(label)
            if k % REPORT_EVERY == 0:
                tell("draws", k, subject.frames)
    return scene.background


def subject_of(person: Person, expression: Tensor, pose: Tensor, size: int) -> Subject:
    """A person's performance before the camera; `pose` is about the place where heads are."""
    return Subject(
        speaker=(person.name,),
        identity=person.identity[None],
        expression=expression[None],
        pose=(pose + torch.cat([torch.zeros(3), PLACE]))[None],
        camera=square_camera(size)[None],
        light=person.light.expand(1, len(pose), 27),
        albedo=person.albedo[None],
    )


def person_of(recipe: Recipe, take: Take, face: FaceModel) -> Person:
    seed = recipe.seed
    return cast(take.number, seed, face, recipe.language, recipe.voice, recipe.synthesiser, unseen=take.unseen)


def heard_in(recipe: Recipe, take: Take, person: Person) -> Voice:
    """Whose voice a take has: the person's own if it can say that, or else another of their sex."""
    if take.voice is not None:
        return voice_for(person.seed, take.language, take.voice, recipe.synthesiser)
    own = person.voice
    if own.synthesiser in RECORDED and (take.singing or take.language != own.language):  # which they cannot
        return voice_for(person.seed, take.language, own.sex, ruled())
    return own if take.language == own.language else voice_for(person.seed, take.language, own.name, recipe.synthesiser)


def _recording(recipe: Recipe, take: Take, voice: Voice, seed: int) -> tuple[Utterance, list[dict[str, Any]]]:
    kinds = recipe.conditions
    fast = float(np.random.default_rng([seed, 8]).uniform(0.9, 1.1)) if "speed" in kinds else 1.0
    said = utter(recipe.seconds, voice, seed, singing=take.singing, halting="hesitation" in kinds, speed=fast)
    if not kinds:
        return said, []
    slow = recipe.synthesiser in ("all", "kokoro")  # and three more people are wanted
    others: Asked = "auto" if slow else recipe.synthesiser
    said, told = recorded(said, kinds, seed, babble_of(take.language, others))
    return said, [{"speed": fast} | each for each in told]


def _seeds(seed: int, take: Take) -> tuple[int, int]:
    """Of what is said, and of how."""
    kinds = ("singing", "female", "male", *languages())
    kind = kinds.index("singing" if take.singing else take.voice or take.language)
    rng = np.random.default_rng([seed, 21, take.number, int(take.unseen), kind])
    return int(rng.integers(2**31)), int(rng.integers(2**31))


def _tensors(face: FaceModel, subject: Subject, said: Utterance) -> dict[str, Tensor]:
    return {
        "wave": torch.from_numpy(said.wave).mul(STEPS).round().div(STEPS),
        "identity": subject.identity[0],
        "expression": subject.expression[0],
        "pose": subject.pose[0],
        "camera": subject.camera[0],
        "light": subject.light[0],
        "albedo": subject.albedo[0],
        "landmarks": landmarks_2d(face, subject.expression, subject)[0],
        "error": torch.zeros(subject.frames),
    }


def _meta(
    recipe: Recipe, take: Take, heard: Voice, said: Utterance, recordings: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "source": {"synthetic": "visemix corpus", "sha256": None},
        "corpus": _asked(recipe, take)
        | {"voice": heard.name, "synthesiser": heard.synthesiser, "singing": take.singing, "text": said.text}
        | {"recordings": recordings},
        "holdout": math.inf,  # nothing is estimated from any frame
        "fit": {"reprojection_px": 0.0, "inner_mouth_px": 0.0, "mouth_opening_r": 1.0},
        "size": recipe.size,
        PICTURES: recipe.pictures,
    }


def _asked(recipe: Recipe, take: Take) -> dict[str, Any]:
    asked = {"seed": recipe.seed, "language": take.language, "noise": recipe.noise, "manner": recipe.manner}
    return asked | {"conditions": list(recipe.conditions), "acting": VERSION}


def _compare(folder: Path, recipe: Recipe, take: Take, face: FaceModel) -> None:
    meta = read_meta(folder)
    asked = {"size": recipe.size, "frames": round(recipe.seconds * FPS), "face": describe_face(face)}
    asked[PICTURES] = recipe.pictures
    have = {"conditions": [], PICTURES: True} | meta  # older clips say nothing of these two
    for key, value in (asked | _asked(recipe, take)).items():
        old = (have | (meta.get("corpus") or {})).get(key)
        if old != value:
            raise VisemixError(f"{folder} exists with {key} {old}, not {value}; pass --overwrite or another --out")
