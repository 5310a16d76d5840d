import pytest
import torch

from visemix.losses.vertices import VertexLoss

G = torch.Generator().manual_seed(0)
BASIS = torch.randn(500, 3, 64, generator=G, dtype=torch.float64) * torch.logspace(-2, 0, 64, dtype=torch.float64)
LOWER = torch.rand(500, generator=G) < 0.4
DELTA = torch.randn(2, 5, 64, generator=G, dtype=torch.float64)


def dense(delta, norm, mouth):
    moved = torch.einsum("nce,bte->btnc", BASIS, delta)
    if norm == "squared":
        weight = 1 + (mouth - 1) * LOWER.double()
        return (weight * moved.square().sum(-1)).mean()
    below, above = moved[:, :, LOWER].flatten(2), moved[:, :, ~LOWER].flatten(2)
    return (mouth * below.norm(dim=-1) + above.norm(dim=-1)).mean()


@pytest.mark.parametrize("norm", ["squared", "l2"])
@pytest.mark.parametrize("mouth", [1.0, 1.8])
def test_the_small_form_equals_the_dense_one(norm, mouth):
    expected = dense(DELTA, norm, mouth)
    exact = VertexLoss(BASIS, LOWER, mouth, norm)(DELTA)
    assert abs(exact / expected - 1) < 1e-12
    rounded = VertexLoss(BASIS.float(), LOWER, mouth, norm)(DELTA.float())
    assert abs(rounded.double() / expected - 1) < 1e-6


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_its_gradient_is_the_dense_one_too(norm):
    ours, theirs = DELTA.clone().requires_grad_(), DELTA.clone().requires_grad_()
    VertexLoss(BASIS, LOWER, 1.8, norm)(ours).backward()
    dense(theirs, norm, 1.8).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", ["squared", "l2"])
def test_a_perfect_prediction_has_a_finite_gradient(norm):
    delta = torch.zeros(1, 3, 64, dtype=torch.float64, requires_grad=True)
    VertexLoss(BASIS, LOWER, 1.8, norm)(delta).backward()
    assert delta.grad.abs().max() == 0


def test_a_coefficient_that_moves_nothing_costs_nothing():
    basis = BASIS.clone()
    basis[..., 7] = 0
    delta = torch.zeros(1, 1, 64, dtype=torch.float64)
    delta[..., 7] = 100.0
    assert VertexLoss(basis, LOWER)(delta) < 1e-20
