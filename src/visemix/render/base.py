"""What a renderer is: motion of a face, over a subject's footage, to video."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from visemix.parts import Part, answered
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
    # of the last `loss`, by name: the greatest opacity of what it drew, where something had to be drawn
    opacities: Mapping[str, Tensor] = {}
    grows: bool = False  # whether its sizes change in training: a checkpoint may have others than the constructor's

    def __init__(self, *wiring: Any) -> None:  # one without a constructor of its own has no use for it
        super().__init__()

    def __call__(self, motion: Motion, subject: Subject) -> Video:
        """What `forward` answers.

        Raises:
            VisemixError: that is no `Video`, or not a picture of the footage's size for every frame of the subject.
        """
        who = f"the renderer {type(self).__name__}"
        video = answered(who, super().__call__(motion, subject), Video)
        shape, places = tuple(video.frames.shape), tuple(subject.pose.shape[:2])
        size = shape[-2:] if subject.footage is None else tuple(subject.footage.shape[-2:])
        if shape != (*places, 3, *size):
            raise VisemixError(
                f"{who} answers with frames of shape {shape}; they must be {(*places, 3, *size)}: batch, frames of the "
                "subject, RGB, and height and width of the footage"
            )
        return video

    def set_feature_dim(self, dim: int) -> None:
        """How wide the audio features are: told to a renderer whose space is `FEATURES`, before it is used."""

    def init_from_data(self, motions: Sequence[Clip], frames: FrameDataset) -> None:
        """Initialise from the training data, before the first step.

        Args:
            motions: each stretch of the training clips as a whole, without pictures.
            frames: their frames one by one, in that order, with pictures.
        """

    def before_step(self, optimiser: Optimizer, step: int) -> None:
        """Hook of a training step, counted from 0, at which the gradients are there and no weight has moved yet."""

    def after_step(self, optimiser: Optimizer, step: int) -> None:
        """Hook of a training step at which to grow and prune: the weights have moved, and no graph over them is alive.

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
    def forward(self, motion: Motion, subject: Subject) -> Video:
        """Video of the subject's frames, RGB in [0, 1]; the motion is in `space`, and may be longer by `context`."""

    @abstractmethod
    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """Weighted terms, scalars, of drawing these frames so that they look like `target`."""


RENDER: Registry[Renderer] = Registry("renderer", Renderer, plainest="mesh", group="render")  # type: ignore[type-abstract]


def no_segmentation(subject: Subject) -> VisemixError:
    """The error for a clip without labels or an empty background, to be raised by a renderer that needs them."""
    return VisemixError(
        f"the clip of '{subject.speaker[0]}' does not say what is head, torso and background, and this renderer cannot "
        "do without; prepare it again with --scene mediapipe --overwrite"
    )


def empty_background(subject: Subject) -> Float[Tensor, "B 3 H W"]:
    """The background without the person, RGB in [0, 1]. Raises `VisemixError` where the clip does not have it."""
    if subject.background is None:
        raise no_segmentation(subject)
    return subject.background
