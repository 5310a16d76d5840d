"""What is frozen of every stage of training: its losses, what they move, and how."""

from dataclasses import replace
from functools import partial

import standins  # noqa: F401 – registers its parts
import torch
from conftest import make_clip
from digests import rounded
from frozen_parts import learnt, stirred
from tiny_parts import config

from visemix.data.domains import Domains
from visemix.pipeline import TalkingFace
from visemix.training.modules import STAGES

PARTS = {"face": "toy", "audio": "mel", "motion": "regression", "render": "dots"}
OTHERS = {  # where a stage trains a part that not every model has
    "recogniser": {"audio": "ctc"},
    "sync": {"motion": "flow_vae"},
    "motion": {"motion": "a2ep"},
    "postnet": {"motion": "postnet"},
    "adapt": {"motion": "calibrated"},
    "render": {"render": "taft"},
    "joint": {"render": "gaussians"},
}
SOUNDS = 58  # characters of the recogniser


def cases():
    return {f"stage/{stage}": partial(train, stage) for stage in STAGES}


def train(stage):
    names = PARTS | OTHERS.get(stage, {})
    parts = {part: config(name) for part, name in names.items()}
    if stage == "recogniser":
        parts["audio"] |= {"characters": SOUNDS}
    torch.manual_seed(0)
    model = stirred(TalkingFace.from_config(parts))
    module = STAGES[stage](model, seed=0)
    clip = make_clip(model.face, size=32)
    clip = replace(clip, sounds=torch.tensor([[5, 9, 0, 0], [7, 2, 3, 0]]))
    if stage == "postnet":
        clip = Domains(clip, make_clip(model.face, size=32, seed=1))
    critic = () if module.critic is None else (lambda: module.critic_losses(clip), module.critic)
    with module.training_alone():
        trained = sorted(name for name, p in model.named_parameters() if p.requires_grad)
        frozen_modes = [name for name, part in model.named_modules() if name and not part.training]
        found = {"trained": trained, "still": len(frozen_modes)} | learnt(model, lambda: module.losses(clip), *critic)
    model.eval()
    with torch.no_grad():
        torch.manual_seed(2)
        found["measures"] = {name: rounded(x) for name, x in module.measures(clip).items() if torch.is_tensor(x)}
        found["picture"] = list(module.picture(clip).shape)
    return found
