import pytest
import torch
from conftest import make_clip
from standins import Acted

from visemix.motion import Calibrated, stream
from visemix.types import AudioFeatures, Motion, Space, VisemixError

BASES = {
    Space.EXPRESSION: {"name": "regression", "hidden": 8},
    Space.LANDMARKS: {"name": "regression", "hidden": 8, "space": "landmarks"},
}
SPEECH, PAUSE = torch.zeros(1, 40, 6), torch.ones(1, 40, 6)


def build(face, clip, space):
    """One whose base does what the clip's people do, whatever is said, and whose net takes ones for a pause."""
    model = Calibrated(6, face, base=BASES[space]).eval()
    for layer in model.pause:
        if isinstance(layer, torch.nn.Conv1d):
            torch.nn.init.dirac_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    model.pause[-1].weight.data *= 20
    model.pause[-1].bias.data -= 8
    model.base = Acted(face.convert(clip.motion, space, clip.subject))
    return model


def adapt(model, audio, clip, target):
    model.calibration.requires_grad_(True)
    optim = torch.optim.Adam(model.calibration.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, 400)
    for _ in range(400):
        optim.zero_grad()
        sum(model.adapt(audio, clip.subject, target).values()).backward()
        optim.step()
        schedule.step()
    return model.requires_grad_(False)


def theirs(clip, scale):
    offset = 0.2 * torch.rand(clip.motion.values.shape[-1], generator=torch.Generator().manual_seed(2))
    return Motion(scale * clip.motion.values + offset, Space.EXPRESSION)


@pytest.mark.parametrize("space", BASES)
def test_it_finds_a_persons_amplitude_and_middle(face, space):
    """The person does what the base says, 1.4 times as far and about another middle."""
    clip, features = make_clip(face, batch=1, frames=40), AudioFeatures(SPEECH)
    model = build(face, clip, space)
    torch.testing.assert_close(model(features, clip.subject).values, model.base(features, clip.subject).values)
    target = face.convert(theirs(clip, 1.4), space, clip.subject)
    adapt(model, features, clip, target)
    assert model.calibration["scale"].item() == pytest.approx(1.4, abs=0.02)
    made = model(features, clip.subject).values
    torch.testing.assert_close(made.mean(1), target.values.mean(1), atol=0.002, rtol=0)
    torch.testing.assert_close(made, target.values, atol=0.02, rtol=0.05)


@pytest.mark.parametrize("space", BASES)
def test_it_finds_a_persons_rest(face, space):
    """Half of the time the person says nothing, and stays at one place."""
    clip = make_clip(face, batch=1, frames=40)
    features = AudioFeatures(torch.cat([SPEECH[:, :20], PAUSE[:, :20]], 1))
    moved = theirs(clip, 1.0).values.clone()
    moved[:, 20:] = 0.3 * torch.rand(moved.shape[-1], generator=torch.Generator().manual_seed(3))
    target = face.convert(Motion(moved, Space.EXPRESSION), space, clip.subject)
    model = adapt(build(face, clip, space), features, clip, target)
    made = model(features, clip.subject).values
    model.calibration["rest"].zero_()
    without = model(features, clip.subject).values
    off, was = ((rows - target.values)[:, 24:].mean(1).norm() for rows in (made, without))
    assert off < 0.15 * was
    torch.testing.assert_close(made[:, :16].mean(1), target.values[:, :16].mean(1), atol=0.03, rtol=0)


@pytest.mark.parametrize("seen", ["nobody pauses", "what sounds like a pause is none"])
def test_a_rest_that_was_not_seen_is_not_made_up(face, seen):
    clip = make_clip(face, batch=1, frames=40)
    model = build(face, clip, Space.EXPRESSION)
    features = AudioFeatures(SPEECH if seen == "nobody pauses" else torch.cat([SPEECH[:, :20], PAUSE[:, :20]], 1))
    adapt(model, features, clip, theirs(clip, 1.0))
    assert model.calibration["rest"].abs().max() < 0.002 < 0.02 < model.calibration["offset"].abs().max()


def test_it_learns_when_mouths_rest(face):
    torch.manual_seed(0)
    clip = make_clip(face, batch=2, frames=60)
    model = Calibrated(6, face, base=BASES[Space.EXPRESSION], dropout=0.0)
    expression = clip.motion.values.clone()
    expression[:, 20:40] = 0.2
    target = Motion(expression, Space.EXPRESSION)
    still = model._still(model._opening(target, clip.subject))
    assert still[:, 24:37].all() and not still[:, :16].any() and not still[:, 43:].any()
    features = AudioFeatures(still.float().unsqueeze(-1) + 0.1 * torch.randn(2, 60, 6))
    optim = torch.optim.Adam(model.pause.parameters(), 0.01)
    for _ in range(80):
        optim.zero_grad()
        model.loss(features, clip.subject, target)["pause"].backward()
        optim.step()
    model.eval()
    assert torch.equal(model.pause.share(features.values)[..., 0] > 0.5, still)


def test_the_scale_has_bounds(face):
    clip = make_clip(face, batch=1, frames=40)
    model = build(face, clip, Space.EXPRESSION)
    model.calibration["scale"].data.fill_(9.0)
    torch.testing.assert_close(model(AudioFeatures(SPEECH), clip.subject).values, 1.6 * clip.motion.values)


@pytest.mark.parametrize("space", BASES)
def test_streaming_equals_one_pass(face, clip, space):
    torch.manual_seed(0)
    model = Calibrated(6, face, base=BASES[space], start=0.03, sure=0.06).eval()
    model.calibration["rest"].data.normal_()
    long = AudioFeatures(torch.randn(2, 700, 6))
    assert 0.2 < model.pause.share(long.values).mean() < 0.8
    pieces = [AudioFeatures(v) for v in long.values.split([3, 600, 97], 1)]
    joined = torch.cat([m.values for m in stream(model, pieces, clip.subject)], 1)
    torch.testing.assert_close(joined, model(long, clip.subject).values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"lowest": 1.2}, "motion.lowest=1.2 and motion.highest=1.6 must lie around 1"),
        ({"still": 0.0}, "motion.still=0.0 millimetres a frame must be above 0"),
        ({"start": 0.5}, "motion.start=0.5 must lie below motion.sure=0.5"),
    ],
)
def test_what_cannot_be_is_refused(face, wrong, message):
    with pytest.raises(VisemixError, match=message):
        Calibrated(6, face, base=BASES[Space.EXPRESSION], **wrong)
