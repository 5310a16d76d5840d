import pytest
import torch
from torch.nn import functional as F

from visemix.audio import AudioEncoder, stream_features
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


class Recalls(AudioEncoder):
    """A row is how loud the last two seconds and the next two were, each alone, as far as they are known."""

    dim = 2

    def forward(self, speech):
        loud = speech.wave.unflatten(1, (-1, 640)).square().mean(-1)
        past, future = (F.pad(loud, ends).unfold(1, 51, 1).mean(-1) for ends in ((50, 0), (0, 50)))
        return AudioFeatures(torch.stack([past, future], -1))


def test_a_block_of_a_long_sound_is_heard_with_two_seconds_before_and_after_it(monkeypatch):
    monkeypatch.setattr("visemix.audio.base.BLOCK_FRAMES", 60)
    speech = Speech(torch.randn(1, 200 * 640, generator=torch.Generator().manual_seed(0)))
    pieces = [piece.values for piece in stream_features(Recalls(), speech)]
    assert [piece.shape[1] for piece in pieces] == [60, 60, 60, 20]
    torch.testing.assert_close(torch.cat(pieces, 1), Recalls()(speech).values)
