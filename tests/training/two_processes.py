"""Trains a motion model that draws, for `test_distributed`: with so many processes, or so many batches to a step.

python two_processes.py CLIPS OUT.safetensors PROCESSES BATCHES
"""

import sys
from pathlib import Path

import lightning as L
import torch
from safetensors.torch import save_file

from visemix import TalkingFace
from visemix.data import ClipsModule
from visemix.training.modules import MotionModule
from visemix.training.optim import StageOptions

TINY = {"name": "a2ep", "dim": 8, "heads": 2, "feedforward": 8, "layers": 1, "dropout": 0.5}
MODEL = {"face": {"name": "toy"}, "audio": {"name": "mel", "dim": 8}, "motion": TINY, "render": {"name": "mesh"}}


def main(clips: str, out: Path, processes: int, batches: int) -> None:
    torch.manual_seed(0)
    module = MotionModule(TalkingFace.from_config(MODEL), StageOptions(lr=1e-2, log_every=1))
    data = ClipsModule(module.model.face, root=clips, window=10, batch=1, holdout=0.8, frames=False)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        accumulate_grad_batches=batches,
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    if trainer.is_global_zero:
        loss, steps = trainer.callback_metrics["val/total"], torch.tensor(trainer.global_step)
        save_file({**module.model.motion.state_dict(), "val/total": loss, "steps": steps}, out)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
