import sys
from types import SimpleNamespace

import pytest
import torch

from visemix.ops import hashgrid
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


class NativeModule:
    """What tiny-cuda-nn's binding checks of what it is handed, and its kernels take for granted; ours reckons."""

    def __init__(self, grid):
        self.grid, self.batches = grid, []

    def fwd(self, points, params):
        self._check(points, params)
        self.batches.append(len(points))
        learns = points.requires_grad or params.requires_grad  # else it infers, and `bwd` refuses
        return learns, self._features(points, params).detach()

    def bwd(self, context, points, params, out, to_out):
        assert context, "bwd: called with invalid context"
        self._check(points, params)
        assert out.shape == to_out.shape == (len(points), self.grid.dim) and to_out.is_contiguous()
        with torch.enable_grad():
            inputs = [t.detach().requires_grad_(t.requires_grad) for t in (points, params)]
            wanted = [t for t in inputs if t.requires_grad]
            found = iter(torch.autograd.grad(self._features(*inputs), wanted, to_out))
            return tuple(next(found) if t.requires_grad else None for t in inputs)

    def _check(self, points, params):
        assert points.dtype == params.dtype == torch.float32
        assert points.is_contiguous() and params.is_contiguous()
        assert points.shape[1] == self.grid.dims and params.shape == (self.grid.table.numel(),)
        assert len(points) % 256 == 0, f"{len(points)} points"
        assert points.min() >= 0 and points.max() <= 1

    def _features(self, points, params):
        return torch.func.functional_call(self.grid, {"table": params.view_as(self.grid.table)}, (points * 2 - 1,))


@pytest.mark.parametrize("count", [1, 255, 256, 700])
@pytest.mark.parametrize("learns", ["table", "points", "both"])
def test_tiny_cuda_nn_is_handed_what_it_wants(count, learns, monkeypatch):
    ours, theirs = small(), small(backend="tinycudann")
    native = NativeModule(small())
    made = []

    def encoding(dims, config, dtype):
        made.append((dims, config["n_levels"], dtype))
        return SimpleNamespace(native_tcnn_module=native)

    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(Encoding=encoding))
    monkeypatch.setattr(hashgrid, "choose_backend", lambda asked, *_: "torch" if asked == "auto" else asked)
    points = torch.rand(3, count).T * 2 - 1  # as it may come: its memory lies the other way round
    found = []
    for grid in (ours, theirs):
        grid.table.requires_grad_(learns != "points")
        given = points.clone().requires_grad_(learns != "table")
        out = grid(given)
        (out * torch.arange(out.numel()).view_as(out).cos()).sum().backward()
        found.append((out, given.grad, grid.table.grad))
    torch.testing.assert_close(found[0], found[1])
    assert native.batches == [-(-count // 256) * 256] and made == [(3, 3, torch.float32)]


@pytest.mark.gpu
@pytest.mark.skipif(
    not (torch.cuda.is_available() and available("tinycudann")), reason="needs a CUDA device and tinycudann"
)
def test_both_backends_agree():
    points = torch.rand(1000, 3, device="cuda") * 2 - 1
    ours, theirs = (small(backend=name).cuda() for name in ("torch", "tinycudann"))
    torch.testing.assert_close(theirs(points).float(), ours(points), atol=1e-3, rtol=1e-3)
