"""What is long: the memory of `generate` by the length of its sound, the start of `fit` by the number of its clips.

`nice python benchmarks/long.py [--minutes 1,60] [--clips 1000,10000]`, on a corpus that is made here: speech repeated
for so long, painted by a mesh at 64²; copies of one clip. Each row is a process of its own (a fork), whose peak is the
kernel's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # torch's threads do not survive a fork

import numpy as np
import soundfile
import torch
from _report import report
from rich.console import Console

from visemix.corpus.make import corpus
from visemix.data import read_sound
from visemix.generation import generate
from visemix.pipeline import TalkingFace
from visemix.run import fit, load_experiment
from visemix.training.fitting import data_for
from visemix.types import SAMPLE_RATE


def alone(work: Callable[[], object]) -> dict[str, float]:
    """Processor and wall seconds, and peak memory of a call in a child."""
    start = time.perf_counter()
    if not (child := os.fork()):
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    assert status == 0
    return {
        "seconds": time.perf_counter() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_MB": used.ru_maxrss / 1024,
    }


def speak(run: Path, clip: Path, minutes: float, work: Path) -> dict[str, float]:
    """`generate` on so much speech."""
    sound = work / "speech.flac"
    said = read_sound(clip / "sound.flac").numpy()
    soundfile.write(sound, np.resize(said, round(60 * minutes * SAMPLE_RATE)), SAMPLE_RATE)
    return alone(lambda: generate(run, sound, clip, work / "made.mp4", overwrite=True, progress=False))


def begin(clip: Path, count: int, work: Path) -> dict[str, float]:
    """What a `fit` does before its first step, but for the import: its model, and the data of both stages."""
    clips = work / f"{count}_clips"
    for k in range(count):
        copy = clips / f"{clip.name.rpartition('_')[0]}_{k:05d}"
        shutil.copytree(clip, copy, copy_function=os.link)
    cfg = load_experiment("smoke", [f"data.root={clips}", "data.holdout=0.2"])

    def start() -> None:
        model = TalkingFace.from_config(cfg)
        for stage in ("motion", "render"):
            next(iter(data_for(cfg, model, stage).train_dataloader()))

    return alone(start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", default="1,60")
    parser.add_argument("--clips", default="1000,10000")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        corpus(work / "corpus", speakers=1, minutes=0.05, size=64, synthesiser="formants", console=Console(quiet=True))
        clip = next(path for path in (work / "corpus").iterdir() if path.is_dir())
        chosen = [f"data.root={clip.parent}", "data.holdout=0.4", "render=mesh", "fit=[motion]", f"out={work / 'runs'}"]
        run = fit(load_experiment("smoke", chosen))
        for count in map(int, filter(None, options.clips.split(","))):
            rows.append({"what": f"start of fit, {count} clips"} | begin(clip, count, work))
            report("long", rows, size=64)
        for minutes in map(float, filter(None, options.minutes.split(","))):
            rows.append({"what": f"generate, {minutes:g} min of speech"} | speak(run, clip, minutes, work))
            report("long", rows, size=64)


if __name__ == "__main__":
    main()
