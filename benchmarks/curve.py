"""When is a head useful? PSNR of the held-out part while a head of Gaussians learns, by seconds of one core.

    OMP_NUM_THREADS=1 python benchmarks/curve.py CLIP… [--runs DIR] [--marks 15,30,45,60,90,120,240] [key=value …]

The committed experiment (`experiments/gaussians/person.yaml`) trains once; at each mark its state is scored as
`gaussians.py` scores it (whole picture), with the clock of the process held still meanwhile. The clock runs from the
call of `fit`: reading the clip, looking for a start and validations count; compiling the kernels, which happens once on
a machine, does not. The last row is what `fit` keeps. `useful after` is the first mark within 0.5 dB of the best row,
in the face's box and in the hull.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _report import report
from gaussians import EXPERIMENTS, ROOT, judged
from rich.console import Console

from visemix.config import compose
from visemix.ops.device import keep_memory
from visemix.pipeline import TalkingFace
from visemix.run import fit
from visemix.training.callbacks import Samples

NEAR = 0.5  # dB
REGIONS = ("frame", "box", "hull", "mouth")


class Marks(Samples):
    """Scores the weights as they are, whenever the clock has passed a mark."""

    path: Path
    marks: list[float]
    rows: list[dict[str, Any]]
    began: float  # seconds of the process's clock, those of scoring taken out

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        clock = time.process_time()
        spent = clock - self.began
        if not self.marks or spent < self.marks[0]:
            return
        while self.marks and spent >= self.marks[0]:
            self.marks.pop(0)
        self.rows.append({"s": round(spent, 1), "step": trainer.global_step, **scored(pl_module.model, self.path)})
        Console(stderr=True).print(self.rows[-1])
        Marks.began += time.process_time() - clock


def scored(model: TalkingFace, path: Path) -> dict[str, float]:
    training, paste = model.training, model.render.paste
    model.eval().render.paste = "whole"  # type: ignore[assignment]
    scores, _ = judged(model, path, None)
    model.train(training).render.paste = paste
    return {name: round(scores[name], 2) for name in REGIONS}


def curve(path: Path, marks: list[float], runs: Path, overrides: list[str]) -> list[dict[str, Any]]:
    where = [f"data.root={path.parent}", f"data.clips=[{path.name}]", f"out={runs}"]
    cfg = compose(ROOT / EXPERIMENTS["gaussians"], [*where, *overrides])
    Marks.path, Marks.marks, Marks.rows = path, list(marks), []
    Marks.began = time.process_time()
    with patch("visemix.training.fitting.Samples", Marks):
        run = fit(cfg)
    spent = time.process_time() - Marks.began
    kept = {"s": round(spent, 1), "step": "kept", **scored(TalkingFace.from_checkpoint(run), path)}
    return [{"clip": path.name, **row} for row in [*Marks.rows, kept]]


def useful(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """
    >>> useful([{"s": 15, "box": 20.0, "hull": 24.0}, {"s": 30, "box": 20.4, "hull": 24.6}])
    {'box': 15, 'hull': 30}
    """
    best = {name: max(row[name] for row in rows) for name in ("box", "hull")}
    return {name: next(row["s"] for row in rows if row[name] >= top - NEAR) for name, top in best.items()}


def main() -> None:
    keep_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="CLIP | key=value")
    parser.add_argument("--marks", default="15,30,45,60,90,120,240")
    parser.add_argument("--runs", type=Path)
    args = parser.parse_intermixed_args()
    overrides = [argument for argument in args.arguments if "=" in argument]
    clips = [Path(argument) for argument in args.arguments if "=" not in argument]
    runs = Path(tempfile.mkdtemp()) if args.runs is None else args.runs
    rows, after = [], {}
    warm = ["train.render.steps=1", "train.render.val_every=1", "train.render.val_batches=1", "render.count=100"]
    curve(clips[0], [], runs, warm)  # compiles the kernels
    for clip in clips:
        found = curve(clip, [float(mark) for mark in args.marks.split(",")], runs, overrides)
        rows += found
        after[clip.name] = useful(found)
    report("curve", rows, useful_after=after, overrides=overrides)
    if args.runs is None:
        shutil.rmtree(runs)


if __name__ == "__main__":
    main()
