"""A small A2EP, sound for it, and who speaks."""

import torch
from torch import nn

from visemix.face import FaceModel
from visemix.motion import A2EP
from visemix.types import AudioFeatures, Subject

AUDIO_DIM = 6
SMALL = {"dim": 32, "heads": 4, "feedforward": 48, "dropout": 0.0}


def build(face, seed=0, **options):
    """A small model whose head says something (it starts at zero)."""
    torch.manual_seed(seed)
    model = A2EP(AUDIO_DIM, face, **(SMALL | options))
    nn.init.normal_(model.head.weight, std=0.15)
    nn.init.normal_(model.head.bias, std=0.15)
    return model.eval()


def sound(frames, batch=2, seed=1):
    return AudioFeatures(torch.randn(batch, frames, AUDIO_DIM, generator=torch.Generator().manual_seed(seed)))


def make_subject(face: FaceModel, names):
    n = len(names)
    return Subject(
        speaker=names,
        identity=torch.randn(n, face.identity.shape[-1], generator=torch.Generator().manual_seed(2)),
        expression=torch.zeros(n, 1, face.expression.shape[-1]),
        pose=torch.zeros(n, 1, 6),
        camera=torch.zeros(n, 3),
        light=torch.zeros(n, 1, 27),
        albedo=torch.zeros(n, 4, 3),
    )
