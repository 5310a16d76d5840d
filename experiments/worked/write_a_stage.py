"""Write a stage: a motion model of one's own, in this one file, trained and set beside one of the library's.

    python experiments/worked/write_a_stage.py CLIPS OUT

CLIPS is a folder that `visemix corpus` or `visemix prepare` wrote. A part is a class in a registry. What the pipeline
hands it (here the width of the features and the face model) are its positional parameters; what an experiment may set
are its keyword-only ones, with their types and defaults: `visemix parts --plugin` lists them, a misspelt one is refused
by name, and a sweep can run over them. There is no second list of either.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from torch import nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion import MOTION, MotionModel
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject


@MOTION.register("murmur")
class Murmur(MotionModel):
    """Hears a few frames around each moment, and moves the face by one layer of neurons.

    `reach` is how many frames to either side it hears, `hidden` how many neurons it has.
    """

    space = Space.EXPRESSION  # what it answers in; for a renderer that wants landmarks the face model converts

    def __init__(self, audio_dim: int, face: FaceModel, *, reach: int = 3, hidden: int = 32) -> None:
        super().__init__()
        self.hear = nn.Conv1d(audio_dim, hidden, 2 * reach + 1, padding=reach)
        self.speak = nn.Linear(hidden, face.width(self.space))

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """One row of features a video frame in, one row of motion a video frame out: nobody resamples or pads."""
        return Motion(self.speak(self.hear(audio.values.mT).mT.relu()), self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """What training scores is what inference runs. Names and weights of the losses are the part's own business."""
        return {"motion": F.mse_loss(self(audio, subject).values, target.values)}


QUESTION = """# Does a murmur that hears further speak better than regression?
plugins: [{here}]
use: {{scale: tiny, face: toy, audio: mel, motion: murmur, render: mesh, data: clips}}
data: {{root: {clips}, holdout: 1.0}}
out: {out}
sweep:
  variants:
    regression: [motion=regression]
    murmur: []
    murmur that hears further: [motion.reach=9]
"""


def main(clips: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    experiment = out / "murmur.yaml"
    experiment.write_text(
        QUESTION.format(here=Path(__file__).resolve(), clips=clips.resolve(), out=out.resolve()), encoding="utf-8"
    )

    # visemix sweep murmur.yaml: the renderer is the same in all rows and trained once. It prints the path of the table.
    subprocess.run([sys.executable, "-m", "visemix.cli", "sweep", str(experiment)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
