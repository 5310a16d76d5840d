import importlib.util
import logging
import math
import multiprocessing
import os
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch

from visemix.ops import backends, splat_gsplat
from visemix.ops.backends import available, pick
from visemix.ops.splat import splat
from visemix.types import VisemixError

FLIP = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # our axes to OpenCV's: y down, z away from the viewer


def scene(count=60, size=(37, 53), pixels=3.0, seed=0):
    """Gaussians all over the picture and beyond its border: means, factors, opacity, colour, camera; float64."""
    g = torch.Generator().manual_seed(seed)
    height, width = size
    camera = torch.tensor([4.5 * width, width / 2 + 0.7, height / 2 - 1.3], dtype=torch.float64)
    pixel = 10 / camera[0]

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    half = torch.tensor([width, height, width], dtype=torch.float64) * pixel * 0.6
    means = (2 * uniform(count, 3) - 1) * half
    turn, _ = torch.linalg.qr(uniform(count, 3, 3) - 0.5)
    factors = turn * (pixels * pixel * (0.3 + 2 * uniform(count, 1, 3)))
    return means, factors, 0.05 + 0.95 * uniform(count), uniform(count, 3), camera


def naive(means, covariance, opacity, colour, focal, centre, size):
    """One Gaussian at a time at every pixel, OpenCV's camera: the picture, what shows through, and how near the
    nearest contribution to each pixel is to 1/255 or 0.99, as a share of it."""
    height, width = size
    y, x = torch.meshgrid(*(torch.arange(n).to(means) + 0.5 for n in size), indexing="ij")
    image, through = means.new_zeros(3, height, width), means.new_ones(1, height, width)
    margin = means.new_full((height, width), math.inf)
    for i in means[:, 2].argsort().tolist():
        px, py, pz = means[i]
        if pz < 0.1 or opacity[i] < 1 / 255:
            continue
        at = torch.stack([centre[0] + focal * px / pz, centre[1] + focal * py / pz])
        nx = at[0].clamp(-0.15 * width, 1.15 * width) - centre[0]
        ny = at[1].clamp(-0.15 * height, 1.15 * height) - centre[1]
        zero = torch.zeros_like(pz)
        jacobian = torch.stack([torch.stack([focal / pz, zero, -nx / pz]), torch.stack([zero, focal / pz, -ny / pz])])
        flat = jacobian @ covariance[i] @ jacobian.T + 0.1 * torch.eye(2, dtype=means.dtype)
        away = torch.stack([x - at[0], y - at[1]], -1)
        raw = opacity[i] * torch.exp(-0.5 * (away @ flat.inverse() * away).sum(-1))
        near = torch.minimum((raw * 255 - 1).abs(), (raw / 0.99 - 1).abs())
        margin = margin.minimum(near.detach())
        alpha = raw.where(raw >= 1 / 255, 0).clamp(max=0.99)
        image = image + through * alpha * colour[i][:, None, None]
        through = through * (1 - alpha)
    return image, through, margin


def truth(means, factors, opacity, colour, camera, size):
    eye = (means * FLIP.to(means)) + means.new_tensor([0.0, 0.0, 10.0])
    turned = FLIP.to(means)[:, None] * factors
    return naive(eye, turned @ turned.mT, opacity, colour, camera[0], camera[1:], size)


def leaves(*tensors, dtype=None):
    return [t.detach().to(dtype or t.dtype).requires_grad_() for t in tensors]


def one(x=0.0, y=0.0, z=0.0, *, pixels=2.0, opacity=0.5, colour=(1.0, 0.5, 0.25), size=(16, 16)):
    """A round Gaussian, and a camera under which a decimetre at the origin is ten pixels."""
    camera = torch.tensor([100.0, size[1] / 2, size[0] / 2])
    factors = (pixels / 10 * torch.eye(3))[None]
    return torch.tensor([[x, y, z]]), factors, torch.tensor([opacity]), torch.tensor([colour]), camera


def both(*scenes):
    """Several scenes of one camera as one."""
    return [torch.cat(parts) for parts in list(zip(*scenes, strict=True))[:4]] + [scenes[0][4]]


# numba compiles when it is first used and keeps the code; without it, its half of these tests has nothing to check
BACKENDS = ["torch", pytest.param("numba", marks=pytest.mark.skipif(not available("numba"), reason="needs numba"))]
needs_numba = pytest.mark.skipif(not available("numba"), reason="needs numba")


@pytest.mark.parametrize("size", [(37, 53), (16, 16), (1, 1), (33, 70)])
def test_the_twin_is_the_sum_over_gaussians_front_to_back(size):
    given = leaves(*scene(size=size))
    ours = splat(*given, size, backend="torch")
    image, through, _ = truth(*given, size)
    torch.testing.assert_close(ours.image, image)
    torch.testing.assert_close(ours.transmittance, through)
    weight = torch.rand(4, *size, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((torch.cat(parts) * weight).sum(), given)
        for parts in ((ours.image, ours.transmittance), (image, through))
    )
    torch.testing.assert_close(found, expected)


def test_gradients_of_the_twin_agree_with_finite_differences():
    size = (7, 9)
    given = leaves(*scene(6, size, pixels=1.5))

    def draw(*tensors):
        drawn = splat(*tensors, size, backend="torch")
        return drawn.image, drawn.transmittance

    assert (draw(*given)[1] < 0.9).sum() > 20
    torch.autograd.gradcheck(draw, given, eps=1e-7, atol=1e-5)


@needs_numba
@pytest.mark.parametrize(("count", "size", "pixels"), [(60, (37, 53), 3.0), (900, (50, 41), 2.0), (40, (70, 33), 15.0)])
def test_numba_agrees_with_the_sum_in_float64(count, size, pixels):
    given = scene(count, size, pixels)
    exact, fast = leaves(*given), leaves(*given, dtype=torch.float32)
    image, through, margin = truth(*exact, size)
    ours = splat(*fast, size, backend="numba")
    # where a contribution is within rounding of being cut or clamped, it may fall either way
    clear = margin > 1e-4
    assert clear.double().mean() > 0.95
    torch.testing.assert_close(ours.image.double()[:, clear], image[:, clear], atol=1.2e-5, rtol=0)
    torch.testing.assert_close(ours.transmittance.double()[:, clear], through[:, clear], atol=1.2e-5, rtol=0)
    weight = torch.randn(4, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * clear
    expected = torch.autograd.grad((torch.cat([image, through]) * weight).sum(), exact)
    found = torch.autograd.grad((torch.cat([ours.image, ours.transmittance]) * weight).sum(), fast)
    for theirs, true in zip(found, expected, strict=True):
        assert (theirs - true).norm() < 5e-4 * true.norm()


@needs_numba
def test_numba_is_exact_to_rounding_where_no_pixel_is_done():
    given = scene(12, pixels=4.0)
    image, through, margin = truth(*given, (37, 53))
    assert through.min() > 1e-3
    clear = margin > 1e-4
    ours = splat(*(t.float() for t in given), (37, 53), backend="numba")
    torch.testing.assert_close(ours.image.double()[:, clear], image[:, clear], atol=3e-6, rtol=0)
    torch.testing.assert_close(ours.transmittance.double()[:, clear], through[:, clear], atol=3e-6, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_round_gaussian_is_its_closed_form(backend):
    # at (8.5, 7.5) of the picture; 10 px a decimetre, 2 px wide, and 0.1 px² of blur
    drawn = splat(*one(x=0.05, y=0.05), (16, 16), backend=backend)
    for column, row in ((8, 7), (9, 7), (8, 10), (5, 9)):
        distance = (column - 8) ** 2 + (row - 7) ** 2
        alpha = 0.5 * math.exp(-0.5 * distance / 4.1)
        expected = torch.tensor([alpha, alpha / 2, alpha / 4])
        torch.testing.assert_close(drawn.image[:, row, column], expected, atol=1e-5, rtol=1e-4)
        assert drawn.transmittance[0, row, column].item() == pytest.approx(1 - alpha, abs=1e-5)
    # 0.5 exp(-d² / 8.2) falls below 1/255 at a distance of 6.3
    assert drawn.transmittance[0, 7, 14] < 1
    assert drawn.transmittance[0, 7, 15] == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_nearer_hides_the_farther_whatever_their_order(backend):
    red = one(z=1.0, opacity=0.8, colour=(1.0, 0.0, 0.0), pixels=50.0)
    green = one(z=-1.0, opacity=0.8, colour=(0.0, 1.0, 0.0), pixels=50.0)
    for pair in ((red, green), (green, red)):
        drawn = splat(*both(*pair), (16, 16), backend=backend)
        torch.testing.assert_close(drawn.image[:, 8, 8], torch.tensor([0.8, 0.16, 0.0]), atol=1e-3, rtol=0)
        torch.testing.assert_close(drawn.transmittance[0, 8, 8], torch.tensor(0.04), atol=1e-3, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_at_one_depth_the_lower_id_is_in_front(backend):
    red, green = one(colour=(1.0, 0.0, 0.0)), one(colour=(0.0, 1.0, 0.0))
    drawn = splat(*both(red, green), (16, 16), backend=backend)
    assert drawn.image[0, 8, 8] > 1.5 * drawn.image[1, 8, 8]


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gaussian_hides_more_than_99_percent_and_none_is_seen_below_1_in_255(backend):
    opaque = splat(*one(opacity=1.0, pixels=50.0), (16, 16), backend=backend)
    assert opaque.transmittance[0, 8, 8].item() == pytest.approx(0.01, abs=1e-6)
    faint = splat(*one(opacity=0.9 / 255, pixels=50.0), (16, 16), backend=backend)
    assert (faint.transmittance == 1).all() and (faint.image == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_opaque_wall_has_no_gradient_in_its_opacity_but_one_in_its_colour(backend):
    means, factors, opacity, colour, camera = one(opacity=1.0, pixels=500.0)
    leaf, tint = leaves(opacity, colour)
    splat(means, factors, leaf, tint, camera, (16, 16), backend=backend).image.sum().backward()
    assert leaf.grad.item() == 0
    torch.testing.assert_close(tint.grad, torch.full((1, 3), 0.99 * 256), rtol=1e-4, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_lies_behind_many_walls_neither_shows_nor_breaks_a_gradient(backend):
    walls = [one(z=1 - k / 50, opacity=1.0, pixels=50.0, colour=(0.5, 0.5, 0.5)) for k in range(100)]
    *given, camera = both(*walls)
    given = leaves(*given)
    drawn = splat(*given, camera, (16, 16), backend=backend)
    torch.testing.assert_close(drawn.image, torch.full((3, 16, 16), 0.5), atol=1e-4, rtol=0)
    drawn.image.square().sum().backward()
    for leaf in given:
        assert leaf.grad.isfinite().all()
        assert (leaf.grad[10:].abs() < 1e-6).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_shows_beside_many_walls_is_drawn_and_learns(backend):
    walls = [one(x=-1.6, z=1 - k / 50, opacity=1.0, pixels=4.0, size=(32, 32)) for k in range(100)]
    *given, camera = both(*walls, one(x=1.2, z=-3.0, size=(32, 32)))
    given[1][:100, 1, 1] = 50.0  # they stand over the whole height of the picture's left
    given = leaves(*given)
    drawn = splat(*given, camera, (32, 32), backend=backend)
    assert drawn.transmittance[0, :, :8].max() < 1e-4
    assert drawn.transmittance[0, 16, 25] < 0.6
    drawn.image.sum().backward()
    assert given[2].grad[-1] > 10


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "where",
    [
        {"x": 5.0},  # right of the picture
        {"y": -5.0},  # below it
        {"x": -1e30},
        {"z": 10.0},  # in the viewer's eye
        {"z": 9.95},  # too near it
        {"z": 13.0},  # behind it
        {"opacity": 0.0},
    ],
)
def test_a_gaussian_that_cannot_be_seen_leaves_the_rest_alone(backend, where):
    alone = splat(*one(), (16, 16), backend=backend)
    *given, camera = both(one(**where), one())
    given = leaves(*given)
    drawn = splat(*given, camera, (16, 16), backend=backend)
    assert torch.equal(drawn.image, alone.image)
    (drawn.image.sum() + drawn.transmittance.square().sum()).backward()
    for leaf in given:
        assert (leaf.grad[0] == 0).all()
        assert leaf.grad.isfinite().all()
    assert given[2].grad[1] != 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gaussian_that_is_no_number_leaves_the_rest_alone(backend):
    alone = splat(*one(), (16, 16), backend=backend)
    for broken in (one(x=math.nan), one(z=math.nan), one(opacity=math.nan), one(pixels=math.inf)):
        assert torch.equal(splat(*both(broken, one()), (16, 16), backend=backend).image, alone.image)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gaussians_or_none_in_sight_are_an_empty_picture_with_zero_gradients(backend):
    *aside, camera = one(x=50.0)
    for given in (leaves(*aside), leaves(*(t[:0] for t in aside))):
        drawn = splat(*given, camera, (9, 20), backend=backend)
        assert drawn.image.shape == (3, 9, 20) and (drawn.image == 0).all()
        assert drawn.transmittance.shape == (1, 9, 20) and (drawn.transmittance == 1).all()
        (drawn.image.sum() + drawn.transmittance.sum()).backward()
        assert all(leaf.grad.shape == leaf.shape and (leaf.grad == 0).all() for leaf in given)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_needle_is_drawn_in_float32_as_in_float64(backend):
    # 1000 px long, without width but the blur's: in float32 the determinant of its covariance cancels to nothing
    means, _, opacity, colour, camera = one(size=(16, 48))
    factors = torch.tensor([[[100.0, 0.0, 0.0], [60.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    pictures = [
        splat(*(t.to(dtype) for t in (means, factors, opacity, colour, camera)), (16, 48), backend=name).image
        for dtype, name in ((torch.float64, "torch"), (torch.float32, backend))
    ]
    assert (pictures[0] > 0).double().mean() > 0.02
    torch.testing.assert_close(pictures[1].double(), pictures[0], atol=2e-3, rtol=0)


@needs_numba
def test_the_number_of_threads_changes_no_byte_and_neither_does_a_second_call():
    size, threads = (100, 130), torch.get_num_threads()
    weight = torch.randn(3, *size)
    runs = []
    try:
        for count in (1, 2, 2, 3):
            torch.set_num_threads(count)
            given = leaves(*scene(500, size), dtype=torch.float32)
            drawn = splat(*given, size, backend="numba")
            (drawn.image * weight).sum().backward()
            runs.append([drawn.image, drawn.transmittance, *(leaf.grad for leaf in given[:4])])
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@needs_numba
def test_threads_may_draw_at_once():
    given = [t.float() for t in scene(500, (100, 130))]
    alone = splat(*given, (100, 130), backend="numba").image
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(4) as pool:
            pictures = list(pool.map(lambda _: splat(*given, (100, 130), backend="numba").image, range(20)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(picture, alone) for picture in pictures)


@needs_numba
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_a_forked_process_draws_after_its_parent_did():
    given = [t.float() for t in scene(500, (100, 130))]

    def draw():
        return splat(*given, (100, 130), backend="numba").image.numpy().tobytes()

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = draw()
        context = multiprocessing.get_context("fork")
        results = context.Queue()
        child = context.Process(target=lambda: results.put(draw()))
        child.start()
    finally:
        torch.set_num_threads(threads)
    try:
        assert results.get(timeout=60) == here
    finally:
        child.kill()
        child.join()


@needs_numba
def test_where_no_folder_can_be_written_numba_compiles_for_this_process_alone(tmp_path, monkeypatch, caplog):
    from visemix.ops import compiled, splat_kernels, splat_numba

    compiled._warn_uncached.cache_clear()
    given = [t.float() for t in scene(30)]
    kept = splat(*given, (37, 53), backend="numba").image
    file = tmp_path / "splat_kernels.py"
    file.write_text(Path(splat_kernels.__file__).read_text())
    for name in (
        "__pycache__",
        "cache",
    ):  # a file in a folder's place: not even root can write there
        (tmp_path / name).touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    spec = importlib.util.spec_from_file_location("splat_without_cache", file)
    module = importlib.util.module_from_spec(spec)
    with caplog.at_level(logging.WARNING):
        spec.loader.exec_module(module)
    assert [r.getMessage().count("NUMBA_CACHE_DIR") for r in caplog.records] == [1]
    monkeypatch.setattr(splat_numba, "kernels", module)
    assert torch.equal(splat(*given, (37, 53), backend="numba").image, kept)


FULL = """
import logging, resource, torch
from visemix.ops import splat_numba
from visemix.ops.splat import splat
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
given = torch.zeros(1, 3), torch.eye(3)[None], torch.ones(1), torch.ones(1, 3), torch.tensor([30.0, 8, 8])
print(float(splat(*given, (16, 16), backend="numba").image[0, 8, 8]) > 0.9)
"""


@needs_numba
def test_where_the_folder_is_full_numba_compiles_for_this_process_alone(tmp_path):
    there = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", FULL], env=there, capture_output=True, text=True)
    assert said.stdout == "True\n", said.stderr
    assert said.stderr.count("NUMBA_CACHE_DIR") == 1


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
        pick("warp", "gsplat", "cpu", processor="numba")


def test_auto_is_numba_on_a_processor_and_gsplat_on_a_gpu(monkeypatch):
    monkeypatch.setattr(backends, "available", lambda name: True)
    assert [pick("auto", "gsplat", kind, processor="numba") for kind in ("cpu", "cuda", "mps")] == [
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
