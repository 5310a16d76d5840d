import logging
import sys
import types
from importlib.machinery import ModuleSpec

import pytest
import torch
from splat_scenes import leaves, naive, scene

from visemix.ops import backends, splat_gsplat
from visemix.ops.backends import available, choose_backend
from visemix.ops.splat import splat
from visemix.types import VisemixError


def test_without_numba_auto_says_once_what_it_costs_and_draws_the_same(monkeypatch, caplog):
    monkeypatch.setattr(backends, "available", lambda name: name == "torch")
    backends._warn_slow.cache_clear()
    given = scene(20)
    with caplog.at_level(logging.WARNING):
        pictures = [splat(*given, (37, 53)).image for _ in range(2)]
    assert torch.equal(pictures[0], splat(*given, (37, 53), backend="torch").image)
    assert [r.getMessage() for r in caplog.records] == [
        "numba is not installed; plain torch takes 20 to 60 times as long to draw Gaussians: pip install numba"
    ]
    with pytest.raises(VisemixError, match="'numba' is not installed: pip install numba"):
        splat(*given, (37, 53), backend="numba")
    with pytest.raises(VisemixError, match="'gsplat' is not installed: pip install gsplat"):
        splat(*given, (37, 53), backend="gsplat")
    with pytest.raises(VisemixError, match=r"no backend named 'warp' here .have: auto, torch, numba, gsplat"):
        choose_backend("warp", "gsplat", "cpu", processor="numba")


def test_auto_is_numba_on_a_processor_and_gsplat_on_a_gpu(monkeypatch):
    monkeypatch.setattr(backends, "available", lambda name: True)
    assert [choose_backend("auto", "gsplat", kind, processor="numba") for kind in ("cpu", "cuda", "mps")] == [
        "numba",
        "gsplat",
        "torch",
    ]


def test_coordinates_too_coarse_for_pixels_are_refused_and_the_rest_may_be():
    means, *rest = (t.float() for t in scene(20))
    with pytest.raises(VisemixError, match="bfloat16"):
        splat(means.bfloat16(), *rest, (37, 53))
    factors, opacity, colour, camera = rest
    for backend in ("torch", *(["numba"] if available("numba") else [])):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            drawn = splat(means, factors, opacity, colour.bfloat16(), camera, (37, 53), backend=backend)
        exact = splat(means, factors, opacity, colour.bfloat16().float(), camera, (37, 53), backend=backend)
        assert torch.equal(drawn.image, exact.image)


def rasterization(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=0.01, far_plane=1e10,
    radius_clip=0.0, eps2d=0.3, sh_degree=None, packed=True, tile_size=16, backgrounds=None, render_mode="RGB",
    sparse_grad=False, absgrad=False, rasterize_mode="classic", channel_chunk=32, distributed=False,
    camera_model="pinhole", segmented=False, covars=None,
):  # fmt: skip
    """What gsplat 1.5 promises of its function of this name, computed by the sum over Gaussians."""
    assert quats is None and scales is None and covars.shape == (len(means), 3, 3)
    assert viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
    assert (near_plane, eps2d, rasterize_mode, camera_model, sh_degree) == (0.1, 0.1, "classic", "pinhole", None)
    assert all(t.dtype == torch.float32 for t in (means, opacities, colors, viewmats, Ks, covars))
    turn, shift = viewmats[0, :3, :3], viewmats[0, :3, 3]
    assert turn.det() == 1
    eye, covariance = means @ turn.T + shift, turn @ covars @ turn.T
    assert Ks[0, 0, 0] == Ks[0, 1, 1]
    image, through, _ = naive(eye, covariance, opacities, colors, Ks[0, 0, 0], Ks[0, :2, 2], (height, width))
    return image.permute(1, 2, 0)[None], 1 - through.permute(1, 2, 0)[None], {}


def test_gsplat_is_handed_its_own_axes(monkeypatch):
    fake = types.ModuleType("gsplat")
    fake.__spec__ = ModuleSpec("gsplat", None)
    fake.rasterization = rasterization
    monkeypatch.setitem(sys.modules, "gsplat", fake)
    size = (23, 31)
    drawn, grads = [], []
    for backend in ("torch", "gsplat"):
        *given, camera = scene(25, size)
        given = leaves(*given)
        splats = splat(*given, camera, size, backend=backend)
        (splats.image.square().sum() + splats.transmittance.square().sum()).backward()
        drawn.append(splats)
        grads.append([leaf.grad for leaf in given])
    assert drawn[0].image.max() > 0.3
    torch.testing.assert_close(drawn[1].image, drawn[0].image, atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn[1].transmittance, drawn[0].transmittance, atol=1e-5, rtol=0)
    for theirs, ours in zip(grads[1], grads[0], strict=True):
        assert (theirs - ours).norm() < 1e-4 * ours.norm()


def test_gsplat_is_not_asked_to_draw_nothing():
    means, factors, opacity, colour, camera = (t.float() for t in scene(5))
    given = leaves(means[:0], factors[:0], opacity[:0], colour[:0])
    image, through = splat_gsplat.draw(*given, camera, (4, 6))
    assert (image == 0).all() and (through == 1).all()
    image.sum().backward()
    assert all(leaf.grad.shape == leaf.shape for leaf in given)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_twin_gives_the_same_on_a_gpu():
    given = scene(300)
    here = splat(*given, (37, 53), backend="torch")
    there = splat(*(t.cuda() for t in given), (37, 53), backend="torch")
    torch.testing.assert_close(there.image.cpu(), here.image)


@pytest.mark.gpu
@pytest.mark.skipif(not (torch.cuda.is_available() and available("gsplat")), reason="needs a CUDA device and gsplat")
def test_gsplat_agrees_with_the_twin():
    size = (50, 41)
    *given, camera = (t.float().cuda() for t in scene(300, size))
    given[2] = given[2].clamp(max=0.9)  # gsplat before 1.6 clamps elsewhere
    drawn, grads = [], []
    for backend in ("torch", "gsplat"):
        tensors = leaves(*given)
        splats = splat(*tensors, camera, size, backend=backend)
        (splats.image.square().sum() + splats.transmittance.square().sum()).backward()
        drawn.append(splats.image)
        grads.append([leaf.grad for leaf in tensors])
    assert ((drawn[0] - drawn[1]).abs() > 3e-4).float().mean() < 0.02  # a contribution within rounding of 1/255
    for theirs, ours in zip(grads[1], grads[0], strict=True):
        assert (theirs - ours).norm() < 1e-2 * ours.norm()
