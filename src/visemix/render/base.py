from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer

from visemix.parts import Part
from visemix.registry import Registry
from visemix.types import Clip, Losses, Motion, Space, Subject, Video, VisemixError

Paste = Literal["face", "head", "whole"]


@runtime_checkable
class FrameDataset(Protocol):
    """Clips of one frame each, by number; loaded as they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> Clip: ...


class Renderer(nn.Module, Part, ABC):
    """Motion of a subject's face, over the subject's footage → video."""

    space: Space  # what it wants to be driven by; the pipeline converts
    gallery: int = 0  # how many pictures of the subject it wants to choose among
    needs_segmentation: bool = False  # whether it wants the footage's labels and the place without the person
    paste: Paste = "whole"  # what of a picture it paints; the rest is the footage's
    # whether it learns how one person looks, and gives these looks to whoever it is shown
    person_specific: bool = False
    works_untrained: bool = False  # whether it draws the subject before it was trained
    # frames: spread of the Gaussian mean over time that calms the head poses of a video it makes
    pose_smoothing: float = 0.0
    context: int = 0  # frames of motion on either side that it looks at too: motion may come longer than the subject
    grows: bool = False  # whether its sizes change in training: a checkpoint may have others than the constructor's

    def set_feature_dim(self, dim: int) -> None:
        """How wide the audio features are: told to a renderer whose space is `FEATURES`, before it is used."""

    def init_from_data(self, motions: Sequence[Clip], frames: FrameDataset) -> None:
        """Look at what it is to learn, before the first step of its training.

        Args:
            motions: each stretch of the training clips as a whole, without pictures.
            frames: their frames one by one, in that order, with pictures.
        """

    def before_step(self, optimiser: Optimizer, step: int) -> None:
        """Look at the gradients of a training step, counted from 0: they are there, and no weight has moved yet."""

    def after_step(self, optimiser: Optimizer, step: int) -> None:
        """Grow and prune, if it is time: the weights have moved, and no graph over them is alive.

        `ops.resize.resize_parameter` changes a parameter's rows and what the optimiser remembers of them alike.
        Buffers, also those that only count, are the renderer's own to keep in step. Weights that are averaged over
        steps (`ema`) begin their mean anew where their size changed.
        """

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Take on the sizes of a stored state dict of this renderer, whose numbers are loaded next. Asked where
        `grows`, for checkpoints as for trainings that go on; one that counts beside its state extends it."""
        held = self.state_dict(keep_vars=True)
        for name, stored in state.items():
            if held[name].shape != stored.shape:
                held[name].data = held[name].new_zeros(stored.shape)

    @abstractmethod
    def forward(self, motion: Motion, subject: Subject) -> Video: ...

    @abstractmethod
    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses: ...


RENDER: Registry[Renderer] = Registry("renderer", Renderer, plainest="mesh")  # type: ignore[type-abstract]


def no_segmentation(subject: Subject) -> VisemixError:
    return VisemixError(
        f"the clip of '{subject.speaker[0]}' does not say what is head, torso and background, and this renderer cannot "
        "do without; prepare it again with --scene mediapipe --overwrite"
    )
