import pytest
import torch

from visemix.motion import MOTION, MotionModel, stream
from visemix.types import AudioFeatures, Motion, Space, VisemixError

SOUND = AudioFeatures(torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("space", "cost"), [("expression", 4.0), ("landmarks", 400.0)])  # 2 decimetres, in cm²
def test_regression_answers_in_either_space_and_learns(face, clip, space, cost):
    model = MOTION.build({"name": "regression", "hidden": 16, "space": space}, 6, face)
    model.sigma = model.mouth_sigma = 0.0
    motion = model(SOUND, clip.subject)
    assert motion.space is Space(space) and motion.values.shape == (2, 30, face.width(motion.space))
    losses = model.loss(SOUND, clip.subject, Motion(motion.values.detach() + 2.0, motion.space))
    assert losses["motion"].item() == pytest.approx(cost)
    losses["motion"].backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize(
    "config",
    [
        {"name": "regression", "hidden": 16},
        {"name": "regression", "hidden": 16, "space": "landmarks", "net": "wavenet"},
        {"name": "regression", "hidden": 16, "space": "landmarks", "sigma": 2.0},
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


def test_regression_smooths_landmarks_as_the_flow_vae_does(face, clip):
    """The same options and defaults, the same filter: what they are compared in must not differ in that."""
    config = {"name": "regression", "hidden": 16, "space": "landmarks"}
    torch.manual_seed(0)
    model = MOTION.build(config, 6, face).eval()
    vae = MOTION.build({"name": "flow_vae", "channels": 8, "sync": False}, 6, face)
    assert (model.sigma, model.mouth_sigma) == (vae.sigma, vae.mouth_sigma) == (1.0, 0.5)
    torch.manual_seed(0)
    sharp = MOTION.build(config | {"sigma": 0.0, "mouth_sigma": 0.0}, 6, face).eval()
    raw, soft = (m(SOUND, clip.subject).values.unflatten(-1, (68, 3)) for m in (sharp, model))
    for points, sigma in ((slice(0, 48), 1.0), (slice(48, 68), 0.5)):
        reach = round(3 * sigma + 0.4)
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square()).view(-1, 1, 1)
        expected = (raw[0, 15 - reach : 16 + reach, points] * weights).sum(0) / weights.sum()
        torch.testing.assert_close(soft[0, 15, points], expected, atol=1e-5, rtol=1e-4)


def test_expressions_have_no_points_to_smooth_apart(face):
    with pytest.raises(VisemixError, match=r"motion\.sigma=1\.0 .* are of landmarks: set motion\.space=landmarks"):
        MOTION.build({"name": "regression", "sigma": 1.0}, 6, face)
