import pytest
import torch

from visemix.audio import AudioEncoder
from visemix.types import AudioFeatures, Speech, VisemixError


class Wrong(AudioEncoder):
    """Answers with what it is given, whatever was said."""

    def __init__(self, answer, dim=3):
        super().__init__()
        self.answer, self.dim = answer, dim

    def forward(self, speech):
        return self.answer


SOUND = Speech(torch.zeros(1, 25 * 640))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            AudioFeatures(torch.zeros(1, 13, 3)),
            "encoder Wrong answers with 13 rows of 3 numbers for 25 video",
        ),
        (
            AudioFeatures(torch.zeros(1, 25, 4)),
            "25 rows of 4 numbers for 25 video frames; .* of 3 numbers, as its",
        ),
        (
            torch.zeros(1, 25, 3),
            "encoder Wrong answers with a Tensor; it must be .*AudioFeatures",
        ),
    ],
)
def test_an_encoder_that_answers_otherwise_than_it_must_is_named(answer, said):
    with pytest.raises(VisemixError, match=said):
        Wrong(answer)(SOUND)


def test_a_row_a_frame_goes_through():
    features = AudioFeatures(torch.ones(1, 25, 3))
    assert Wrong(features)(SOUND) is features
