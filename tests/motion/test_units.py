"""Models of landmarks pay for a wrong motion in the same unit, so that one rate, epsilon and bound fits them all."""

import pytest
import torch

from visemix.motion import MOTION
from visemix.types import AudioFeatures, Motion, Space

SOUND = AudioFeatures(torch.randn(2, 10, 6, generator=torch.Generator().manual_seed(0)))
VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False}
SMALL = {"dim": 16, "heads": 2, "feedforward": 16}


def off_by_a_centimetre(motion):
    return Motion(motion.values.detach() + 0.1, motion.space)


def test_landmarks_that_are_a_centimetre_off_cost_regression_a_square_centimetre(face, clip):
    model = MOTION.build({"name": "regression", "hidden": 8, "space": "landmarks", "sigma": 0.0}, 6, face)
    model.sigma = model.mouth_sigma = 0.0
    target = off_by_a_centimetre(model(SOUND, clip.subject))
    assert model.loss(SOUND, clip.subject, target)["motion"].item() == pytest.approx(1.0, rel=1e-4)


def test_landmarks_that_are_a_centimetre_off_cost_a_flow_vae_and_a_post_net_a_square_centimetre(face, clip):
    target = face.convert(clip.motion, Space.LANDMARKS, clip.subject)
    model = MOTION.build(VAE, 6, face)
    for weight in model.decoder.after.parameters():
        torch.nn.init.zeros_(weight)  # rows of 0: a face at rest
    rest = Motion(face.shape(clip.subject.identity).unsqueeze(1).expand_as(target.values), Space.LANDMARKS)
    losses = model.loss(SOUND, clip.subject, off_by_a_centimetre(rest))
    assert losses["reconstruction"].item() == pytest.approx(1.0, rel=1e-4)
    postnet = MOTION.build({"name": "postnet", "base": VAE, "sync_weight": 0.0, "mse_weight": 1.0}, 6, face).eval()
    spoken = (SOUND, clip.subject, off_by_a_centimetre(postnet(SOUND, clip.subject)))
    assert postnet.adapt(spoken, spoken)[0]["mse"].item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(("unit", "scale"), [("cm", 100.0), (None, 1.0)])
def test_vertices_cost_a2ep_square_decimetres_as_the_authors_or_square_centimetres(face, clip, unit, scale):
    model = MOTION.build({"name": "a2ep", "unit": unit, "mouth": 1.0, "velocity": 1.0, **SMALL}, 6, face).eval()
    delta = 0.3 * torch.randn(2, 10, face.expression.shape[-1], generator=torch.Generator().manual_seed(3))
    moved = torch.einsum("nce,bte->btnc", face.expression, delta)  # decimetres
    spoken = model(SOUND, clip.subject)
    losses = model.loss(SOUND, clip.subject, Motion(spoken.values - delta, spoken.space))
    expected = {"expression": moved, "velocity": moved.diff(dim=1)}
    for name, vertices in expected.items():
        torch.testing.assert_close(losses[name], scale * vertices.square().sum(-1).mean(), rtol=1e-3, atol=0)
