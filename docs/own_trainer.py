"""A training loop without the library's: `python own_trainer.py CLIPS OUT.safetensors`, CLIPS from `visemix corpus`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch

from visemix import TalkingFace
from visemix.data import DATA, DataModule
from visemix.types import Clip

PARTS = {
    "face": {"name": "toy"},
    "audio": {"name": "mel"},
    "motion": {"name": "regression"},
    "render": {"name": "mesh"},
}


def train(clips: str, steps: int) -> TalkingFace:
    torch.manual_seed(0)
    model = TalkingFace.from_config(PARTS)
    wanted = {"name": "clips", "root": clips, "window": 40, "holdout": 1.0, "frames": False}  # no pictures: motion only
    data = DATA.build(wanted, model.face)
    data.setup("fit")
    learning = [*model.audio.parameters(), *model.motion.parameters()]
    optimiser = torch.optim.Adam(learning, lr=1e-3)
    for clip in islice(endless(data), steps):
        losses = model.motion.loss(model.audio(clip.speech), clip.subject, clip.motion)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    return model.eval()


def endless(data: DataModule) -> Iterator[Clip]:
    while True:
        yield from data.train_dataloader()


if __name__ == "__main__":
    train(sys.argv[1], 200).save(Path(sys.argv[2]))
