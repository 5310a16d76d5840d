from dataclasses import replace

import pytest
import torch

from visemix.render import Renderer
from visemix.types import Motion, Space, Video, VisemixError


class Wrong(Renderer):
    """Answers with frames that somebody made of the footage."""

    space = Space.EXPRESSION

    def __init__(self, made):
        super().__init__()
        self.made = made

    def forward(self, motion, subject):
        return self.made(subject.footage)

    def loss(self, motion, subject, target):
        return {}


class Bare:
    """Frames that no shape checker has looked at, as without one."""

    def __new__(cls, frames):
        video = object.__new__(Video)
        object.__setattr__(video, "frames", frames)
        return video


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda footage: footage, "the renderer Wrong answers with a Tensor; it must be a visemix.types.Video"),
        (
            lambda footage: Bare(footage[0]),
            r"frames of shape \(10, 3, 64, 64\); they must be \(2, 10, 3, 64, 64\): batch",
        ),
        (
            lambda footage: Video(footage[:, :9]),
            r"of shape \(2, 9, 3, 64, 64\); they must be \(2, 10, 3, 64, 64\): batch",
        ),
        (
            lambda footage: Video(footage[..., ::2]),
            r"of shape \(2, 10, 3, 64, 32\); they must .* and width of the f",
        ),
        (lambda footage: Bare(footage[:, :, :1]), r"frames of shape \(2, 10, 1, 64, 64\); they must be"),
    ],
)
def test_a_renderer_that_answers_otherwise_than_it_must_is_named(clip, made, said):
    with pytest.raises(VisemixError, match=said):
        Wrong(made)(clip.motion, clip.subject)


def test_a_picture_of_each_frame_goes_through_and_without_footage_of_any_size(clip):
    assert Wrong(Video)(clip.motion, clip.subject).frames is clip.subject.footage
    small = torch.zeros(2, 10, 3, 8, 8)
    alone = replace(clip.subject, footage=None)
    assert Wrong(lambda _: Video(small))(Motion(clip.motion.values, Space.EXPRESSION), alone).frames is small
