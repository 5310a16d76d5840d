"""The renderer without networks: the face model, shaded."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.face.shading import draw
from visemix.render.base import RENDER, Renderer
from visemix.types import Losses, Motion, Space, Subject, Video, VisemixError


@RENDER.register("mesh")
class Mesh(Renderer):
    """The shaded face model itself, over the footage or over black: no weights needed, and differentiable.

    All it can learn is a gain for each colour. Over black it works without footage too; the picture is then as large
    as the camera's centre says.
    """

    space = Space.EXPRESSION
    works_untrained = True

    def __init__(self, face: FaceModel, *, over: Literal["footage", "black"] = "footage") -> None:
        super().__init__()
        self.face, self.over = face, over
        self.paste = "face" if over == "footage" else "whole"
        self.gain = nn.Parameter(torch.ones(3))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        """The shaded face over footage or black. Raises `VisemixError` where there is no footage to draw over."""
        if subject.footage is not None:
            height, width = subject.footage.shape[-2:]
        elif self.over == "footage":
            raise VisemixError(f"there is no footage of '{subject.speaker[0]}' to draw over; say render.over=black")
        else:
            width, height = (round(2 * c) for c in subject.camera[0, 1:].tolist())
        picture = draw(self.face, motion.values, subject, (height, width))
        image = (picture.image * self.gain[:, None, None]).clamp(0, 1)
        if self.over == "footage":
            assert subject.footage is not None
            image = subject.footage + (image - subject.footage) * picture.coverage
        return Video(image)

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """One term: mean absolute error of the whole picture."""
        return {"image": F.l1_loss(self(motion, subject).frames, target.frames)}
