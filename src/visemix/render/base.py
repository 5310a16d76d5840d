from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from visemix.registry import Registry
from visemix.types import Losses, Motion, Space, Subject, Video


class Renderer(nn.Module, ABC):
    """Motion of a subject's face, over the subject's footage → video."""

    space: Space  # what it wants to be driven by; the pipeline converts
    gallery: int = 0  # how many pictures of the subject it wants to choose among
    scene: bool = False  # whether it wants the footage's labels and the place without the person
    ready: bool = False  # whether it draws the subject before it was trained
    steady: float = 0.0  # frames: spread of the Gaussian mean over time that calms the head poses of a video it makes
    context: int = 0  # frames of motion on either side that it looks at too: motion may come longer than the subject

    def hear(self, dim: int) -> None:
        """How wide the audio features are: told to a renderer whose space is `FEATURES`, before it is used."""

    @abstractmethod
    def forward(self, motion: Motion, subject: Subject) -> Video: ...

    @abstractmethod
    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses: ...


RENDER: Registry[Renderer] = Registry("renderer")
