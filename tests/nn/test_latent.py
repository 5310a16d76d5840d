import math

import pytest
import torch

from visemix.nn.latent import Decoder, Posterior, log_normal, noise

SHAPE = {"kernel": 5, "growth": 1, "norm": False}


def sizes(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("channels", "encoder", "decoder"), [(256, 6_938_400, 3_292_108), (192, 4_036_448, 1_891_596)])
def test_encoder_and_decoder_have_the_official_and_the_papers_sizes(channels, encoder, decoder):
    assert sizes(Posterior(204, channels, 16, 8, **SHAPE)) == encoder
    assert sizes(Decoder(204, channels, 16, 4, overlap=False, **SHAPE)) == decoder


def test_the_log_density_is_that_of_the_draw():
    torch.manual_seed(0)
    encoder = Posterior(12, 8, 4, 1, **SHAPE)
    z, middle, log_density = encoder(torch.randn(2, 20, 12), torch.randn(2, 64, 5))
    torch.manual_seed(0)
    encoder = Posterior(12, 8, 4, 1, **SHAPE)
    rows, sound = torch.randn(2, 20, 12), torch.randn(2, 64, 5)
    mean, log_std = encoder.after(encoder.net(encoder.before(rows.mT), sound)).chunk(2, 1)
    assert z.shape == (2, 4, 5)
    torch.testing.assert_close(middle, mean)
    torch.testing.assert_close(log_density, torch.distributions.Normal(mean, log_std.exp()).log_prob(z))


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_four_frames_come_of_a_latent(overlap, norm):
    decoder = Decoder(12, 8, 4, 2, kernel=5, growth=1, norm=norm, overlap=overlap)
    assert decoder(torch.randn(2, 4, 5), torch.randn(2, 64, 20)).shape == (2, 20, 12)


def test_noise_depends_on_the_seed_and_the_place_alone():
    whole = noise(3, 0, 300, 16)
    assert whole.shape == (1, 16, 300)
    assert torch.equal(noise(3, 60, 10, 16), whole[..., 60:70])
    assert torch.equal(noise(3, 64, 1, 16), whole[..., 64:65])
    assert not torch.equal(noise(4, 0, 300, 16), whole)
    assert whole.std().item() == pytest.approx(1, abs=0.05)
    assert not torch.equal(whole[..., :64], whole[..., 64:128])
    assert not torch.equal(noise(4, 0, 64, 16), whole[..., 64:128])  # the next seed is no later piece of this one


def test_the_standard_normals_density():
    assert log_normal(torch.tensor(2.0)).item() == pytest.approx(-2 - 0.5 * math.log(2 * math.pi))
