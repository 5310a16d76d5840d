"""A corpus: how fast it is drawn and read, how large it is, and how well and how freely its mouths follow its sound.

Targets: 8 speakers × 1 minute at 128² in under 4 minutes on two cores, at 256² in under 10 (25 and 10 frames a second
and core); random windows of 5 frames at 256² ≥ 300 frames a second and worker; ≤ 3 MB a minute at 128²; a ridge
regression from log-mel to mouth opening r ≥ 0.8 on held-out speech; one sentence said twice differs by ≥ 15 %.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _report import report
from rich.console import Console

from visemix.data import ClipFolder
from visemix.data.acting import act
from visemix.data.cast import cast
from visemix.data.corpus import corpus, subject_of
from visemix.data.module import Span, TrainingWindows
from visemix.data.utterance import utter
from visemix.face import FACE, FaceModel
from visemix.ops.audio import ROWS_PER_FRAME, log_mel
from visemix.types import FPS, SAMPLES_PER_FRAME, Motion, Space

SECONDS, WINDOW, READS, AROUND = 24.0, 5, 200, 5


def made(folder: Path, size: int, face: str) -> dict[str, Any]:
    """One speaker in one process: frames a second of wall and of processor time, and size."""
    wall, cpu = time.perf_counter(), time.process_time()
    corpus(folder, speakers=1, minutes=SECONDS / 60, size=size, face=face, console=Console(quiet=True))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    (clip,) = [ClipFolder(path) for path in folder.iterdir()]
    large = sum(path.stat().st_size for path in clip.path.iterdir())
    row = {"fps_wall": clip.frames / wall, "fps_core": clip.frames / cpu, "MB_a_minute": large * 60 / SECONDS / 1e6}
    return row | {"minutes_for_8_on_2_cores": 8 * 60 * FPS * cpu / clip.frames / 2 / 60}


def read(folder: Path) -> dict[str, Any]:
    """Random windows with pictures, as training asks for them, in this process."""
    (clip,) = [ClipFolder(path) for path in folder.iterdir()]
    windows = TrainingWindows([Span(clip, 0, clip.frames)], WINDOW, 5, frames=True)
    torch.manual_seed(0)
    windows[0]
    wall, cpu = time.perf_counter(), time.process_time()
    for k in range(READS):
        windows[k % len(windows)]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"fps_wall": READS * WINDOW / wall, "fps_core": READS * WINDOW / cpu}


def learned(face: FaceModel, speakers: int = 3) -> float:
    """r between the mouth opening of a minute and what ridge regression, shown three others, makes of its log-mel."""
    scores = []
    for number in range(speakers):
        person = cast(number, 0, face)
        said = [utter(60.0, person.voice, 50 + minute) for minute in range(4)]
        x = np.concatenate([rows(each.wave) for each in said])
        y = np.concatenate([opened(face, person, each, minute) for minute, each in enumerate(said)])
        seen = len(x) * 3 // 4
        x = (x - x[:seen].mean(0)) / x[:seen].std(0)
        weights = np.linalg.solve(x[:seen].T @ x[:seen] + 45 * np.eye(x.shape[1]), x[:seen].T @ (y - y.mean())[:seen])
        scores.append(float(np.corrcoef(x[seen:] @ weights, y[seen:])[0, 1]))
    return float(np.mean(scores))


def rows(wave: np.ndarray) -> np.ndarray:
    """Log-mel bands of each frame and of those around it."""
    values = log_mel(torch.from_numpy(wave)[None], 40)[0].unflatten(0, (-1, ROWS_PER_FRAME)).mean(1).numpy()
    padded = np.pad(values, ((AROUND, AROUND), (0, 0)), "edge")
    return np.concatenate([padded[k : k + len(values)] for k in range(2 * AROUND + 1)], 1)


def opened(face: FaceModel, person: Any, said: Any, seed: int) -> np.ndarray:
    acted = act(said.phones, len(said.wave) // SAMPLES_PER_FRAME, person.style, face, seed)
    subject = subject_of(person, acted.expression, acted.pose, 128)
    points = face.landmarks(Motion(acted.expression[None], Space.EXPRESSION), subject)[0]
    return (points[:, 62] - points[:, 66]).norm(dim=-1).double().numpy()


def freedom(face: FaceModel, speakers: int = 6) -> float:
    """Root mean square difference of mouth opening where a sentence is said twice, over its range."""
    found = []
    for number in range(speakers):
        person = cast(number, 0, face)
        said = utter(60.0, person.voice, 7)
        one, other = (opened(face, person, said, seed) for seed in (1, 2))
        pauses = [p for p in said.phones if p.symbol == "_" and p.stop - p.start > 0.29]
        for before, after in pairwise(pauses):
            span = slice(int(before.stop * FPS), int(after.start * FPS) + 1)
            found.append(np.sqrt(((one - other)[span] ** 2).mean()) / np.ptp(one[span]))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--face", default="toy")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    with TemporaryDirectory() as work:
        for size in (128, 256):
            found.append({"what": f"made at {size}²"} | made(Path(work) / str(size), size, options.face))
        found.append({"what": "windows of 5 at 256²"} | read(Path(work) / "256"))
    face = FACE.build({"name": options.face})
    found.append({"what": "ridge from log-mel to mouth opening", "r": learned(face)})
    found.append({"what": "one sentence said twice", "difference": freedom(face)})
    report("corpus", found, face=options.face, seconds=SECONDS)


if __name__ == "__main__":
    main()
