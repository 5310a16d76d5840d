"""Swap a stage: the same sound and person through another motion model and another renderer.

    python experiments/worked/swap_a_stage.py CLIPS OUT

CLIPS is a folder that `visemix corpus` or `visemix prepare` wrote. An experiment is a question and a difference; here
the difference is the one word after `motion:` or `render:`. Options of a part that is swapped away go with it. Every
run is named after what can change it, so none overwrites another's, and asking for the same one again answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from visemix import TalkingFace
from visemix.run import fit, load_experiment

QUESTION = """# Which pair of stages speaks best?
use: {scale: tiny, face: toy, audio: mel, motion: regression, render: mesh, data: clips}
data: {holdout: 1.0}
"""
PAIRS = [("regression", "mesh"), ("a2ep", "mesh"), ("a2ep", "taft")]


def main(clips: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    experiment = out / "pairs.yaml"
    experiment.write_text(QUESTION, encoding="utf-8")
    person = sorted(path.parent for path in clips.glob("*/meta.yaml"))[0]

    for motion, render in PAIRS:
        # On the command line: visemix fit pairs.yaml motion=a2ep render=taft data.root=CLIPS out=OUT
        cfg = load_experiment(experiment, [f"motion={motion}", f"render={render}", f"data.root={clips}", f"out={out}"])
        run = fit(cfg)

        # A run folder is all it takes to speak. From Python, sound and target may be files:
        model = TalkingFace.from_pretrained(run)
        video = model(person / "sound.flac", person)  # 25 frames a second, RGB in [0, 1], as the sound lasts
        say(f"{motion} + {render}: {tuple(video.frames.shape)} from {run}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
