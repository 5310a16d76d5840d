"""What a KL weight assumes about the error, and the flow-VAE that assumes nothing."""

import math

import pytest
import torch
from a2ep_maker import make_subject
from torch.distributions import Normal
from torch.nn import functional as F

from visemix.motion import FlowVAE
from visemix.nn.latent import RunningMean
from visemix.types import AudioFeatures, Motion, Space

SMALL = {"channels": 12, "encoder_layers": 2, "decoder_layers": 2, "sync": False}


def build(face, **options):
    torch.manual_seed(0)
    return FlowVAE(8, face, **(SMALL | options))


def sound(frames, batch=2):
    return AudioFeatures(torch.randn(batch, frames, 8, generator=torch.Generator().manual_seed(1)))


def truth(face, clip):
    return face.convert(clip.motion, Space.LANDMARKS, clip.subject)


def test_a_kl_weight_means_a_variance_of_25_5_times_itself(face):
    assert build(face, kl_weight=0.4).variance == pytest.approx(10.2)
    assert build(face, compat="official").variance == pytest.approx(10.2)
    assert build(face, kl_weight=0.4, latent=8).variance == pytest.approx(20.4)


def test_a_running_mean_takes_in_what_training_sees_alone():
    mean = RunningMean().train()
    assert mean(torch.tensor(2.0)) == 2.0
    assert mean(torch.tensor(1.0)).item() == pytest.approx(1.98)
    assert mean.eval()(torch.tensor(9.0)).item() == pytest.approx(1.98)
    assert RunningMean().eval()(torch.tensor(9.0)) == 9.0
    other = RunningMean().eval()
    other.load_state_dict(mean.state_dict())
    assert other(torch.tensor(5.0)).item() == pytest.approx(1.98)


def test_corrected_weighs_the_divergence_by_the_error_that_it_sees(face, clip):
    model, features, target = build(face).train(), sound(10), truth(face, clip)
    torch.manual_seed(3)
    losses = model.loss(features, clip.subject, target)
    per_expression = 204 / face.width(Space.EXPRESSION)
    assert model.variance == pytest.approx(losses["reconstruction"].item() * per_expression)
    assumed = build(face, kl_weight=1.0).train()
    torch.manual_seed(3)
    plain = assumed.loss(features, clip.subject, target)
    torch.testing.assert_close(losses["kl"], plain["kl"] * plain["reconstruction"].detach() * per_expression / 25.5)
    losses["kl"].backward()
    assert model.posterior.after.weight.grad.abs().sum() > 0


def test_that_is_the_bound_on_the_evidence_times_a_factor(face, clip):
    """∇(error + weight · KL) = (2 σ² / coordinates) ∇(−bound), where the error is of positions alone, as likely as
    its length is along so many directions as there are expressions."""
    model, features, target = build(face, continuity_weight=0.0).train(), sound(12), truth(face, clip)
    target = Motion(torch.cat([target.values, target.values[:, :2]], 1), Space.LANDMARKS)
    torch.manual_seed(3)
    sum(model.loss(features, clip.subject, target).values()).backward()
    ours = model.posterior.after.weight.grad.clone()
    model.zero_grad()
    variance = torch.tensor(model.variance)
    torch.manual_seed(3)
    coded = model._encode(features, clip.subject, target)
    delta, expressions = coded.decoded - coded.truth, face.width(Space.EXPRESSION)
    along = F.pad(delta.norm(dim=2, keepdim=True), (0, expressions - 1))
    said = Normal(0.0, variance.sqrt()).log_prob(along).sum() / (2 * 12)
    bound = said - coded.divergence.sum() / (2 * 12)
    (-2 * variance / 204 * bound).backward()
    torch.testing.assert_close(ours, model.posterior.after.weight.grad, rtol=1e-3, atol=1e-9)
    torch.manual_seed(3)
    torch.testing.assert_close(model.measure(features, clip.subject, target)["elbo"], bound.detach())


def test_it_says_what_it_knows_in_nats(face, clip):
    model = build(face, kl_weight=0.4).eval()
    target = Motion(truth(face, clip).values[:, :8], Space.LANDMARKS)
    for weight in model.posterior.after.parameters():
        torch.nn.init.zeros_(weight)  # a posterior that is the standard normal, a flow that is still the identity
    found = model.measure(sound(8), clip.subject, target)
    assert found["kl_nats"].abs() < 1e-5 and found["active_units"] == 0
    assert found["sigma_mm"].item() == pytest.approx(10 * math.sqrt(10.2))
    with torch.no_grad():
        model.posterior.after.weight[:3] = 100.0
    found = model.measure(sound(8), clip.subject, target)
    assert found["kl_nats"] > 0 and found["active_units"] == 3


def test_a_manner_that_sound_does_not_tell_is_kept_in_a_latent_only_where_the_error_is_learned(face):
    """Two manners, a millimetre apart, each held for a clip; the sound is silence."""
    g = torch.Generator().manual_seed(0)
    subject = make_subject(face, ("ann",) * 16)
    manners = 0.005 * (2.0 * torch.randint(2, (16, 1, 1), generator=g) - 1)
    target = Motion(manners.expand(16, 24, 204) + 0.0002 * torch.randn(16, 24, 204, generator=g), Space.LANDMARKS)
    silence = AudioFeatures(torch.zeros(16, 24, 8))
    active = {}
    for name, options in {"learned": {}, "assumed": {"kl_weight": 0.4}}.items():
        model = build(face, **options).train()
        optimiser = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(100):
            optimiser.zero_grad()
            sum(model.loss(silence, subject, target).values()).backward()
            optimiser.step()
        active[name] = model.eval().measure(silence, subject, target)
    assert active["assumed"]["active_units"] == 0 < active["learned"]["active_units"]
    assert active["learned"]["elbo"] > active["assumed"]["elbo"] + 0.5 * face.width(Space.EXPRESSION)
