"""Train with a Trainer of one's own: two stages of one model, handed to Lightning as they are.

    python experiments/worked/own_trainer.py CLIPS OUT.safetensors

CLIPS is a folder of prepared clips. The loop is yours: here two processes train the motion model, and one the renderer.
"""

import sys

import lightning as L
from torch import distributed

from visemix import TalkingFace
from visemix.data import ClipsModule
from visemix.training.modules import MotionModule, RenderModule
from visemix.training.optim import StageOptions

SMALL = {"name": "taft", "base": 4, "max_channels": 8, "levels": 2}
PARTS = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression"}, "render": SMALL}
TWO = {"strategy": "ddp", "devices": 2}


def main(clips: str, out: str) -> None:
    model = TalkingFace.from_config(PARTS)
    for stage, window, steps, by in ((MotionModule, 25, 60, TWO), (RenderModule, 1, 30, {})):
        data = ClipsModule(model.face, root=clips, window=window, holdout=1.0, frames=stage is RenderModule)
        module = stage(model, StageOptions(steps=steps, lr=2e-3, clip_norm=1.0))  # the optimiser's, not the loop's
        loop = {"max_steps": steps, "check_val_every_n_epoch": 10, "logger": False, "enable_checkpointing": False} | by
        (trainer := L.Trainer(accelerator="cpu", **loop)).fit(module, data)
        loss = trainer.validate(module, data, verbose=False)[0]["val/total"]
        if not trainer.is_global_zero:
            return  # the second process runs this file, too, and is done
        if distributed.is_initialized():
            distributed.destroy_process_group()
        sys.stdout.write(f"{stage.name}: {loss:.4f} (processes: {trainer.world_size})\n")
    model.eval().save(out, trained=["motion", "render"])


if __name__ == "__main__":
    main(*sys.argv[1:])
