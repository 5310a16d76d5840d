"""Talking heads whose truth is known: clips as `prepare` writes them, drawn and spoken here, nothing estimated."""

from __future__ import annotations

import csv
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save
from torch import Tensor

from visemix.data.acting import act, reconstruction_noise
from visemix.data.bars import Bars, listen, show_bars
from visemix.data.cast import Person, cast
from visemix.data.clips import FRAMES, LABELS, ClipFolder, describe_face, read_meta
from visemix.data.clipwriter import whole_folder, write_data
from visemix.data.labels import LabelWriter
from visemix.data.phonemes import Phone
from visemix.data.scene import PLACE, Scene
from visemix.data.sentences import languages
from visemix.data.utterance import Utterance, utter, voice_for
from visemix.data.workers import CONTEXT, Workers
from visemix.data.writer import VideoWriter
from visemix.face import FACE, FaceModel
from visemix.face.shading import landmarks_2d
from visemix.ops.camera import square_camera
from visemix.types import FPS, SAMPLES_PER_FRAME, Subject, VisemixError

PHONEMES, TRUTH = "phonemes.csv", "truth.safetensors"
SPLITS, SYNTHESISERS = ("train", "test", "ood"), ("auto", "espeak", "formants")
OTHER_SEX: dict[str, Literal["female", "male"]] = {"female": "male", "male": "female"}
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
    synthesiser: Literal["auto", "espeak", "formants"]
    face: dict[str, Any]
    seed: int
    noise: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Made:
    """Names of clips."""

    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # were there already


def corpus(
    out: str | Path,
    *,
    speakers: int = 8,
    minutes: float = 1.0,
    size: int = 128,
    language: str = "en",
    voice: str | None = None,
    split: Literal["train", "test", "ood"] = "train",
    face: Mapping[str, Any] | str = "toy",
    seed: int = 0,
    jobs: int = 1,
    synthesiser: Literal["auto", "espeak", "formants"] = "auto",
    noise: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Made:
    """Make a clip folder of every speaker; the same seed gives the same bytes, whatever the number of `jobs`.

    "train" has a clip of each speaker. "test" has others, whom a model trained on "train" has not seen. "ood" has the
    speakers of "train" again, three times: speaking another language, heard with a voice of the other sex, singing.

    Args:
        minutes: of each clip.
        size: pixels a side, a multiple of 16.
        language: one of `languages()`.
        voice: "female", "male", or a voice by name, for everybody; by default women and men take turns.
        face: a part of the registry `FACE` whose expressions are known: `toy` or `ict`.
        jobs: clips at once, each in a process of its own.
        synthesiser: "auto" takes espeak where the extra is installed.
        noise: keep the expression with the errors that a face model fitted to video has; the exact one, which is what
            is drawn, lies beside it in `truth.safetensors`.

    Raises:
        VisemixError: a wish that cannot be met, or a clip that is there and was made otherwise.
    """
    part = {"name": face} if isinstance(face, str) else dict(face)
    recipe = Recipe(Path(out), 60 * minutes, size, language, voice, synthesiser, part, seed, noise, overwrite)
    _check(recipe, speakers, split, jobs)
    todo = plan(recipe, speakers, split)
    console = console or Console(stderr=True)
    made = Made()
    with show_bars(console, len(todo), "clips") as bars:
        answers = _here(recipe, todo, bars) if jobs == 1 else _elsewhere(recipe, todo, jobs, bars)
        for take, fresh in answers:
            (made.done if fresh else made.kept).append(take.clip)
            bars.finish(take.clip)
    return made


def _check(recipe: Recipe, speakers: int, split: str, jobs: int) -> None:
    if speakers < 1 or jobs < 1:
        raise VisemixError(f"--speakers {speakers} and --jobs {jobs} must be 1 at least")
    if recipe.size < 32 or recipe.size % 16:
        raise VisemixError(f"--size {recipe.size} must be a multiple of 16, 32 at least")
    if recipe.seconds < 1:
        raise VisemixError(f"--minutes {recipe.seconds / 60:g} is less than a second; ask for 0.02 or more")
    if split not in SPLITS:
        raise VisemixError(f"no split '{split}'; choose {', '.join(SPLITS)}")
    if recipe.synthesiser not in SYNTHESISERS:
        raise VisemixError(f"no synthesiser '{recipe.synthesiser}'; choose {', '.join(SYNTHESISERS)}")
    voice_for(0, recipe.language, recipe.voice, recipe.synthesiser)
    try:
        recipe.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VisemixError(f"cannot write to {recipe.out}: {error.strerror}") from error
    if not os.access(recipe.out, os.W_OK):
        raise VisemixError(f"cannot write to {recipe.out}: no permission; choose another --out")


def plan(recipe: Recipe, speakers: int, split: str) -> list[Take]:
    """The clips of a split. Each can be made without the others."""
    takes = []
    face = FACE.build(recipe.face)
    for number in range(speakers):
        unseen = split == "test"
        person = _person(recipe, Take("", number, unseen, recipe.language), face)
        plain = Take(f"{person.name}_000", number, unseen, recipe.language)
        if split != "ood":
            takes.append(plain)
            continue
        foreign = [each for each in languages() if each != recipe.language]
        abroad = foreign[number % len(foreign)]
        takes.append(Take(f"{person.name}_{abroad}_000", number, language=abroad))
        other = OTHER_SEX[person.voice.sex]
        takes.append(Take(f"{person.name}_{other}_000", number, language=recipe.language, voice=other))
        takes.append(Take(f"{person.name}_singing_000", number, language=recipe.language, singing=True))
    return takes


def make(recipe: Recipe, take: Take, face: FaceModel, tell: Tell = lambda *_: None) -> bool:
    """Make one clip, in one thread; False where it is there already.

    Raises:
        VisemixError: it is there but made otherwise, or cannot be written.
    """
    folder = recipe.out / take.clip
    if folder.exists() and not recipe.overwrite:
        _compare(folder, recipe, take, face)
        return False
    with _one_thread():
        person = _person(recipe, take, face)
        words, manner = _seeds(recipe.seed, take)
        tell("speaks", 0, 1)
        said = utter(recipe.seconds, _heard(recipe, take, person), words, singing=take.singing)
        frames = len(said.wave) // SAMPLES_PER_FRAME
        acted = act(said.phones, frames, person.style, face, manner)
        subject = subject_of(person, acted.expression, acted.pose, recipe.size)
        scene = Scene(face, person, recipe.size)
        with whole_folder(folder, recipe.overwrite) as part:
            with VideoWriter(part / FRAMES, seekable=True, crf=CRF) as pictures, LabelWriter(part / LABELS) as labels:
                for k, (picture, label) in enumerate(scene.draw(subject.expression[0], subject.pose[0])):
                    pictures.write(picture)
                    labels.write(label)
                    if k % REPORT_EVERY == 0:
                        tell("draws", k, frames)
            write_phonemes(part / PHONEMES, said.phones)
            tensors = _tensors(face, subject, said)
            if recipe.noise:
                (part / TRUTH).write_bytes(save({"expression": tensors["expression"].contiguous()}))
                tensors["expression"] = reconstruction_noise(tensors["expression"], face, manner)
            write_data(part, take.clip, tensors, _meta(recipe, take, person, said), face)
    return True


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


def write_phonemes(path: Path, phones: tuple[Phone, ...]) -> None:
    """Start and end in seconds, and the sound: an IPA letter, or "_" for a pause."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("start", "end", "symbol"))
        rows.writerows((f"{phone.start:.4f}", f"{phone.stop:.4f}", phone.symbol) for phone in phones)


def read_phonemes(clip: ClipFolder) -> list[tuple[float, float, str]]:
    """What `write_phonemes` wrote into a clip.

    Raises:
        VisemixError: the clip has none: it was not made by `visemix corpus`.
    """
    path = clip.path / PHONEMES
    if not path.is_file():
        raise VisemixError(f"{clip.path} has no {PHONEMES}; clips of visemix corpus do")
    with path.open(newline="", encoding="utf-8") as file:
        return [(float(row["start"]), float(row["end"]), row["symbol"]) for row in csv.DictReader(file)]


def _person(recipe: Recipe, take: Take, face: FaceModel) -> Person:
    seed = recipe.seed
    return cast(take.number, seed, face, recipe.language, recipe.voice, recipe.synthesiser, unseen=take.unseen)


def _heard(recipe: Recipe, take: Take, person: Person) -> Any:
    if take.voice is None and take.language == recipe.language:
        return person.voice
    wanted = take.voice or person.voice.name
    return voice_for(person.seed, take.language, wanted, recipe.synthesiser)


def _seeds(seed: int, take: Take) -> tuple[int, int]:
    """Of what is said, and of how."""
    kinds = ("singing", *OTHER_SEX, *languages())
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


def _meta(recipe: Recipe, take: Take, person: Person, said: Utterance) -> dict[str, Any]:
    heard = _heard(recipe, take, person)
    return {
        "speaker": person.name,
        "source": {"synthetic": "visemix corpus", "sha256": None},
        "corpus": _asked(recipe, take)
        | {"voice": heard.name, "synthesiser": heard.synthesiser, "singing": take.singing, "text": said.text},
        "fit": {"reprojection_px": 0.0, "inner_mouth_px": 0.0, "mouth_opening_r": 1.0},
    }


def _asked(recipe: Recipe, take: Take) -> dict[str, Any]:
    return {"seed": recipe.seed, "language": take.language, "noise": recipe.noise}


def _compare(folder: Path, recipe: Recipe, take: Take, face: FaceModel) -> None:
    meta = read_meta(folder)
    asked = {"size": recipe.size, "frames": round(recipe.seconds * FPS), "face": describe_face(face)}
    have = {key: meta[key] for key in asked}
    for key, value in (asked | _asked(recipe, take)).items():
        old = (have | (meta.get("corpus") or {})).get(key)
        if old != value:
            raise VisemixError(f"{folder} exists with {key} {old}, not {value}; pass --overwrite or another --out")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same to the last bit only if they are cut into the same parts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _here(recipe: Recipe, takes: list[Take], bars: Bars) -> Iterator[tuple[Take, bool]]:
    face = FACE.build(recipe.face)
    for take in takes:
        yield take, make(recipe, take, face, lambda *step, name=take.clip: bars.tell(name, *step))


_recipe: Recipe
_face: FaceModel
_reports: Any


def _begin(recipe: Recipe, reports: Any) -> None:
    global _recipe, _face, _reports
    torch.set_num_threads(1)
    _recipe, _face, _reports = recipe, FACE.build(recipe.face), reports


def _work(take: Take) -> bool | str:
    try:
        return make(_recipe, take, _face, lambda *step: _reports.put((take.clip, *step)))
    except VisemixError as error:
        return str(error)


def _elsewhere(recipe: Recipe, takes: list[Take], jobs: int, bars: Bars) -> Iterator[tuple[Take, bool]]:
    reports = CONTEXT.SimpleQueue()
    listener = threading.Thread(target=listen, args=(reports, bars), daemon=True)
    listener.start()
    workers: Workers[Take, bool | str] = Workers(min(jobs, len(takes)), _begin, (recipe, reports))
    try:
        for take, answer in workers.map(_work, takes):
            if answer is None:
                raise VisemixError(f"the process that made {take.clip} died; try fewer --jobs")
            if isinstance(answer, str):
                raise VisemixError(answer)
            yield take, answer
    finally:
        reports.put(None)
        listener.join()
