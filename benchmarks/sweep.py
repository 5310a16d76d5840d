"""What a sweep costs over the trainings it consists of: planning, processes, joining.

python benchmarks/sweep.py [EXPERIMENT] [KEY=VALUE ...] [--bare]

`visemix sweep` with one job, whose workers note how long each training took: what the whole took beyond their sum is
the overhead. Both are of one run, so that a machine that is now fast, now slow, changes neither's share. Scoring is
left out: a sweep scores by the same call as `visemix evaluate RUN`. With `--bare` the same stages are first trained by
`fit`, one after another in this process, to see that they take no longer in a sweep. The default experiment trains for
minutes; the longer the trainings, the smaller the share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _report import report
from omegaconf import OmegaConf

import visemix.sweep
from visemix.corpus.make import corpus
from visemix.ops.device import keep_memory
from visemix.run import complete_config, fit, folder_of
from visemix.sweep.plan import plan
from visemix.sweep.runner import sweep, train

QUESTION = """# What does a sweep cost?
use: {scale: small, face: toy, audio: mel, motion: regression, render: mesh, data: clips}
data: {root: CLIPS, holdout: 1.0}
train: {motion: {steps: 3000, val_every: 3000}}
sweep: {motion.hidden: [64, 128, 256]}
"""
TOOK = "seconds.txt"


def timed(config: dict[str, Any]) -> str:
    began = time.perf_counter()
    reason = train(config)
    (folder_of(OmegaConf.create(config)) / TOOK).write_text(str(time.perf_counter() - began), encoding="utf-8")
    return reason


def unscored(task: dict[str, str]) -> str:
    return ""


def main() -> None:
    keep_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment", nargs="?")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--bare", action="store_true")
    args = parser.parse_args()
    row: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        experiment = args.experiment or here / "cost.yaml"
        if args.experiment is None:
            corpus(here / "clips", speakers=1, minutes=0.2, size=64, synthesiser="formants")
            Path(experiment).write_text(QUESTION.replace("CLIPS", str(here / "clips")), encoding="utf-8")
        if args.bare:
            alone = [*args.overrides, f"out={here / 'bare'}"]
            stages = {folder_of(complete_config(one)): one for cell in plan(experiment, alone) for one in cell.stages}
            began = time.perf_counter()
            for stage in stages.values():
                fit(stage)
            row["by fit s"] = time.perf_counter() - began
        began = time.perf_counter()
        with patch.object(visemix.sweep, "score", unscored), patch.object(visemix.sweep, "train", timed):
            outcomes = sweep(experiment, [*args.overrides, f"out={here / 'sweep'}"], progress=False)
        whole = time.perf_counter() - began
        took = [float(path.read_text(encoding="utf-8")) for path in here.glob(f"sweep/**/{TOOK}")]
    row |= {"trainings s": sum(took), "sweep s": whole, "overhead %": 100 * (whole / sum(took) - 1)}
    row |= {"stages": len(took), "points": len(outcomes), "failed": sum(bool(outcome.reason) for outcome in outcomes)}
    report("sweep", [row], experiment=str(args.experiment or "built in"), overrides=args.overrides)


if __name__ == "__main__":
    main()
