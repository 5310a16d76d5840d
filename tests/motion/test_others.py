import pytest
import torch

from visemix.motion import MOTION, MotionModel, stream
from visemix.types import AudioFeatures, Motion, Space, VisemixError

SOUND = AudioFeatures(torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("space", ["expression", "landmarks"])
def test_regression_answers_in_either_space_and_learns(face, clip, space):
    model = MOTION.build({"name": "regression", "hidden": 16, "space": space}, 6, face)
    motion = model(SOUND, clip.subject)
    assert motion.space is Space(space) and motion.values.shape == (2, 30, face.width(motion.space))
    losses = model.loss(SOUND, clip.subject, Motion(motion.values.detach() + 2.0, motion.space))
    assert losses["motion"].item() == pytest.approx(4.0)
    losses["motion"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize(
    "config",
    [
        {"name": "regression", "hidden": 16},
        {"name": "smooth", "sigma": 1.5, "base": {"name": "regression", "hidden": 16}},
        {"name": "smooth", "base": {"name": "a2ep", "dim": 16, "feedforward": 16, "sigma2": 2}},
    ],
)
def test_streaming_equals_one_pass(face, clip, config):
    torch.manual_seed(0)
    model = MOTION.build(config, 6, face).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    pieces = [AudioFeatures(v) for v in SOUND.values.split([1, 13, 2, 14], 1)]
    joined = torch.cat([m.values for m in stream(model, pieces, clip.subject)], 1)
    torch.testing.assert_close(joined, model(SOUND, clip.subject).values, atol=1e-5, rtol=1e-5)


def test_a_model_that_cannot_stream_answers_at_the_end(face, clip):
    class Still(MotionModel):
        space = Space.EXPRESSION

        def forward(self, audio, subject):
            return Motion(audio.values.repeat(1, 1, 4), self.space)

        def loss(self, audio, subject, target):
            return {}

    (motion,) = stream(Still(), iter(AudioFeatures(v) for v in SOUND.values.split(10, 1)), clip.subject)
    assert torch.equal(motion.values, SOUND.values.repeat(1, 1, 4))


def test_smoothing_halves_jitter_and_keeps_what_stands_still(face, clip):
    model = MOTION.build({"name": "smooth", "sigma": 1.0, "base": {"name": "regression"}}, 6, face)
    jitter = torch.randn(2, 30, 24, generator=torch.Generator().manual_seed(0))
    model.base.forward = lambda audio, subject: Motion(jitter, Space.EXPRESSION)
    smoothed = model(SOUND, clip.subject).values
    assert smoothed.diff(n=2, dim=1).std() < 0.2 * jitter.diff(n=2, dim=1).std()
    model.base.forward = lambda audio, subject: Motion(torch.full((2, 30, 24), 3.0), Space.EXPRESSION)
    torch.testing.assert_close(model(SOUND, clip.subject).values, torch.full((2, 30, 24), 3.0))


def test_smoothing_trains_its_base_by_the_bases_loss(face, clip):
    model = MOTION.build({"name": "smooth", "base": {"name": "regression"}}, 6, face)
    target = Motion(torch.zeros(2, 30, face.width(Space.EXPRESSION)), Space.EXPRESSION)
    assert torch.equal(
        model.loss(SOUND, clip.subject, target)["motion"], model.base.loss(SOUND, clip.subject, target)["motion"]
    )


def test_no_smoothing_is_asked_for_by_leaving_it_out(face):
    with pytest.raises(VisemixError, match="sigma=0"):
        MOTION.build({"name": "smooth", "sigma": 0.0, "base": {"name": "regression"}}, 6, face)
