import pytest
import torch

from visemix.ops import raster_pytorch3d, raster_torch
from visemix.ops.backends import available, choose_backend
from visemix.ops.camera import project, square_camera
from visemix.ops.raster import rasterise, rasterise_mask
from visemix.types import VisemixError


def soup(items=2, count=40, size=24.0, dtype=torch.float64, seed=0):
    """Triangles anywhere: overlapping, partly off the picture, both ways round."""
    g = torch.Generator().manual_seed(seed)
    points = torch.rand(items, 3 * count, 3, generator=g, dtype=dtype) * torch.tensor([size, size, 3.0], dtype=dtype)
    points = points * 1.4 - torch.tensor([0.2 * size, 0.2 * size, -2.0], dtype=dtype)
    attributes = torch.rand(items, 3 * count, 4, generator=g, dtype=dtype)
    return points, torch.arange(3 * count).view(-1, 3), attributes


def naive(points, triangles, attributes, size):
    """One pixel and one triangle at a time: solve for the weights, keep the nearest."""
    height, width = size
    values = torch.zeros(len(points), attributes.shape[2], height, width, dtype=points.dtype)
    depth = torch.zeros(len(points), 1, height, width, dtype=points.dtype)
    ids = torch.full((len(points), height, width), -1)
    for b, (p, a) in enumerate(zip(points, attributes, strict=True)):
        for f, corners in enumerate(triangles.tolist()):
            x, y, z = p[corners].T
            flat = torch.stack([x, y, torch.ones_like(x)])
            if z.min() <= 0 or flat.det().abs() < 1e-12:
                continue
            for row in range(height):
                for column in range(width):
                    at = torch.tensor([column + 0.5, row + 0.5, 1.0], dtype=p.dtype)
                    w = torch.linalg.solve(flat, at)
                    if w.min() < 0:
                        continue
                    here = 1 / (w / z).sum()
                    if ids[b, row, column] < 0 or here < depth[b, 0, row, column]:
                        ids[b, row, column] = f
                        depth[b, 0, row, column] = here
                        values[b, :, row, column] = ((w / z * here)[:, None] * a[corners]).sum(0)
    return values, depth, ids


def test_every_pixel_sees_the_nearest_triangle_in_perspective():
    points, triangles, attributes = soup(count=12, size=14.0)
    size = (13, 16)
    raster = rasterise(points, triangles, attributes, size, backend="torch")
    values, depth, ids = naive(points, triangles, attributes, size)
    assert (raster.triangle == ids).all()
    assert (ids >= 0).float().mean() > 0.3
    torch.testing.assert_close(raster.attributes, values)
    torch.testing.assert_close(raster.depth, depth)
    torch.testing.assert_close(raster.coverage[:, 0], (ids >= 0).double())


def test_a_point_halfway_along_a_receding_edge_is_nearer_than_half_way_in_space():
    # from depth 1 to depth 3, the middle of the picture of the edge is at depth 1.5 (the harmonic mean)
    points = torch.tensor([[[-4.0, -4.0, 1.0], [-4.0, 8.0, 1.0], [5.0, 0.5, 3.0]]])
    attributes = torch.tensor([[[0.0], [0.0], [1.0]]])
    raster = rasterise(points, torch.tensor([[0, 1, 2]]), attributes, (1, 1))
    torch.testing.assert_close(raster.depth, torch.full((1, 1, 1, 1), 1.5))
    torch.testing.assert_close(raster.attributes, torch.full((1, 1, 1, 1), 0.25))


def test_pixel_centres_lie_at_halves_and_y_points_down():
    square = torch.tensor([[[1.0, 2.0, 5.0], [4.0, 2.0, 5.0], [4.0, 4.0, 5.0], [1.0, 4.0, 5.0]]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    expected = torch.zeros(1, 1, 6, 7)
    expected[..., 2:4, 1:4] = 1
    torch.testing.assert_close(rasterise(square, triangles, square, (6, 7)).coverage, expected)
    torch.testing.assert_close(rasterise_mask(square, triangles, (6, 7)), expected)


def test_the_position_as_attribute_comes_back_as_the_pixels_own_place():
    points, triangles, _ = soup(items=1, dtype=torch.float32)
    space = torch.cat([points[..., :2] * points[..., 2:], points[..., 2:]], -1)  # unprojected: linear along a triangle
    raster = rasterise(points, triangles, space, (24, 24))
    hit = raster.coverage[0, 0] > 0
    y, x = hit.nonzero().T + 0.5
    back = raster.attributes[0][:, hit]
    torch.testing.assert_close(back[0] / back[2], x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(back[1] / back[2], y, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(back[2], raster.depth[0, 0][hit])


def test_cover_is_the_coverage_of_rasterise():
    points, triangles, attributes = soup(items=3, dtype=torch.float32)
    assert torch.equal(
        rasterise_mask(points, triangles, (20, 30)), rasterise(points, triangles, attributes, (20, 30)).coverage
    )


def test_a_batch_is_its_items_one_by_one(monkeypatch):
    points, triangles, attributes = soup(items=3)
    apart = [rasterise(p[None], triangles, a[None], (18, 30)) for p, a in zip(points, attributes, strict=True)]
    for together in (1, 2, 16):  # a processor goes item by item, a GPU takes several at once
        monkeypatch.setattr(raster_torch, "_step", lambda device, n=together: n)
        whole = rasterise(points, triangles, attributes, (18, 30), backend="torch")
        for field in ("attributes", "coverage", "depth", "triangle"):
            assert torch.equal(getattr(whole, field), torch.cat([getattr(one, field) for one in apart]))
        assert torch.equal(rasterise_mask(points, triangles, (18, 30)), whole.coverage)


@pytest.mark.parametrize(
    "bad",
    [
        [[30.0, 5.0, 1.0], [40.0, 5.0, 1.0], [35.0, 9.0, 1.0]],  # right of the picture
        [[-3.0, -5.0, 1.0], [-9.0, -5.0, 1.0], [-5.0, -1.0, 1.0]],  # left of and above it
        [[2.0, 2.0, 1.0], [9.0, 3.0, -1.0], [3.0, 9.0, 1.0]],  # a corner behind the camera
        [[2.0, 2.0, 1.0], [9.0, 3.0, 0.0], [3.0, 9.0, 1.0]],  # a corner in the camera
        [[0.5, 0.5, 1.0], [4.5, 4.5, 1.0], [8.5, 8.5, 1.0]],  # without area, through pixel centres
        [[3.5, 3.5, 1.0], [3.5, 3.5, 1.0], [3.5, 3.5, 1.0]],  # a point on a pixel centre
        [[float("nan"), 2.0, 1.0], [9.0, 3.0, 1.0], [3.0, 9.0, 1.0]],
    ],
)
def test_a_triangle_that_cannot_be_seen_leaves_the_rest_alone(bad):
    good = torch.tensor([[1.0, 1.0, 2.0], [9.0, 1.0, 2.0], [1.0, 9.0, 2.0]])
    points = torch.cat([torch.tensor(bad), good])[None].requires_grad_()
    raster = rasterise(points, torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.ones(1, 6, 1), (10, 10))
    alone = rasterise(good[None], torch.tensor([[0, 1, 2]]), torch.ones(1, 3, 1), (10, 10))
    assert torch.equal(raster.coverage, alone.coverage)
    assert torch.equal(rasterise_mask(points, torch.tensor([[0, 1, 2], [3, 4, 5]]), (10, 10)), alone.coverage)
    torch.testing.assert_close(raster.depth, alone.depth)
    raster.depth.sum().backward()
    assert points.grad.isfinite().all()
    assert (points.grad[0, :3] == 0).all()


def test_a_mesh_without_attributes_still_has_depth():
    points, triangles, attributes = soup()
    bare = rasterise(points, triangles, attributes[..., :0], (20, 20))
    assert bare.attributes.shape == (2, 0, 20, 20)
    torch.testing.assert_close(bare.depth, rasterise(points, triangles, attributes, (20, 20)).depth)


def test_nothing_to_draw_is_an_empty_picture():
    points = torch.full((2, 3, 3), -50.0, requires_grad=True)
    for triangles in (torch.tensor([[0, 1, 2]]), torch.zeros(0, 3, dtype=torch.long)):
        raster = rasterise(points, triangles, torch.ones(2, 3, 5), (4, 6))
        assert raster.attributes.shape == (2, 5, 4, 6)
        assert raster.coverage.sum() == 0
        assert (raster.triangle == -1).all()
        raster.attributes.sum().backward()
        assert (points.grad == 0).all()


def test_a_closed_surface_has_no_pinholes():
    # a fan round a pixel centre, shrunk and moved by odd amounts so that edges pass within rounding of pixel centres
    angle = torch.arange(97) * (2 * torch.pi / 97)
    for shift in torch.linspace(0, 1, 23):
        rim = torch.stack([32 + 29 * angle.cos(), 32 + 29 * angle.sin(), torch.ones(97)], -1)
        points = torch.cat([torch.tensor([[32 + shift, 31.5, 1.0]]), rim])[None]
        around = torch.arange(97)
        triangles = torch.stack([torch.zeros(97).long(), around + 1, (around + 1) % 97 + 1], -1)
        y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
        well_inside = (x - 32).square() + (y - 32).square() < 28.5**2
        assert (rasterise_mask(points, triangles, (64, 64))[0, 0][well_inside] == 1).all()


def test_gradients_agree_with_finite_differences():
    points, triangles, attributes = soup(items=2, count=4, size=7.0)

    def draw(points, attributes):
        raster = rasterise(points, triangles, attributes, (6, 8), backend="torch")
        return raster.attributes, raster.depth

    assert (rasterise_mask(points, triangles, (6, 8)) > 0).sum() > 20
    points.requires_grad_()
    attributes.requires_grad_()
    # the step is small enough that no pixel changes its triangle
    torch.autograd.gradcheck(draw, (points, attributes), eps=1e-7, atol=1e-5)


def test_coordinates_too_coarse_for_pixels_are_refused():
    points, triangles, attributes = soup(dtype=torch.float32)
    with pytest.raises(VisemixError, match="bfloat16"):
        rasterise(points.bfloat16(), triangles, attributes, (8, 8))


def test_a_named_backend_is_never_replaced():
    points, triangles, attributes = soup(items=1, dtype=torch.float32)
    if available("pytorch3d"):
        pytest.skip("PyTorch3D is installed")
    with pytest.raises(VisemixError, match=r"INSTALL\.md"):
        rasterise(points, triangles, attributes, (8, 8), backend="pytorch3d")
    assert choose_backend("auto", "pytorch3d", "cuda") == "torch"


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(VisemixError, match=r"nvdiffrast.*auto, torch, pytorch3d"):
        choose_backend("nvdiffrast", "pytorch3d", "cpu")


@pytest.mark.parametrize("size", [(32, 32), (24, 40), (40, 24)])
def test_the_backends_agree(size):
    pytest.importorskip("pytorch3d", reason="PyTorch3D is not installed; it is not on the package index")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    points, triangles, attributes = (t.to(device) for t in soup(dtype=torch.float32))
    behind = points.clone()
    behind[:, 4, 2] = -1
    for at in (points, behind):
        grads, rasters = [], []
        for backend in ("torch", "pytorch3d"):
            p, a = at.clone().requires_grad_(), attributes.clone().requires_grad_()
            raster = rasterise(p, triangles, a, size, backend=backend)
            (raster.attributes.square().sum() + raster.depth.square().sum()).backward()
            rasters.append(raster)
            grads.append((p.grad, a.grad))
        assert torch.equal(rasters[0].triangle, rasters[1].triangle)
        torch.testing.assert_close(rasters[0].attributes, rasters[1].attributes, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(rasters[0].depth, rasters[1].depth, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(grads[0], grads[1], rtol=1e-2, atol=1e-2)


def test_pytorch3d_is_handed_pixel_centres_where_it_has_them():
    # its own rule for a square picture: pixel i of S has its centre at -1 + (2 i + 1) / S, counted from the right
    centres = torch.arange(8) + 0.5
    points = torch.stack([centres, centres, torch.ones(8)], -1)
    theirs = -1 + (2 * torch.arange(7, -1, -1) + 1) / 8
    ndc = raster_pytorch3d.to_ndc(points, (8, 8))
    torch.testing.assert_close(ndc[:, 0], theirs)
    torch.testing.assert_close(ndc[:, 1], theirs)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_plain_backend_gives_the_same_on_a_gpu():
    points, triangles, attributes = soup(items=3)
    here = rasterise(points, triangles, attributes, (24, 30), backend="torch")
    there = rasterise(points.cuda(), triangles.cuda(), attributes.cuda(), (24, 30), backend="torch")
    assert torch.equal(here.triangle, there.triangle.cpu())
    torch.testing.assert_close(here.attributes, there.attributes.cpu())


def test_the_procedural_head_fills_the_middle_of_the_picture(face):
    points = project(face.mean, square_camera(64))[None]
    raster = rasterise(points, face.triangles, face.albedo[None], (64, 64))
    assert raster.coverage[0, 0, 32, 32] == 1
    assert raster.coverage[0, 0, 0, 0] == 0
    assert 8 < raster.depth[0, 0, 32, 32] < 10
