"""A stage's training on one clip by a plain trainer."""

import lightning as L
from torch.utils.data import DataLoader


def one_step(module, clip, folder, **options):
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        **({"fast_dev_run": True} | options),
    )
    loader = DataLoader([clip], batch_size=None)
    trainer.fit(module, loader, loader)
    return trainer
