"""Mutated checkpoints, clips, scores and keys of studies: each must end in one sentence, or in a right result.

    python benchmarks/fuzz_files.py [--count 200] [--seed 0] [--kind checkpoint]

Prints, for each kind, how many were taken, refused by a sentence, and ended otherwise (which must be none), with the
longest time of one, and exits with 1 where one ended otherwise.
"""

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
import yaml

from visemix.corpus.make import corpus
from visemix.data import ClipFolder, find_clips
from visemix.evaluation.result import ClipScores, Details, Mean, Result, read_result, write_result
from visemix.face import FACE
from visemix.metrics.suite import Score
from visemix.ops.store import read_tensors, write_tensors
from visemix.pipeline import TalkingFace
from visemix.report.formats import html, markdown
from visemix.report.results import comparison
from visemix.study.protocols import PROTOCOLS
from visemix.study.score import read_answers, read_key
from visemix.types import VisemixError

JUNK = [
    None, True, 0, 1, -1, 3, 7, 10**6, 10**9, 2**63, 10**30, -(10**12), 0.5, -0.1, 1e300, float("nan"), float("inf"),
    "", "x", "../../x", "${oc.env:HOME}", "???", "\x1b[31m", "null", [], [1], ["a"] * 50, [[]], {}, {"name": "mel"},
    {"name": "no"}, {"a": {}},
    {"name": "cached", "base": {"name": "mel", "learned": False}, "folder": "/tmp", "limit": 0.0},
]  # fmt: skip
AUDIO = {"name": "concat", "parts": {"mel": {"dim": 8}, "low": {"name": "mel", "bands": 20, "learned": False}}}
MODELS = [
    {"audio": {"name": "mel", "dim": 8}, "motion": {"name": "regression", "hidden": 8}, "render": {"name": "mesh"}},
    {
        "audio": AUDIO,
        "motion": {"name": "smooth", "base": {"name": "a2ep", "dim": 16, "heads": 2, "feedforward": 16}},
        "render": {"name": "gaussians", "count": 60, "components": 2},
    },
    {
        "audio": {"name": "mel", "dim": 8},
        "motion": {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False},
        "render": {"name": "taft", "base": 4, "max_channels": 8, "levels": 2},
    },
]


def places(value, at=()):
    """Every place in nested dicts and lists."""
    yield at
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*at, key))
    elif isinstance(value, list):
        for k, each in enumerate(value):
            yield from places(each, (*at, k))


def mutated(value, rng):
    """The value with one place replaced, taken out, renamed or said twice."""
    value = json.loads(json.dumps(value))
    where = rng.choice([at for at in places(value) if at])
    inside = value
    for step in where[:-1]:
        inside = inside[step]
    how, last = rng.randrange(6), where[-1]
    if how == 0:
        del inside[last]
    elif how == 1 and isinstance(inside, dict):
        inside[f"{last}_"] = inside.pop(last)
    elif how == 2:
        inside[last] = {"name": "smooth", "base": inside[last]} if rng.random() < 0.5 else [inside[last]]
    else:
        inside[last] = rng.choice(JUNK)
    return value


def scrambled(data, rng):
    """Bytes of which some are others, some are gone, or the end is."""
    data = bytearray(data)
    how = rng.randrange(4)
    if how == 0:
        return bytes(data[: rng.randrange(len(data))])
    if how == 1:
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(1, 200)]
        return bytes(data)
    span = 200 if how == 2 else len(data)  # how == 2: the head of a file, where sizes stand
    for _ in range(rng.randrange(1, 8)):
        data[rng.randrange(min(span, len(data)))] = rng.randrange(256)
    return bytes(data)


def retensored(tensors, rng):
    """Tensors of which one has another shape, type or name, other numbers, or is gone."""
    tensors = dict(tensors)
    name = rng.choice(sorted(tensors))
    tensor, how = tensors.pop(name), rng.randrange(8)
    if how == 0:
        return tensors
    changes = [
        lambda: tensor[None],
        lambda: tensor.flatten()[:1],
        lambda: torch.zeros(0),
        lambda: tensor.to(rng.choice([torch.int64, torch.bool, torch.float16, torch.float64, torch.uint8])),
        lambda: torch.full_like(tensor, float("nan") if tensor.is_floating_point() else 1),
        lambda: torch.full_like(tensor, 1e38 if tensor.is_floating_point() else 1),
        lambda: tensor.repeat_interleave(2, 0) if tensor.ndim else tensor[None],
    ]
    return tensors | {name if how < 7 else f"{name}_": changes[how - 1]().contiguous()}


class Checkpoints:
    """A checkpoint is loaded, and speaks for five frames."""

    def __init__(self, folder):
        self.folder, self.clip = folder, ClipFolder(clip_in(folder))
        self.face = FACE.build({"name": "toy"})
        self.files = []
        for k, parts in enumerate(MODELS):
            self.files.append(folder / f"{k}.safetensors")
            TalkingFace.from_config({"face": {"name": "toy"}, **parts}).save(
                self.files[-1], trained=["motion"], loaded=[]
            )

    def make(self, rng):
        file, source = self.folder / "mutated.safetensors", rng.choice(self.files)
        how = rng.randrange(4)
        if how == 0:
            file.write_bytes(scrambled(source.read_bytes(), rng))
            return file
        tensors, notes = read_tensors(source)
        if how == 1:
            write_tensors(file, retensored(tensors, rng), notes)
        else:
            write_tensors(file, tensors, mutated(notes, rng))
        return file

    def use(self, file):
        model = TalkingFace.from_checkpoint(file)
        speech, subject = self.clip.speech(0, 5), self.clip.subject(range(5), reference=0)
        with torch.inference_mode():
            model.predict_motion(model.audio(speech), subject)


class Clips:
    """A clip is opened, and everything in it read."""

    def __init__(self, folder):
        self.source, self.folder = clip_in(folder), folder / "mutated"
        self.face = FACE.build({"name": "toy"})

    def make(self, rng):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.source, self.folder)
        file = self.folder / rng.choice(sorted(path.name for path in self.source.iterdir()))
        if (file.name == "meta.yaml" and rng.random() < 0.8) or rng.random() < 0.4:
            file = self.folder / "meta.yaml"
            file.write_text(
                yaml.safe_dump(mutated(yaml.safe_load(file.read_text(encoding="utf-8")), rng)), encoding="utf-8"
            )
        elif file.suffix == ".safetensors" and rng.random() < 0.6:
            from safetensors.torch import load_file, save_file

            save_file(retensored(load_file(file), rng), file)
        else:
            file.write_bytes(scrambled(file.read_bytes(), rng))
        return self.folder

    def use(self, path):
        clip = ClipFolder(path, self.face)
        frames = range(min(5, clip.frames))
        clip.clip(frames, reference=0)
        clip.clip(range(max(clip.frames - 5, 0), clip.frames), footage=False)
        clip.gallery([0])
        for name in ("landmarks", "error", "light"):
            clip.tensor(name)
        if clip.has_phonemes:
            clip.sounds(0, len(frames))


class Scores:
    """Scores are read, and set in a table."""

    def __init__(self, folder):
        self.folder, self.good = folder, folder / "scores.json"
        row, score = Mean(31.2, "ok", "dB", "", "full"), Score(31.2, frames=(31.0, 31.4))
        none = Mean(None, "unavailable", "1", "", "full")
        clip = ClipScores(
            Path("real.mp4"), Path("fake.mp4"), 2, 25.0, (64, 64), [], {"psnr": score}, {"psnr": Score(None, "inf")}
        )
        details = {"psnr": Details(higher_is_better=True, interval=(30.0, 32.0)), "fid": Details("no weights")}
        truth = {"psnr": Mean(None, "inf", "dB", "", "full"), "fid": none}
        write_result(
            self.good, Result({"psnr": row, "fid": none}, truth, details, {"anna": clip}, ["a note"], {"visemix": "0"})
        )

    def make(self, rng):
        file = self.folder / "mutated.json"
        if rng.random() < 0.2:
            file.write_bytes(scrambled(self.good.read_bytes(), rng))
        else:
            file.write_text(
                json.dumps(mutated(json.loads(self.good.read_text(encoding="utf-8")), rng)), encoding="utf-8"
            )
        return file

    def use(self, file):
        table = comparison({"ours": read_result(file)})
        assert markdown(table) and html(table)


class Studies:
    """The key of a study is read, and the answers of a rater under it."""

    def __init__(self, folder):
        self.folder, self.protocol = folder, PROTOCOLS["mos"]
        self.key = {
            "study": "ab12",
            "protocol": "mos",
            "seed": "0",
            "items": {"c0": {"method": "ours", "clip": "anna"}},
        }
        self.answers = f"study,rater,item,position,{','.join(self.protocol.questions)}\r\nab12,bert,c0,1,3,4,5\r\n"

    def make(self, rng):
        key, answers = self.folder / "key.json", self.folder / "answers.csv"
        changed = rng.random() < 0.5
        key.write_text(json.dumps(mutated(self.key, rng) if changed else self.key), encoding="utf-8")
        answers.write_bytes(self.answers.encode() if changed else scrambled(self.answers.encode(), rng))
        return key, answers

    def use(self, files):
        read_answers(files[1], read_key(files[0]), self.protocol)


KINDS = {"checkpoint": Checkpoints, "clip": Clips, "scores": Scores, "study": Studies}


def clip_in(folder):
    """A synthetic clip of 25 frames."""
    if not (folder / "corpus").is_dir():
        corpus(folder / "corpus", speakers=1, minutes=1 / 60, size=64, seed=3, jobs=1)
    return find_clips(folder / "corpus")[0]


def run(kind, count, seed, folder):
    """What became of so many mutants: how many ended how, the longest time of one, and what went wrong."""
    tried, ended, wrong, longest = KINDS[kind](folder), Counter(), [], 0.0
    for k in range(count):
        rng = random.Random(f"{kind} {seed} {k}")
        try:
            made = tried.make(rng)
        except (ValueError, TypeError, OverflowError, VisemixError):  # what nobody could have written
            ended["not written"] += 1
            continue
        begun = time.process_time()
        try:
            tried.use(made)
            ended["taken"] += 1
        except VisemixError:
            ended["refused"] += 1
        except BaseException as error:  # noqa: BLE001
            ended["wrong"] += 1
            wrong.append((k, f"{type(error).__name__}: {str(error)[:300]}"))
        longest = max(longest, time.process_time() - begun)
    return ended, longest, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    bad = 0
    print("kind        taken  refused  wrong  longest")  # noqa: T201
    for kind in asked.kind or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            ended, longest, wrong = run(kind, asked.count, asked.seed, Path(folder))
        bad += len(wrong)
        print(f"{kind:12}{ended['taken']:5}{ended['refused']:9}{ended['wrong']:7}{longest:7.1f} s")  # noqa: T201
        for k, said in wrong:
            print(f"    {k}: {said}")  # noqa: T201
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
