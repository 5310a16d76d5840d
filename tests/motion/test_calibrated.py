import pytest
import torch
from conftest import make_clip
from standins import Acted

from visemix.motion import Calibrated
from visemix.types import AudioFeatures, Motion, Space, VisemixError

BASES = {
    Space.EXPRESSION: {"name": "regression", "hidden": 8},
    Space.LANDMARKS: {"name": "regression", "hidden": 8, "space": "landmarks"},
}
NOTHING = AudioFeatures(torch.zeros(1, 40, 6))


def build(face, clip, space):
    """One whose base does what the clip's people do, whatever is said."""
    model = Calibrated(6, face, base=BASES[space])
    model.base = Acted(face.convert(clip.motion, space, clip.subject))
    return model


@pytest.mark.parametrize("space", BASES)
def test_it_finds_a_persons_amplitude_and_rest(face, space):
    """The person does what the base says, 1.4 times as far and from another rest."""
    clip = make_clip(face, batch=1, frames=40)
    model = build(face, clip, space)
    plain = model.base(NOTHING, clip.subject)
    assert torch.equal(model(NOTHING, clip.subject).values, plain.values)
    offset = 0.2 * torch.rand(clip.motion.values.shape[-1], generator=torch.Generator().manual_seed(2))
    theirs = Motion(1.4 * clip.motion.values + offset, Space.EXPRESSION)
    target = face.convert(theirs, space, clip.subject)
    model.calibration.requires_grad_(True)
    optim = torch.optim.Adam(model.calibration.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, 400)
    for _ in range(400):
        optim.zero_grad()
        sum(model.adapt(NOTHING, clip.subject, target).values()).backward()
        optim.step()
        schedule.step()
    assert model.calibration["scale"].item() == pytest.approx(1.4, abs=0.02)
    made = model(NOTHING, clip.subject).values
    torch.testing.assert_close(made.mean(1), target.values.mean(1), atol=0.002, rtol=0)
    torch.testing.assert_close(made, target.values, atol=0.02, rtol=0.05)


def test_the_scale_has_bounds(face):
    clip = make_clip(face, batch=1, frames=40)
    model = build(face, clip, Space.EXPRESSION)
    model.calibration["scale"].data.fill_(9.0)
    torch.testing.assert_close(model(NOTHING, clip.subject).values, 1.6 * clip.motion.values)


def test_bounds_that_do_not_hold_1_are_refused(face):
    with pytest.raises(VisemixError, match=r"motion.lowest=1.2 and motion.highest=1.6 must lie around 1"):
        Calibrated(6, face, base=BASES[Space.EXPRESSION], lowest=1.2)
