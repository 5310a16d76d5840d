"""Do the corpus's mouths look and move as people's do when they say the same sounds?

`python benchmarks/mouths.py CLIP… [--speakers 8] [--seconds 60] [--page PAGE.png]`, on prepared clips; needs the extras
`speech` and `corpus`. The corpus's speakers act here, without pictures. What is said, and when, is heard by `hama` on
both sides, so that its mistakes are the same; how late it hears each class is measured where the times are known. A
clip's sound is moved by the clip's own lag.

Opening (between the inner lips, up and down), width (corners) and forward (both lips, ahead of where they rest) in the
middle of each sound, as z: less the person's mean, over the person's spread; mean over people. `se`: standard error,
the larger of that over people and that over occurrences. `apart`: ours less people's, in standard errors. `extreme`:
when, from the middle on, the mean course is farthest from the person's mean. `mouths_motion`: millimetres; `quick` and
`rough` are the root mean square of the opening's first and second difference over its spread.

The page shows people's mouths beside ours, sound by sound. It has real people in it: keep it out of any repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _mouth_page import write_page
from _report import report
from voice import MM, load, shape, steady

from visemix.corpus.acting import animate
from visemix.corpus.cast import Person, cast
from visemix.corpus.clip_specs import subject_of
from visemix.corpus.utterance import compose_utterance
from visemix.data import ClipFolder
from visemix.face import FACE, FaceModel
from visemix.face.layout import lip_distance
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Motion, Space, Subject

TimedSound = tuple[str, float]  # a letter or a class; when
CLASSES = {
    "p b m": ("p", "b", "m", "pʰ"),
    "f v": ("f", "v"),
    "w": ("w",),
    "u ʊ": ("u", "ʊ", "ju"),
    "o ɔ": ("o", "oʊ", "ɔ", "ɔɪ"),
    "ɹ ɚ": ("ɹ", "r", "ɚ", "ɝ"),
    "ʃ ʒ tʃ dʒ": ("ʃ", "ʒ", "t͡ʃ", "d͡ʒ"),
    "s z": ("s", "z"),
    "t d n l": ("t", "d", "n", "l", "ɫ", "ɾ", "tʰ"),
    "θ ð": ("θ", "ð"),
    "k ɡ ŋ": ("k", "g", "ɡ", "kʰ", "ŋ"),
    "i ɪ j": ("i", "ɪ", "j"),
    "e ɛ": ("e", "eɪ", "ɛ"),
    "æ a ɑ": ("æ", "a", "ɑ", "ɒ", "aɪ", "aʊ"),
    "ʌ ə": ("ʌ", "ə", "ɐ", "ɜ"),
}
CLASS = {letter: name for name, members in CLASSES.items() for letter in members}
PAUSE = "pause"
CHANNELS = ("opening", "width", "forward")
LIPS = (51, 57)  # the middle of the upper and of the lower lip
AT_ONCE = 20 * SAMPLE_RATE  # samples that hama hears at a time
HEARD = 50.0  # its rows a second
AROUND = np.arange(-6, 7) / 2  # frames before and after a sound's middle
ENOUGH = 2  # occurrences before a person counts
GAP, EDGE, QUIET = 10.0, 3.0, 20.0  # of a pause: frames at least, without its ends; dB under the loud frames
APART = 0.12  # seconds between a sound and the letter that is heard for it, at most
SEED = 31


@dataclass(frozen=True)
class Said:
    """Somebody's mouth, (T, 3) in millimetres, and what they said: the name of a class and its middle, in frames."""

    name: str
    mouth: np.ndarray
    sounds: list[TimedSound]

    def score(self) -> np.ndarray:
        return (self.mouth - self.mouth.mean(0)) / self.mouth.std(0)


def mouth_of(face: FaceModel, subject: Subject) -> np.ndarray:
    motion = Motion(subject.expression, Space.EXPRESSION)
    rest = Motion(torch.zeros_like(subject.expression[:, :1]), Space.EXPRESSION)
    points, still = (MM * face.landmarks(m, subject)[0].double() for m in (motion, rest))
    up = lip_distance(points)[:, 1]
    ahead = points[:, LIPS, 2].mean(1) - still[:, LIPS, 2].mean(1)
    return np.stack([up.numpy(), shape(face, motion, subject)[:, 1], ahead.numpy()], 1)


@lru_cache(maxsize=1)
def recogniser() -> Any:
    from hama import ASRModel

    return ASRModel()


def recognise(wave: np.ndarray) -> list[TimedSound]:
    """Letters, and the seconds at which each is likeliest."""
    model = recogniser()
    letters = []
    for start in range(0, len(wave), AT_ONCE):
        piece = wave[start : start + AT_ONCE].astype(np.float32)
        given = {"waveform": piece[None], "waveform_lengths": np.array([len(piece)], np.int64)}
        rows = model.session.run(["log_probs"], given)[0][0]
        best = rows.argmax(1)
        edges = np.flatnonzero(np.r_[True, np.diff(best) != 0, True])
        for first, last in pairwise(edges):
            if best[first] != model.blank_id:
                peak = first + rows[first:last, best[first]].argmax()
                letters.append((model.decoder_tokens[best[first]], start / SAMPLE_RATE + (peak + 0.5) / HEARD))
    return letters


def classed(letters: list[TimedSound], wave: torch.Tensor, late: dict[str, float], lag: int) -> list[TimedSound]:
    """Classes and frames of the mouth's clock; a pause is the middle of where nothing is heard and it is quiet."""
    sounds = [(CLASS[x], FPS * (at - late[CLASS[x]]) - 0.5 + lag) for x, at in letters if x in CLASS]
    level = 10 * wave.unflatten(0, (-1, SAMPLES_PER_FRAME)).square().mean(1).clamp(min=1e-12).log10().numpy()
    ends = [0.0, *(FPS * at for letter, at in letters if letter != " "), float(len(level))]
    for first, last in pairwise(ends):
        quiet = level[round(first + EDGE) : round(last - EDGE)].mean() if last - first > GAP else np.inf
        if quiet < np.quantile(level, 0.95) - QUIET:
            sounds.append((PAUSE, (first + last) / 2 + lag))
    return sounds


def people(paths: list[Path], face: FaceModel, late: dict[str, float]) -> Iterator[Said]:
    for path in paths:
        real = load(path, face)
        subject = real.clip.subject(range(real.clip.frames), footage=False)
        wave = real.speech.wave[0]
        yield Said(real.clip.name, mouth_of(face, subject), classed(recognise(wave.numpy()), wave, late, real.lag))


@dataclass(frozen=True)
class Actor:
    """A speaker of the corpus who says something."""

    person: Person
    subject: Subject
    wave: torch.Tensor
    known: list[TimedSound]  # classes and the middles of their sounds, seconds


def actors(face: FaceModel, count: int, seconds: float) -> Iterator[Actor]:
    for k in range(count):
        person = cast(k, SEED, face)
        utterance = compose_utterance(seconds, person.voice, SEED + k)
        acted = animate(utterance.phones, round(seconds * FPS), person.style, face, SEED + k)
        subject = subject_of(person, acted.expression, acted.pose, 256)
        known = [(CLASS[p.symbol], (p.start + p.stop) / 2) for p in utterance.phones if p.symbol in CLASS]
        yield Actor(person, subject, torch.from_numpy(utterance.wave), known)


def lateness(ours: list[Actor], letters: list[list[TimedSound]]) -> dict[str, float]:
    """Seconds by which `hama` is surest of a class's sounds after their middle, median over the corpus."""
    late: dict[str, list[float]] = {name: [] for name in CLASSES}
    for actor, phones in zip(ours, letters, strict=True):
        for name, middle in actor.known:
            gaps = [at - middle for letter, at in phones if CLASS.get(letter) == name]
            late[name] += sorted((gap for gap in gaps if abs(gap) < APART), key=abs)[:1]
    usual = float(np.median(np.concatenate(list(late.values()))))
    return {name: float(np.median(gaps)) if gaps else usual for name, gaps in late.items()}


def near(said: list[Said], name: str) -> list[np.ndarray]:
    """For each who says it often enough, (occurrences, AROUND, channels) of scores."""
    found = []
    for one in said:
        score, frames = one.score(), np.arange(len(one.mouth))
        middles = [at for sound, at in one.sounds if sound == name and 3 <= at < len(frames) - 4]
        if len(middles) >= ENOUGH:
            times = np.array(middles)[:, None] + AROUND
            found.append(np.stack([np.interp(times, frames, channel) for channel in score.T], -1))
    return found


def standing(said: list[Said], name: str) -> dict[str, Any]:
    """Where a class stands: number, mean over people, standard error over people and (one person) occurrences."""
    found = near(said, name)
    if not found:
        return {"n": 0}
    here = np.flatnonzero(AROUND == 0)[0]
    means = np.array([rows[:, here].mean(0) for rows in found])  # (people, channels)
    counts = np.array([len(rows) for rows in found])
    within = np.sqrt(np.mean([rows[:, here].var(0) / len(rows) for rows in found], 0) / len(found))
    between = means.std(0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else within
    curve = np.average([rows.mean(0) for rows in found], axis=0, weights=counts)
    return {
        "n": int(counts.sum()),
        "people": len(found),
        "mean": means.mean(0),
        "se": np.maximum(within, between),
        "curve": curve,
    }


def compared(real: list[Said], ours: list[Said]) -> list[dict[str, Any]]:
    """A row for each sound and channel."""
    rows = []
    for name in (*CLASSES, PAUSE):
        a, b = standing(real, name), standing(ours, name)
        for k, channel in enumerate(CHANNELS):
            row: dict[str, Any] = {"sound": name, "of the": channel, "n": a["n"], "people": a.get("people", 0)}
            if a["n"] and b["n"]:
                gap = b["mean"][k] - a["mean"][k]
                row |= {"z": a["mean"][k], "se": a["se"][k], "ours": b["mean"][k], "ours se": b["se"][k]}
                row |= {"apart": gap / np.hypot(a["se"][k], b["se"][k])}
                for title, side in (("extreme, ms", a), ("ours, ms", b)):
                    row[title] = 1000 / FPS * AROUND[np.abs(side["curve"][:, k]).argmax()]
            rows.append({key: float(v) if isinstance(v, np.floating) else v for key, v in row.items()})
    return rows


def motion(said: list[Said]) -> dict[str, float]:
    """What is not of single sounds: amplitude in millimetres, how restless the opening is; mean over people."""
    rows = []
    for one in said:
        opening, width = one.mouth[:, 0], one.mouth[:, 1]
        moves = steady(one.mouth)
        rest = [one.mouth[round(at), 0] for sound, at in one.sounds if sound == PAUSE and at < len(opening) - 1]
        low, middle, high = np.quantile(opening, (0.05, 0.5, 0.95))
        rows.append(
            {
                "5 %, mm": low,
                "50 %": middle,
                "95 %": high,
                "spread": moves[:, 0].std(),
                "pauses less 5 %": np.mean(rest) - low if rest else np.nan,
                "width's spread": moves[:, 1].std(),
                "forward's spread": moves[:, 2].std(),
                "quick": np.sqrt(np.mean(np.diff(opening) ** 2)) / moves[:, 0].std(),
                "rough": np.sqrt(np.mean(np.diff(opening, 2) ** 2)) / moves[:, 0].std(),
                "width rough": np.sqrt(np.mean(np.diff(width, 2) ** 2)) / moves[:, 1].std(),
            }
        )
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--speakers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    face = FACE.build({"name": "ict"})
    acted = list(actors(face, args.speakers, args.seconds))
    letters = [recognise(actor.wave.numpy()) for actor in acted]
    late = lateness(acted, letters)
    ours = [
        Said(a.person.name, mouth_of(face, a.subject), classed(phones, a.wave, late, 0))
        for a, phones in zip(acted, letters, strict=True)
    ]
    paths = [path for path in args.clips if ClipFolder(path).audio == "speech"]
    real = list(people(paths, face, late))
    settings = {
        "late_ms": {name: round(1000 * seconds) for name, seconds in late.items()},
        "speakers": args.speakers,
        "seconds": args.seconds,
    }
    report("mouths", compared(real, ours), **settings)
    sides = (("people's", real), ("ours", ours))
    report("mouths_motion", [{"mouths": title} | motion(said) for title, said in sides], **settings)
    if args.page:
        write_page(args.page, [*CLASSES, PAUSE], face, list(zip(paths, real, strict=True)), acted, ours)


if __name__ == "__main__":
    main()
