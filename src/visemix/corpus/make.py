"""Talking heads whose truth is known: clips as `prepare` writes them, drawn and spoken here, nothing estimated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from rich.console import Console

from visemix.corpus.acoustics import kinds_of
from visemix.corpus.sentences import languages
from visemix.corpus.takes import Recipe, Take, make, person_of
from visemix.corpus.voices import Asked, voice_for
from visemix.face import FACE, FaceModel
from visemix.ops.progress import Bars, listening, show_bars
from visemix.ops.workers import Workers
from visemix.types import VisemixError

SPLITS, SYNTHESISERS = ("train", "test", "ood"), get_args(Asked)
MANNERS = ("drifting", "held")
OTHER_SEX: dict[str, Literal["female", "male"]] = {"female": "male", "male": "female"}


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
    synthesiser: Asked = "auto",
    conditions: str = "clean",
    noise: bool = False,
    manner: Literal["drifting", "held"] = "drifting",
    pictures: bool = True,
    overwrite: bool = False,
    console: Console | None = None,
) -> Made:
    """Make a clip folder of every speaker; the same seed gives the same bytes, whatever the number of `jobs`, on one
    installation: which voices "auto" finds depends on it.

    "train" has a clip of each speaker. "test" has others, whom a model trained on "train" has not seen. "ood" has the
    speakers of "train" again, three times: speaking another language, heard with a voice of the other sex, singing.

    Args:
        minutes: of each clip.
        size: pixels a side, a multiple of 16.
        language: one of `languages()`.
        voice: "female", "male", or a voice by name ("slt", "f2"), for everybody; by default women and men take turns.
        face: a part of the registry `FACE` whose expressions are known: `toy` or `ict`.
        jobs: clips at once, each in a process of its own.
        synthesiser: "auto" takes turns between flite (English, recorded speakers) and espeak, where they are installed;
            "all" takes Kokoro in, too, which is slow.
        conditions: "clean", "all", or some of `acoustics.KINDS` with commas between: how sound is recorded, changing
            every 20 s; and whether people hesitate. The truth stays exact.
        noise: keep the expression with the errors that a face model fitted to video has; the exact one, which is what
            is drawn, lies beside it in `truth.safetensors`.
        manner: in what way sounds are made, which the sound does not tell: it drifts from second to second, or one of
            a few is held for six to twelve seconds.
        pictures: False leaves out what motion is learned without: sound, phonemes and motion are made in a fraction of
            the time, and are the same.

    Raises:
        VisemixError: a wish that cannot be met, or a clip that is there and was made otherwise.
    """
    part = {"name": face} if isinstance(face, str) else dict(face)
    recipe = Recipe(Path(out), 60 * minutes, size, language, voice, synthesiser, part, seed, noise, manner, overwrite)
    recipe = replace(recipe, conditions=kinds_of(conditions), pictures=pictures)
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
    if recipe.manner not in MANNERS:
        raise VisemixError(f"no manner '{recipe.manner}'; choose {', '.join(MANNERS)}")
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
        person = person_of(recipe, Take("", number, unseen, recipe.language), face)
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
    count = min(jobs, len(takes))
    with listening(bars) as reports, Workers[Take, bool | str](count, _begin, (recipe, reports)) as workers:
        for take, answer in workers.map(_work, takes):
            if answer is None:
                raise VisemixError(f"the process that made {take.clip} died; try fewer --jobs")
            if isinstance(answer, str):
                raise VisemixError(answer)
            yield take, answer
