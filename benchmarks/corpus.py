"""A corpus: how fast it is drawn and read, and how large it is. (How its mouths follow its sound: `speech.py`.)

Targets: 8 speakers × 1 minute at 128² in under 4 minutes on two cores, at 256² in under 10; random windows of 5 frames
at 256² ≥ 300 frames a second and worker; ≤ 3 MB a minute at 128².
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from _report import report
from rich.console import Console

from visemix.corpus.make import corpus
from visemix.data import ClipFolder
from visemix.data.module import Span, TrainingWindows
from visemix.types import FPS

SECONDS, WINDOW, READS = 30.0, 5, 200


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
    report("corpus", found, face=options.face, seconds=SECONDS)


if __name__ == "__main__":
    main()
