"""What a sweep costs over the bare trainings it consists of: planning, processes, joining.

python benchmarks/sweep.py [EXPERIMENT] [KEY=VALUE ...] [--rounds 3]

In each round the stages of all points are trained twice, in folders of their own: by `fit`, one after another in this
process, and by `visemix sweep` with one job. Scoring is left out of both: a sweep scores by the same call as `visemix
evaluate RUN`. The default experiment trains for a minute or so a round on a quiet core; the longer the trainings, the
smaller the share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

from _report import report

import visemix.sweep
from visemix.data.corpus import corpus
from visemix.plan import plan
from visemix.run import complete, fit, folder_of
from visemix.sweep import sweep

QUESTION = """# What does a sweep cost?
use: {scale: small, face: toy, audio: mel, motion: regression, render: mesh, data: clips}
data: {root: CLIPS, holdout: 1.0}
train: {motion: {steps: 1500, val_every: 1500}, render: {steps: 300, val_every: 300}}
sweep: {motion.hidden: [64, 128, 256]}
"""


def unscored(task: dict[str, str]) -> str:
    return ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", nargs="?")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        experiment = args.experiment or here / "cost.yaml"
        if args.experiment is None:
            corpus(here / "clips", speakers=1, minutes=0.2, size=64, synthesiser="formants")
            Path(experiment).write_text(QUESTION.replace("CLIPS", str(here / "clips")))
        for k in range(args.rounds):
            bare = [*args.overrides, f"out={here / f'bare{k}'}"]
            stages = {folder_of(complete(one)): one for cell in plan(experiment, bare) for one in cell.stages}
            began = time.perf_counter()
            for stage in stages.values():
                fit(stage)
            alone = time.perf_counter() - began
            began = time.perf_counter()
            with patch.object(visemix.sweep, "score", unscored):
                outcomes = sweep(experiment, [*args.overrides, f"out={here / f'sweep{k}'}"], progress=False)
            whole = time.perf_counter() - began
            failed = sum(bool(outcome.reason) for outcome in outcomes)
            rows.append({"round": k, "trainings s": alone, "sweep s": whole, "overhead %": 100 * (whole / alone - 1)})
            rows[-1] |= {"stages": len(stages), "points": len(outcomes), "failed": failed}
    rows.append({"round": "median", "overhead %": median(row["overhead %"] for row in rows)})
    report("sweep", rows, experiment=str(args.experiment or "built in"), overrides=args.overrides)


if __name__ == "__main__":
    main()
