"""A third party's renderer in one file: installed, `visemix parts` lists it and every experiment can `use` it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d
from visemix.render import RENDER, Renderer
from visemix.types import Losses, Motion, Space, Subject, Video


@RENDER.register("lights")
class Lights(Renderer):
    """The 68 landmarks as points of light over darkened footage; it learns their colour.

    `radius` is the points' standard deviation, `dim` what is left of the footage, both relative to the picture.
    """

    space = Space.EXPRESSION

    def __init__(self, face: FaceModel, *, radius: float = 0.006, dim: float = 0.3) -> None:
        super().__init__()
        self.face, self.radius, self.dim = face, radius, dim
        self.colour = nn.Parameter(torch.tensor([1.0, 0.8, 0.4]))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        assert subject.footage is not None
        height, width = subject.footage.shape[-2:]
        points = landmarks_2d(self.face, motion.values, subject)
        sigma = self.radius * width
        across = (torch.arange(width, device=points.device) + 0.5 - points[..., :1]).div(sigma).square().neg().exp()
        down = (torch.arange(height, device=points.device) + 0.5 - points[..., 1:]).div(sigma).square().neg().exp()
        light = torch.einsum("btph,btpw->bthw", down, across).clamp(max=1).unsqueeze(2)
        return Video((self.dim * subject.footage * (1 - light) + light * self.colour[:, None, None]).clamp(0, 1))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        return {"image": F.l1_loss(self(motion, subject).frames, target.frames)}
