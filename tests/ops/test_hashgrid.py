import pytest
import torch

from visemix.ops.backends import available
from visemix.ops.hashgrid import HashGrid
from visemix.types import VisemixError


def small(**options):
    torch.manual_seed(0)
    grid = HashGrid(3, **({"levels": 3, "base": 4, "finest": 16, "log2_size": 8} | options))
    with torch.no_grad():
        grid.table.normal_()
    return grid


def test_the_table_of_rad_nerfs_sizes():
    assert HashGrid(3).table.numel() == 1_796_048  # RAD-NeRF's has one corner more a side: 1 806 960
    assert HashGrid(3).dim == 32


def test_a_level_that_fits_is_linear_between_its_corners():
    grid = small(levels=1, log2_size=12)
    points = torch.rand(40, 3) * 2 - 1
    spot = (points + 1) / 2 * 3 + 0.5
    corner, expected = spot.floor().long(), torch.zeros(40, 2)
    for offset in ((i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)):
        at = corner + torch.tensor(offset)
        share = torch.where(torch.tensor(offset) == 1, spot - corner, 1 - spot + corner).prod(-1)
        row = (at[:, 0] + 4 * at[:, 1] + 16 * at[:, 2]) % len(grid.table)
        expected += share[:, None] * grid.table[row].detach()
    torch.testing.assert_close(grid(points).detach(), expected)


def test_a_level_too_large_shares_its_table_by_hash_and_learns():
    grid = small()
    out = grid(torch.rand(64, 3) * 2 - 1)
    assert out.shape == (64, 6) and out.isfinite().all()
    out.square().sum().backward()
    assert grid.table.grad.abs().sum() > 0


def test_a_named_backend_is_never_replaced():
    if available("tinycudann"):
        pytest.skip("tinycudann is installed")
    with pytest.raises(VisemixError, match="'tinycudann' is not installed"):
        small(backend="tinycudann")(torch.zeros(1, 3))


@pytest.mark.gpu
@pytest.mark.skipif(
    not (torch.cuda.is_available() and available("tinycudann")), reason="needs a CUDA device and tinycudann"
)
def test_both_backends_agree():
    points = torch.rand(1000, 3, device="cuda") * 2 - 1
    ours, theirs = (small(backend=name).cuda() for name in ("torch", "tinycudann"))
    torch.testing.assert_close(theirs(points).float(), ours(points), atol=1e-3, rtol=1e-3)
