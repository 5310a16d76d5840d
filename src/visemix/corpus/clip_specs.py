"""Making one clip of a corpus: words, speech, animation and pictures."""

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

from visemix.corpus.acting import VERSION, animate, reconstruction_noise
from visemix.corpus.cast import Person, cast
from visemix.corpus.recordings import babble_source, record_utterance
from visemix.corpus.scene import PLACE, Scene
from visemix.corpus.sentences import languages
from visemix.corpus.utterance import Utterance, compose_utterance
from visemix.corpus.voices import RECORDED, SynthesiserChoice, Voice, rule_based_synthesiser, sample_voice
from visemix.data.clipfiles import FRAMES, LABELS, PHONEMES, PICTURES, describe_face, read_meta
from visemix.data.clipwriter import atomic_folder, write_data
from visemix.data.labels import LabelWriter
from visemix.data.phonemes import write_phonemes
from visemix.data.writer import VideoWriter
from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d
from visemix.ops.camera import square_camera
from visemix.ops.device import torch_threads
from visemix.ops.locks import hold
from visemix.ops.store import REPLACE, write_bytes
from visemix.types import FPS, SAMPLES_PER_FRAME, Subject, VisemixError

TRUTH = "truth.safetensors"
REPORT_EVERY = 25  # frames
CRF = 22
STEPS = 2**13  # of loudness up to full: finer ones are only noise, and would be a fifth of a clip

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ClipSpec:
    """One clip to make: its name, the number of its speaker, and the kind of speech."""

    clip: str
    number: int
    unseen: bool = False
    language: str = "en"
    voice: str | None = None  # other than the speaker's own: somebody else is heard
    singing: bool = False


@dataclass(frozen=True)
class CorpusConfig:
    """What all clips of a corpus have in common."""

    out: Path
    seconds: float
    size: int
    language: str
    voice: str | None
    synthesiser: SynthesiserChoice
    face: dict[str, Any]
    seed: int
    noise: bool = False
    manner: Literal["drifting", "held"] = "drifting"
    overwrite: bool = False
    conditions: tuple[str, ...] = ()  # some of `acoustics.KINDS`
    pictures: bool = True


def make_clip(
    config: CorpusConfig, spec: ClipSpec, face: FaceModel, on_progress: ProgressCallback = lambda *_: None
) -> bool:
    """Make one clip, in one thread; False where it is there already.

    Raises:
        VisemixError: it is there but made otherwise, or cannot be written.
    """
    folder = config.out / spec.clip
    if folder.exists() and not config.overwrite:
        _check_existing(folder, config, spec, face)
        return False
    with hold(folder, wait=True):
        return False if folder.exists() and not config.overwrite else _make(config, spec, folder, face, on_progress)


def _make(
    config: CorpusConfig, spec: ClipSpec, folder: Path, face: FaceModel, on_progress: ProgressCallback
) -> Literal[True]:
    with torch_threads(1):  # sums come out the same to the last bit only if they are cut into the same parts
        person = cast_speaker(config, spec, face)
        words, ways = _seeds(config.seed, spec)
        style = replace(person.style, held=config.manner == "held")
        on_progress("speaks", 0, 1)
        voice = choose_voice(config, spec, person)
        utterance, recordings = _recording(config, spec, voice, words)
        frames = len(utterance.wave) // SAMPLES_PER_FRAME
        acted = animate(utterance.phones, frames, style, face, ways)
        subject = subject_of(person, acted.expression, acted.pose, config.size)
        with atomic_folder(folder, config.overwrite) as part:
            background = (
                _render(part, Scene(face, person, config.size), subject, on_progress) if config.pictures else None
            )
            write_phonemes(part / PHONEMES, utterance.phones)
            tensors = _tensors(face, subject, utterance)
            if config.noise:
                write_bytes(part / TRUTH, save({"expression": tensors["expression"].contiguous()}))
                tensors["expression"] = reconstruction_noise(tensors["expression"], face, ways)
            meta = {"speaker": person.name} | _meta(config, spec, voice, utterance, recordings)
            write_data(part, spec.clip, tensors, meta, face, background)
    return True


def _render(part: Path, scene: Scene, subject: Subject, on_progress: ProgressCallback) -> UInt8[Tensor, "3 H W"]:
    """Write the pictures and labels of a performance; returns the background without the person."""
    with VideoWriter(part / FRAMES, seekable=True, crf=CRF) as pictures, LabelWriter(part / LABELS) as labels:
        for k, (picture, label) in enumerate(scene.draw(subject.expression[0], subject.pose[0])):
            pictures.write(picture)
            labels.write(label)
            if k % REPORT_EVERY == 0:
                on_progress("draws", k, subject.frames)
    return scene.background


def subject_of(person: Person, expression: Tensor, pose: Tensor, size: int) -> Subject:
    """`Subject` of a person with this performance; `pose` is relative to the place where heads are."""
    return Subject(
        speaker=(person.name,),
        identity=person.identity[None],
        expression=expression[None],
        pose=(pose + torch.cat([torch.zeros(3), PLACE]))[None],
        camera=square_camera(size)[None],
        light=person.light.expand(1, len(pose), 27),
        albedo=person.albedo[None],
    )


def cast_speaker(config: CorpusConfig, spec: ClipSpec, face: FaceModel) -> Person:
    """The `Person` who speaks in a clip: by its number, one of the corpus's people or of those `unseen`."""
    seed = config.seed
    return cast(spec.number, seed, face, config.language, config.voice, config.synthesiser, unseen=spec.unseen)


def choose_voice(config: CorpusConfig, spec: ClipSpec, person: Person) -> Voice:
    """The `Voice` of a clip: the speaker's own if it can say that, or else another of their sex."""
    if spec.voice is not None:
        return sample_voice(person.seed, spec.language, spec.voice, config.synthesiser)
    own = person.voice
    if own.synthesiser in RECORDED and (spec.singing or spec.language != own.language):  # which they cannot
        return sample_voice(person.seed, spec.language, own.sex, rule_based_synthesiser())
    return (
        own if spec.language == own.language else sample_voice(person.seed, spec.language, own.name, config.synthesiser)
    )


def _recording(config: CorpusConfig, spec: ClipSpec, voice: Voice, seed: int) -> tuple[Utterance, list[dict[str, Any]]]:
    kinds = config.conditions
    fast = float(np.random.default_rng([seed, 8]).uniform(0.9, 1.1)) if "speed" in kinds else 1.0
    utterance = compose_utterance(
        config.seconds, voice, seed, singing=spec.singing, halting="hesitation" in kinds, speed=fast
    )
    if not kinds:
        return utterance, []
    slow = config.synthesiser in ("all", "kokoro")  # and three more people are wanted
    others: SynthesiserChoice = "auto" if slow else config.synthesiser
    utterance, told = record_utterance(utterance, kinds, seed, babble_source(spec.language, others))
    return utterance, [{"speed": fast} | each for each in told]


def _seeds(seed: int, spec: ClipSpec) -> tuple[int, int]:
    """Seeds of the words of a clip, and of how they are said."""
    kinds = ("singing", "female", "male", *languages())
    kind = kinds.index("singing" if spec.singing else spec.voice or spec.language)
    rng = np.random.default_rng([seed, 21, spec.number, int(spec.unseen), kind])
    return int(rng.integers(2**31)), int(rng.integers(2**31))


def _tensors(face: FaceModel, subject: Subject, utterance: Utterance) -> dict[str, Tensor]:
    return {
        "wave": torch.from_numpy(utterance.wave).mul(STEPS).round().div(STEPS),
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
    config: CorpusConfig, spec: ClipSpec, voice: Voice, utterance: Utterance, recordings: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "source": {"synthetic": "visemix corpus", "sha256": None},
        "corpus": _corpus_meta(config, spec)
        | {"voice": voice.name, "synthesiser": voice.synthesiser, "singing": spec.singing, "text": utterance.text}
        | {"recordings": recordings},
        "holdout": math.inf,  # nothing is estimated from any frame
        "fit": {"reprojection_px": 0.0, "inner_mouth_px": 0.0, "mouth_opening_r": 1.0},
        "size": config.size,
        PICTURES: config.pictures,
    }


def _corpus_meta(config: CorpusConfig, spec: ClipSpec) -> dict[str, Any]:
    asked = {"seed": config.seed, "language": spec.language, "noise": config.noise, "manner": config.manner}
    return asked | {"conditions": list(config.conditions), "acting": VERSION}


def _check_existing(folder: Path, config: CorpusConfig, spec: ClipSpec, face: FaceModel) -> None:
    meta = read_meta(folder)
    asked = {"size": config.size, "frames": round(config.seconds * FPS), "face": describe_face(face)}
    asked[PICTURES] = config.pictures
    have = {"conditions": [], PICTURES: True} | meta  # older clips say nothing of these two
    for key, value in (asked | _corpus_meta(config, spec)).items():
        old = (have | (meta.get("corpus") or {})).get(key)
        if old != value:
            raise VisemixError(f"{folder} exists with {key} {old}, not {value}; choose another --out or {REPLACE}")
