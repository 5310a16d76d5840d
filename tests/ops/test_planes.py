import torch
from torch.nn import functional as F

from visemix.ops.planes import read_planes


def sampled(tables, places):
    """The same by torch's own sampler."""
    grid = places.transpose(0, 1)[:, :, None]
    return F.grid_sample(tables.permute(0, 3, 1, 2), grid, align_corners=True, padding_mode="border")[..., 0].permute(
        2, 0, 1
    )


def test_values_and_gradients_are_those_of_grid_sample():
    g = torch.Generator().manual_seed(0)
    tables = torch.randn(3, 9, 9, 4, generator=g, requires_grad=True)
    places = (torch.rand(50, 3, 2, generator=g) * 2 - 1).requires_grad_()
    pull = torch.randn(50, 3, 4, generator=g)
    ours = torch.autograd.grad((read_planes(tables, places) * pull).sum(), (tables, places))
    theirs = torch.autograd.grad((sampled(tables, places) * pull).sum(), (tables, places))
    torch.testing.assert_close(read_planes(tables, places), sampled(tables, places))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_beyond_the_edge_the_edge_goes_on():
    table = torch.arange(9.0).view(1, 3, 3, 1)
    found = read_planes(table, torch.tensor([[[5.0, 5.0]], [[-5.0, -1.0]]]))
    assert found.flatten().tolist() == [8.0, 0.0]
