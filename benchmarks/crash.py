"""Power cuts, full disks and two at once: each command is killed at random moments, and the same command afterwards has
to leave the same bytes as one that nobody disturbed, and nothing else.

`nice python benchmarks/crash.py [--kills 50] [--only fit,sweep] [--seed 0]`, on inputs that are made here. A child is a
fork of this process, its whole group is killed; where mounting is allowed (root), disks of a few kilobytes and disks
that are read-only are tried too. What each command wrote to its `log.txt` (bars, times) is not compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # torch's threads do not survive a fork

import torch
from _report import report

import visemix.corpus.make
import visemix.demo
import visemix.evaluation.heldout
import visemix.report.corpus_page
import visemix.sweep.runner  # noqa: F401 – all of it, before the first fork
from visemix.cli.app import app
from visemix.data import VideoReader, VideoWriter
from visemix.sweep.engines import ENGINES

FAKES = Path(__file__).parents[1] / "tests/fake_parts.py"  # a tracker and a fit that cost nothing
DISKS = (0.02, 0.2, 0.4, 0.6, 0.8, 0.95)  # sizes, as a part of what the command writes
TINY = """
extends: smoke
name: tiny
out: runs
data: {{root: {clips}, holdout: 0.4}}
train:
  motion: {{steps: 4, batch: 2, window: 5, save_every: 1, val_every: 2, log_every: 1}}
  render: {{steps: 4, batch: 1, save_every: 2, val_every: 2, log_every: 1, ema: 0.5}}
sweep: {{variants: {{small: [], plain: [motion=regression]}}}}
"""


@dataclass(frozen=True)
class Command:
    """A command line, what has to lie in its folder first, and what it takes where it is said again."""

    words: list[str]
    before: Callable[[Path], object] = lambda folder: None
    again: tuple[str, ...] = ()


@contextmanager
def here(jobs: int) -> Iterator[Callable[..., Future[str | None]]]:
    """An engine of sweeps that trains in this process: what is killed are its writes, not Python's start."""

    def submit(work: Callable[..., str], task: dict[str, object]) -> Future[str | None]:
        answer: Future[str | None] = Future()
        answer.set_result(work(task))
        return answer

    yield submit


def begin(words: list[str], folder: Path, said: Path) -> int:
    """The number of a child that runs a command in a folder, in a process group of its own."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 3
    try:
        os.setsid()
        os.chdir(folder)
        out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(out, stream)
        sys.argv = ["visemix", *words]
        app(words, standalone_mode=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def end(child: int) -> int:
    """How a child ended: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(words: list[str], folder: Path, said: Path) -> int:
    return end(begin(words, folder, said))


def tree(folder: Path) -> dict[str, str]:
    """The sha256 of each file by its place, without logs; empty folders too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not any(path.iterdir()):
            found[f"{path.relative_to(folder)}/"] = ""
        elif path.is_file() and path.name not in ("log.txt", "prepare.log.jsonl"):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differences(got: dict[str, str], expected: dict[str, str]) -> list[str]:
    return sorted(name for name in {*got, *expected} if got.get(name) != expected.get(name))


def inputs(work: Path) -> dict[str, Command]:
    """Clips, videos and a run, and the commands on them."""
    clips, said = work / "clips", work / "said"
    corpus = ["corpus", "--speakers", "2", "--minutes", "0.02", "--size", "32", "--synthesiser", "formants", "--out"]
    assert run([*corpus, "clips"], work, said) == 0, said.read_text(encoding="utf-8")
    names = sorted(path.name for path in clips.iterdir() if path.is_dir())
    for name in names:
        with VideoWriter(work / f"{name}.mp4", sound=clips / name / "sound.flac") as film:
            for picture in VideoReader(clips / name / "frames.mp4"):
                bright = picture.clone()
                bright[:, 8:22, 9:23] = 250
                film.write(bright)
    experiment = work / "tiny.yaml"
    experiment.write_text(TINY.format(clips=clips), encoding="utf-8")
    assert run(["fit", str(experiment)], work, said) == 0, said.read_text(encoding="utf-8")
    trained = work / said.read_text(encoding="utf-8").strip().splitlines()[-1]
    target = str(clips / names[0])
    generate = ["generate", str(trained), "--audio", f"{target}/sound.flac", "--target", target, "--out", "made.mp4"]
    parts = ["--tracker", "blobs", "--fit", "still", "--scene", "bright", "--face", "toy", "--plugin", str(FAKES)]
    videos = [str(work / f"{name}.mp4") for name in names]

    def copied(folder: Path) -> None:
        shutil.copytree(trained, folder / "runs" / trained.name)

    return {
        "prepare": Command(["prepare", *videos, "--out", "made", "--size", "64", "--holdout", "0", *parts]),
        "corpus": Command([*corpus, "made"]),
        "fit": Command(["fit", str(experiment)]),
        "generate": Command(generate, again=("--overwrite",)),
        "evaluate": Command(["evaluate", f"runs/{trained.name}", "--metrics", "psnr,ssim,lmd,av_offset"], copied),
        "sweep": Command(["sweep", str(experiment), "--engine", "here"]),
    }


class Campaign:
    """One command, done undisturbed once, and then disturbed."""

    def __init__(self, name: str, command: Command, work: Path) -> None:
        self.name, self.command, self.work, self.said = name, command, work, work / "said"
        self.wrong: list[str] = []
        with self.folder() as folder:
            start = time.perf_counter()
            code = run(command.words, folder, self.said)
            self.seconds = time.perf_counter() - start
            assert code == 0, self.said.read_text(encoding="utf-8")
            self.expected = tree(folder)
            self.bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    @contextmanager
    def folder(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(dir=self.work))
        try:
            self.command.before(place)
            yield place
        finally:
            shutil.rmtree(place)

    def finish(self, folder: Path, what: str) -> bool:
        """Say the command again; whether everything is as if nothing had happened."""
        code = run([*self.command.words, *self.command.again], folder, self.said)
        other = differences(tree(folder), self.expected)
        if code or other:
            last = self.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            self.wrong.append(f"{what}: exit {code}, {other[:4]} {last}")
        return not (code or other)

    def killed(self, kills: int, chance: random.Random) -> dict[str, int]:
        """Kills at moments drawn evenly from the whole of a run; those that came too late are drawn again."""
        row = {"kills": 0, "same": 0, "left after the kill": 0}
        for _ in range(4 * kills):
            if row["kills"] == kills:
                break
            with self.folder() as folder:
                child, moment = begin(self.command.words, folder, self.said), chance.uniform(0.0, self.seconds)
                time.sleep(moment)
                try:
                    os.killpg(child, signal.SIGKILL)
                except ProcessLookupError:
                    os.kill(child, signal.SIGKILL)  # its group is not there yet
                if end(child) != -signal.SIGKILL:
                    continue
                row["kills"] += 1
                row["left after the kill"] += any(folder.rglob(".visemix-*"))
                row["same"] += self.finish(folder, f"killed after {moment:.3f} s")
        return row

    def disturbed(self, code: int) -> bool:
        """Whether a refusal is one sentence."""
        text = self.said.read_text(encoding="utf-8", errors="replace")
        good = code in (1, 2) and "Traceback" not in text and "unexpected" not in text
        if not good:
            self.wrong.append(f"exit {code}: {text.strip()[-300:]}")
        return good

    def twice(self, times: int = 3) -> dict[str, int]:
        """Two at once: each ends well or is refused by who is at it."""
        row = {"two at once": times, "same ": 0, "refused": 0}
        for _ in range(times):
            with self.folder() as folder:
                said = [self.work / "said1", self.work / "said2"]
                codes = [end(child) for child in [begin(self.command.words, folder, each) for each in said]]
                told = [each.read_text(encoding="utf-8", errors="replace") for each in said]
                refusals = [c == 2 and ("is being made by process" in t or "exists and is kept" in t)
                            for c, t in zip(codes, told, strict=True)]  # fmt: skip
                row["refused"] += sum(refusals)
                other = differences(tree(folder), self.expected)
                good = all(c == 0 or r for c, r in zip(codes, refusals, strict=True)) and 0 in codes and not other
                row["same "] += good
                if not good:
                    self.wrong.append(f"two at once: exits {codes}, {other[:4]} {told[0][-150:]} {told[1][-150:]}")
        return row

    def on_disks(self) -> dict[str, int]:
        """Disks that are too small or read-only: a sentence, and once there is room, the same bytes."""
        row = {"small disks": 0, "a sentence": 0, "same  ": 0}
        place = self.work / "disk"
        place.mkdir(exist_ok=True)
        for part in (None, *DISKS):
            mount("-t", "tmpfs", "-o", "size=256m", "tmpfs", str(place))
            try:
                self.command.before(place)
                there = sum(-(-p.stat().st_size // 4096) * 4096 for p in place.rglob("*"))
                size = there + int((part or 0) * (self.bytes - there)) // 4096 * 4096 + 8192
                mount("-o", "remount,ro" if part is None else f"remount,size={size}", str(place))
                code = run(self.command.words, place, self.said)
                if code or part is None:
                    row["small disks"] += 1
                    row["a sentence"] += self.disturbed(code)
                mount("-o", "remount,rw,size=256m", str(place))
                if code:
                    row["same  "] += self.finish(place, f"disk of {size} bytes" if part else "read-only disk")
            finally:
                subprocess.run(["umount", str(place)], check=True)
        return row


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def may_mount(work: Path) -> bool:
    try:
        mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(work))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False
    subprocess.run(["umount", str(work)], check=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--only", default="prepare,corpus,fit,generate,evaluate,sweep")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ENGINES["here"] = here  # type: ignore[index]
    results = Path(__file__).parent / "results/crash.json"
    rows = (
        {row["command"]: row for row in json.loads(results.read_text(encoding="utf-8"))["rows"]}
        if results.is_file()
        else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        mounts, commands = may_mount(work), inputs(work)
        for name in options.only.split(","):
            campaign, chance = Campaign(name, commands[name], work), random.Random(f"{options.seed} {name}")
            row = {"command": name, "date": f"{datetime.now():%Y-%m-%d %H:%M}", "seconds": campaign.seconds}
            row |= campaign.killed(options.kills, chance) | campaign.twice() | (campaign.on_disks() if mounts else {})
            rows[name] = row | {"wrong": "; ".join(campaign.wrong)}
            report("crash", [*rows.values()], seed=options.seed)  # what is there of the other commands stays


if __name__ == "__main__":
    main()
