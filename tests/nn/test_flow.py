import pytest
import torch
from torch import nn

from visemix.nn.flow import Flow

SOUND = torch.randn(2, 64, 50, generator=torch.Generator().manual_seed(0))
Z = torch.randn(2, 16, 50, generator=torch.Generator().manual_seed(1))


def bent(**options):
    torch.manual_seed(0)
    flow = Flow(16, 64, **options)
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.1)
    return flow


@pytest.mark.parametrize("options", [{}, {"growth": 2}, {"flows": 3, "hidden": 8}])
def test_the_inverse_undoes_the_flow(options):
    flow = bent(**options)
    there = flow(Z, SOUND)
    assert (there - Z).abs().max() > 0.1
    torch.testing.assert_close(flow.inverse(there, SOUND), Z, atol=1e-5, rtol=0)
    torch.testing.assert_close(flow(flow.inverse(Z, SOUND), SOUND), Z, atol=1e-5, rtol=0)


def test_it_starts_as_the_identity_and_keeps_the_order_of_channels():
    assert torch.equal(Flow(16, 64)(Z, SOUND), Z)


def test_it_keeps_volumes():
    flow = bent(hidden=8).double()
    z, sound = Z[:1, :, :3].double(), SOUND[:1, :, :3].double()
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, sound), z).reshape(48, 48)
    assert jacobian.det().abs().item() == pytest.approx(1.0, abs=1e-9)


def test_what_is_heard_bends_it():
    flow = bent()
    assert (flow(Z, SOUND) - flow(Z, 2 * SOUND)).abs().max() > 0.01


def test_it_has_the_official_size_and_receptive_field():
    flow = Flow(16, 64)
    assert sum(p.numel() for p in flow.parameters()) == 655_136
    assert flow.context == (16, 16)
