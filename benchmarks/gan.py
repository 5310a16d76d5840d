"""Is TAFT of one person better with a critic? Both trained on each clip but its last two seconds, which they paint.

    visemix prepare VIDEO… --face ict --size 256 --out CLIPS
    python benchmarks/gan.py CLIPS [--clips anna,ben] [--seeds 3] [--runs DIR] [--sheets DIR] [key=value …]

`gsmoothface/person` and `gsmoothface/gan`, scored as in `gaussians.py`; `cpbd` is the metric of that name, of the whole
frame as made and, as `cpbd true`, as filmed. `key=value` changes both experiments.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _driving import write_sheet
from _perceptual import efflite_distance
from _report import report
from gaussians import EVERY, held_out, judged, learnt, mean_of
from rich.console import Console
from torch import Tensor

from visemix.data import find_clips
from visemix.metrics.image import grey
from visemix.metrics.sharpness import cpbd
from visemix.ops.device import keep_memory

METHODS = ("taft", "taft_gan")


def main() -> None:
    keep_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips_root", type=Path)
    parser.add_argument("--clips", default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("overrides", nargs="*", help="key=value for both experiments")
    args = parser.parse_intermixed_args()
    distance = efflite_distance()
    rows: list[dict[str, Any]] = []
    for path in find_clips(args.clips_root):
        if args.clips and path.name not in args.clips.split(","):
            continue
        true = held_out(path)
        shown = {"footage": true}
        for seed in range(args.seeds):
            for method in METHODS:
                model, minutes = learnt(method, path, seed, args.runs, args.overrides)
                scores, made = judged(model, path, distance)
                scores |= {"cpbd": sharpness(made), "cpbd true": sharpness(true)}
                rows.append({"clip": path.name, "method": method, "seed": seed, "cpu_min": minutes, **scores})
                Console(stderr=True).print(rows[-1])
                if seed == 0:
                    shown[method] = made
        if args.sheets:
            write_sheet(args.sheets / f"{path.name}_gan.png", shown, EVERY)
    clips = dict.fromkeys(row["clip"] for row in rows)
    report("gan", [mean_of(rows, clip, method) for clip in clips for method in METHODS], rows_by_seed=rows)


def sharpness(pictures: list[Tensor]) -> float:
    """Mean CPBD of pictures (3, H, W) in [0, 1]."""
    planes = grey((torch.stack(pictures) * 255).round().byte())
    return float(np.mean([cpbd(plane) for plane in planes]))


if __name__ == "__main__":
    main()
