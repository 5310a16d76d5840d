import pytest
import torch

from visemix.motion import MotionModel, stream
from visemix.types import AudioFeatures, Motion, Space, VisemixError


class Wrong(MotionModel):
    """Answers with what it is given, whatever was said."""

    space = Space.EXPRESSION

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, audio, subject):
        return self.answer

    def loss(self, audio, subject, target):
        return {}


class Piecewise(Wrong):
    """The same, piece by piece."""

    def stream(self, audio, subject):
        for _ in audio:
            yield self.answer


SOUND = AudioFeatures(torch.zeros(2, 10, 3))
WRONG = [
    (torch.zeros(2, 10, 24), "motion model Wrong answers with a Tensor; it must be a .*Motion"),
    (
        Motion(torch.zeros(2, 10, 23), Space.EXPRESSION),
        r"Wrong answers with expression of shape \(2, 10, 23\); it",
    ),
    (Motion(torch.zeros(1, 10, 24), Space.EXPRESSION), r"it must be expression of shape \(2, 10, 24\)"),
    (Motion(torch.zeros(2, 10, 204), Space.LANDMARKS), r"answers with landmarks .* it must be expression of shape"),
]


@pytest.mark.parametrize(
    ("answer", "said"),
    [*WRONG, (Motion(torch.zeros(2, 9, 24), Space.EXPRESSION), r"a row for each row of the features")],
)
def test_a_motion_model_that_answers_otherwise_than_it_must_is_named(clip, answer, said):
    with pytest.raises(VisemixError, match=said):
        Wrong(answer)(SOUND, clip.subject)


@pytest.mark.parametrize(("answer", "said"), WRONG)
def test_so_is_one_that_streams(clip, answer, said):
    with pytest.raises(VisemixError, match=said.replace("Wrong", "Piecewise")):
        list(stream(Piecewise(answer), [SOUND], clip.subject))


def test_a_row_of_its_width_for_each_of_the_features_goes_through(clip):
    motion = Motion(torch.ones(2, 10, 24), Space.EXPRESSION)
    assert Wrong(motion)(SOUND, clip.subject) is motion
    few = Motion(torch.ones(2, 3, 24), Space.EXPRESSION)  # as many at a time as it likes
    assert list(stream(Piecewise(few), [SOUND], clip.subject)) == [few]
