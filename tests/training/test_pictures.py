import standins  # noqa: F401 – registers its parts
import torch

from visemix.pipeline import TalkingFace
from visemix.training.pictures import GREY, RED, first_clips, mouth_curves, mouth_opening, render_comparison
from visemix.types import Motion, Space

CFG = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "dots"}}


def test_originals_lie_above_what_is_made_of_them(clip):
    model = TalkingFace.from_config(CFG).eval()
    picture = render_comparison(model, clip)
    assert picture.shape == (3, 128, 128)  # two clips of 64 pixels side by side, two rows
    torch.testing.assert_close(picture[:, :64, 64:], clip.video.frames[1, 5])
    torch.testing.assert_close(picture[:, 64:, :64], model.draw(clip.motion, clip.subject).frames[0, 5])


def test_an_open_mouth_is_higher_than_a_closed_one(clip):
    model = TalkingFace.from_config(CFG).eval()
    offset = torch.zeros(2, 10, 68, 3)
    offset[..., 66, 1] = -0.2  # the lower lip goes down by 2 cm
    opened = mouth_opening(model, Motion(offset.flatten(2), Space.LANDMARKS), clip)
    shut = mouth_opening(model, Motion(torch.zeros_like(offset).flatten(2), Space.LANDMARKS), clip)
    assert (opened > shut + 0.15).all()


def test_both_curves_are_in_the_picture(clip):
    picture = mouth_curves(TalkingFace.from_config(CFG).eval(), clip)
    assert picture.shape == (3, 160, 40)
    for colour in (GREY, RED):
        assert (picture == torch.tensor(colour).view(3, 1, 1)).all(0).any(0).sum() > 20


def test_the_first_clips_of_a_batch_keep_their_names(clip):
    one = first_clips(clip, 1)
    assert one.subject.speaker == ("speaker0",) and one.speech.wave.shape[0] == 1
