"""What do five seconds of a person tell the starter about them?

`python benchmarks/adapted.py CLIP… [--seconds 5] [--runs DIR]`, on prepared clips with lip sync, of 4 s and more.
Each person's calibration (`experiments/starter/adapt.yaml`) is learnt from the clip's first seconds, at most all but
its last two, and scored on the rest, beside the starter as it is. Measures as in `voice.py`; `rest off`: how far the
mean opening is from the person's, `low off`: the same of its 5 % quantile, millimetres. Of the silences among what is
scored: `settles` and `settled`, by the person's median opening in them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _report import report
from voice import Real, Trained, correlation, load, resting, settling, silent, steady, summary

from visemix.metrics.silence import shift
from visemix.ops.avlag import overlap
from visemix.ops.device import keep_memory
from visemix.pipeline import TalkingFace
from visemix.run import fit, load_experiment
from visemix.types import FPS

EXPERIMENT = Path(__file__).parents[1] / "experiments/starter/adapt.yaml"
LEAST = 2.0  # seconds that are scored


def scored(real: Real, model: TalkingFace, first: int) -> dict[str, Any]:
    """Of the frames from `first` on."""
    said, truth = Trained(model)(real.speech, real), real.mouth
    found: dict[str, Any] = {}
    for channel, name in enumerate(("opening", "width")):
        for lag, way in ((0, f"{name} r, lag 0"), (real.lag, f"{name} r")):
            a, b = overlap(steady(said)[:, channel], steady(truth)[:, channel], lag)
            skip = max(0, first - max(0, lag))
            found[way] = correlation(a[skip:], b[skip:])
    ours, theirs = said[first:, 0], truth[first:, 0]
    found["amplitude"] = float(steady(said)[first:, 0].std() / steady(truth)[first:, 0].std())
    found["rest off, mm"] = float(abs(ours.mean() - theirs.mean()))
    found["low off, mm"] = float(abs(np.quantile(ours, 0.05) - np.quantile(theirs, 0.05)))
    pauses = silent(real.speech)
    rest = resting(theirs, shift(pauses, real.lag, len(truth))[first:])
    return found | settling(ours, pauses[first:], rest)


def main() -> None:
    keep_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args = parser.parse_args()
    starter = TalkingFace.from_checkpoint("starter")
    rows: dict[str, list[dict[str, Any]]] = {"starter": [], "adapted": []}
    for path in args.clips:
        real = load(path, starter.face)
        length = real.clip.frames / FPS
        seconds = min(args.seconds, length - LEAST)
        asked = [f"data.root={path.parent}", f"data.clips=[{path.name}]", f"data.holdout={length - seconds}"]
        run = fit(load_experiment(EXPERIMENT, [*asked, f"out={args.runs}"]))
        about = {"clip": path.name, "learnt, s": seconds, "scored, s": length - seconds}
        for name, model in (("starter", starter), ("adapted", TalkingFace.from_checkpoint(run))):
            rows[name].append(about | scored(real, model, round(seconds * FPS)))
    table = [{"model": name} | row for name, found in rows.items() for row in found + summary(found)]
    report("adapted", table)


if __name__ == "__main__":
    main()
