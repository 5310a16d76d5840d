"""Fit the lag detector of `visemix.ops.avlag` on real clips, and see how well it does on those it left out.

`python benchmarks/avproxy.py VIDEO…` prints the table, writes `results/avproxy.json` and, with `--write`, the
matrices into the package. The clips' true lags are unknown: each clip's is estimated by a fit on the others, one clip
after the other until none changes. What is measured is whether a sound that is moved by k frames is found k frames
away, and whether four seconds agree with the whole clip.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from _report import report
from torch.nn import functional as F

from visemix.data.media import VideoReader
from visemix.data.sound import read_sound
from visemix.evaluation.pair import landmarks, make_tracker
from visemix.metrics import VideoSequence
from visemix.ops import avlag
from visemix.ops.store import sha256, write_tensors
from visemix.types import FPS, SAMPLES_PER_FRAME

SHIFTS = (-8, -5, -2, 2, 5, 8)
CHUNK, STEP = 100, 25  # frames
ROUNDS = 8
HELD_OUT = ("laugh_7s", "retalk_1_vfr")  # laughter, and a rate that changes: not fitted on, shown all the same


@dataclass(frozen=True)
class Clip:
    name: str
    sha256: str
    take: VideoSequence
    mouth: np.ndarray
    sound: np.ndarray

    def shifted(self, frames: int) -> np.ndarray:
        """What is heard when the sound starts `frames` later (before it silence), or earlier."""
        wave, samples = self.take.sound, frames * SAMPLES_PER_FRAME
        moved = F.pad(wave, (samples, 0))[: len(wave)] if frames > 0 else F.pad(wave[-samples:], (0, -samples))
        return avlag.audio_rows(moved, len(self.mouth))


def load(path: Path) -> Clip:
    tracker, reason = make_tracker()
    if tracker is None:
        raise SystemExit(reason)
    points, _ = landmarks(tracker, (picture.permute(1, 2, 0).numpy() for picture in VideoReader(path)))
    sequence = VideoSequence(float(FPS), points, read_sound(path), source=sha256(path))
    mouth = avlag.mouth_rows(sequence.landmarks, sequence.fps)
    frames = min(len(mouth), len(sequence.sound) // SAMPLES_PER_FRAME)
    return Clip(path.stem, sequence.source, sequence, mouth[:frames], avlag.audio_rows(sequence.sound, frames))


def fitted(clips: list[Clip], offsets: dict[str, int], without: Clip | None = None) -> np.ndarray:
    return avlag.fit([(c.sound, c.mouth, offsets[c.name]) for c in clips if c is not without])


def align(clips: list[Clip]) -> tuple[dict[str, int], bool]:
    """Each clip's offset as a fit on the others has it; and whether the last round changed none."""
    offsets = {clip.name: 0 for clip in clips}
    for _ in range(ROUNDS):
        before = dict(offsets)
        for clip in clips:
            offsets[clip.name] = avlag.find_lag(clip.sound @ fitted(clips, offsets, clip), clip.mouth).offset
        if offsets == before:
            return offsets, True
    return offsets, False


def row(clip: Clip, matrix: np.ndarray, own: bool) -> dict[str, object]:
    lag = avlag.find_lag(clip.sound @ matrix, clip.mouth)
    moved = [avlag.find_lag(clip.shifted(k) @ matrix, clip.mouth).offset - lag.offset for k in SHIFTS]
    parts = [slice(start, start + CHUNK) for start in range(0, len(clip.mouth) - CHUNK + 1, STEP)]
    agree = [avlag.find_lag(clip.sound[part] @ matrix, clip.mouth[part]).offset - lag.offset for part in parts]
    return {
        "clip": clip.name,
        "judged by": "a fit on the others" if own else "the fit on all",
        "offset": lag.offset,
        "correlation": float(lag.correlations.max()),
        "at 0": lag.at_zero,
        "z": lag.peak_z,
        "shifts found": f"{sum(m == -k for m, k in zip(moved, SHIFTS, strict=True))}/{len(SHIFTS)}",
        "4 s within 1 frame": f"{sum(abs(a) <= 1 for a in agree)}/{len(agree)}",
    }


def main() -> None:
    paths = [Path(word) for word in sys.argv[1:] if not word.startswith("--")]
    apart = [path for path in paths if path.stem in HELD_OUT]
    clips = [load(path) for path in paths if path not in apart]
    offsets, settled = align(clips)
    matrices = {"all": fitted(clips, offsets)} | {c.sha256: fitted(clips, offsets, c) for c in clips}
    rows = [row(clip, matrices[clip.sha256], True) for clip in clips]
    rows += [row(clip, matrices["all"], False) for clip in map(load, apart)]
    about = {"clips": {c.name: c.sha256 for c in clips}, "offsets": offsets, "settled": settled}
    report("avproxy", rows, **about)
    if "--write" in sys.argv:
        notes = about | {"rows": rows, "mediapipe": version("mediapipe"), "torch": torch.__version__}
        tensors = {name: torch.from_numpy(matrix).float() for name, matrix in matrices.items()}
        write_tensors(avlag.FILE, tensors, notes)


if __name__ == "__main__":
    main()
