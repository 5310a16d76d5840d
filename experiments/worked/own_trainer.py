"""Train with a Trainer of one's own: two stages of one model, handed to Lightning as they are.

    python experiments/worked/own_trainer.py CLIPS OUT.safetensors

CLIPS is a folder that `visemix corpus` or `visemix prepare` wrote. Callbacks, loggers, precision, devices and the loop
are Lightning's and yours; a stage brings its losses, its optimiser and what is frozen around it.
"""

import sys
from pathlib import Path

import lightning as L

from visemix import TalkingFace
from visemix.data import ClipsModule
from visemix.training.modules import MotionModule, RenderModule
from visemix.training.optim import StageOptions

PARTS = {"audio": "mel", "motion": "regression", "render": "taft"}
SMALL = {"render": {"base": 4, "max_channels": 8, "levels": 2}}


def main(clips: str, out: Path) -> None:
    config = {part: {"name": name} | SMALL.get(part, {}) for part, name in PARTS.items()}
    model = TalkingFace.from_config(config | {"face": {"name": "toy"}})
    for stage, window, steps in ((MotionModule, 25, 60), (RenderModule, 1, 30)):
        data = ClipsModule(model.face, root=clips, window=window, holdout=1.0, frames=stage is RenderModule)
        options = StageOptions(steps=steps, lr=2e-3, clip_norm=1.0)  # the optimiser's, not the loop's
        trainer = L.Trainer(max_steps=steps, check_val_every_n_epoch=10, logger=False, enable_checkpointing=False)
        trainer.fit(module := stage(model, options), data)
        loss = trainer.validate(module, data, verbose=False)[0]["val/total"]
        sys.stdout.write(f"{stage.name}: {loss:.4f}\n")
    model.eval().save(out, trained=["motion", "render"])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
