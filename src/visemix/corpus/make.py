"""Talking heads whose truth is known: clips as `prepare` writes them, drawn and spoken here, nothing estimated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from visemix.corpus.acoustics import parse_conditions
from visemix.corpus.clip_specs import ClipSpec, CorpusConfig, cast_speaker, make_clip
from visemix.corpus.sentences import languages
from visemix.corpus.voices import SynthesiserChoice, sample_voice
from visemix.face import FACE, FaceModel
from visemix.ops.locks import sweep
from visemix.ops.progress import BatchProgress, Console, batch_progress, progress_queue
from visemix.ops.workers import Workers
from visemix.options import check_seed
from visemix.types import VisemixError

SPLITS, SYNTHESISERS = ("train", "test", "ood"), get_args(SynthesiserChoice)
MANNERS = ("drifting", "held")
OTHER_SEX: dict[str, Literal["female", "male"]] = {"female": "male", "male": "female"}


@dataclass(frozen=True)
class CorpusResult:
    """Names of the clips that were made, and of those that were there."""

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
    synthesiser: SynthesiserChoice = "auto",
    conditions: str = "clean",
    noise: bool = False,
    manner: Literal["drifting", "held"] = "drifting",
    pictures: bool = True,
    overwrite: bool = False,
    console: Console | None = None,
) -> CorpusResult:
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
    config = CorpusConfig(
        Path(out), 60 * minutes, size, language, voice, synthesiser, part, seed, noise, manner, overwrite
    )
    config = replace(config, conditions=parse_conditions(conditions), pictures=pictures)
    _check(config, speakers, split, jobs)
    todo = plan_clips(config, speakers, split)
    console = console or Console(stderr=True)
    made = CorpusResult()
    with batch_progress(console, len(todo), "clips") as bars:
        answers = _in_process(config, todo, bars) if jobs == 1 else _in_workers(config, todo, jobs, bars)
        for spec, fresh in answers:
            (made.done if fresh else made.kept).append(spec.clip)
            bars.finish(spec.clip)
    return made


def _check(config: CorpusConfig, speakers: int, split: str, jobs: int) -> None:
    if speakers < 1 or jobs < 1:
        raise VisemixError(f"--speakers {speakers} and --jobs {jobs} must be 1 at least")
    if config.size < 32 or config.size % 16:
        raise VisemixError(f"--size {config.size} must be a multiple of 16, 32 at least")
    check_seed(config.seed)
    if not 1 <= config.seconds < math.inf:
        raise VisemixError(f"--minutes {config.seconds / 60:g} is no length of a clip; ask for 0.02 or more")
    if split not in SPLITS:
        raise VisemixError(f"no split '{split}'; choose {', '.join(SPLITS)}")
    if config.synthesiser not in SYNTHESISERS:
        raise VisemixError(f"no synthesiser '{config.synthesiser}'; choose {', '.join(SYNTHESISERS)}")
    if config.manner not in MANNERS:
        raise VisemixError(f"no manner '{config.manner}'; choose {', '.join(MANNERS)}")
    sample_voice(0, config.language, config.voice, config.synthesiser)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        sweep(config.out)
    except OSError as error:
        raise VisemixError(f"cannot write to {config.out}: {error.strerror}") from error
    if not os.access(config.out, os.W_OK):
        raise VisemixError(f"cannot write to {config.out}: no permission; choose another --out")


def plan_clips(config: CorpusConfig, speakers: int, split: str) -> list[ClipSpec]:
    """The clips of a split. Each can be made without the others."""
    specs = []
    face = FACE.build(config.face)
    for number in range(speakers):
        unseen = split == "test"
        person = cast_speaker(config, ClipSpec("", number, unseen, config.language), face)
        plain = ClipSpec(f"{person.name}_000", number, unseen, config.language)
        if split != "ood":
            specs.append(plain)
            continue
        foreign = [each for each in languages() if each != config.language]
        abroad = foreign[number % len(foreign)]
        specs.append(ClipSpec(f"{person.name}_{abroad}_000", number, language=abroad))
        other = OTHER_SEX[person.voice.sex]
        specs.append(ClipSpec(f"{person.name}_{other}_000", number, language=config.language, voice=other))
        specs.append(ClipSpec(f"{person.name}_singing_000", number, language=config.language, singing=True))
    return specs


def _in_process(config: CorpusConfig, specs: list[ClipSpec], bars: BatchProgress) -> Iterator[tuple[ClipSpec, bool]]:
    face = FACE.build(config.face)
    for spec in specs:
        yield spec, make_clip(config, spec, face, lambda *step, name=spec.clip: bars.update(name, *step))


_config: CorpusConfig
_face: FaceModel
_progress_queue: Any


def _init_worker(config: CorpusConfig, reports: Any) -> None:
    global _config, _face, _progress_queue
    torch.set_num_threads(1)
    _config, _face, _progress_queue = config, FACE.build(config.face), reports


def _make_in_worker(spec: ClipSpec) -> bool | str:
    try:
        return make_clip(_config, spec, _face, lambda *step: _progress_queue.put((spec.clip, *step)))
    except VisemixError as error:
        return str(error)


def _in_workers(
    config: CorpusConfig, specs: list[ClipSpec], jobs: int, bars: BatchProgress
) -> Iterator[tuple[ClipSpec, bool]]:
    count = min(jobs, len(specs))
    with (
        progress_queue(bars) as reports,
        Workers[ClipSpec, bool | str](count, _init_worker, (config, reports)) as workers,
    ):
        for spec, answer in workers.map(_make_in_worker, specs):
            if answer is None:
                raise VisemixError(f"the process that made {spec.clip} died; try fewer --jobs")
            if isinstance(answer, str):
                raise VisemixError(answer)
            yield spec, answer
