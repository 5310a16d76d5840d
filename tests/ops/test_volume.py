import math

import pytest
import torch

from visemix.ops.backends import available
from visemix.ops.camera import DISTANCE, project, square_camera
from visemix.ops.rotation import pose_points
from visemix.ops.volume import camera_rays, entropy, importance_sampling, ray_box_intersection, render_weights
from visemix.types import VisemixError


def test_a_ray_goes_through_the_points_that_are_projected_on_its_pixel():
    g = torch.Generator().manual_seed(0)
    points = torch.randn(3, 20, 3, generator=g)
    pose = 0.3 * torch.randn(3, 6, generator=g)
    camera = square_camera(128).expand(3, 3)
    pixels = project(pose_points(points, pose), camera)[..., :2]
    origins, directions = camera_rays(pixels, pose, camera)
    along = points - origins[:, None]
    missed = along - (along * directions).sum(-1, keepdim=True) * directions
    assert missed.norm(dim=-1).max() < 1e-4
    torch.testing.assert_close(pose_points(origins[:, None], pose)[:, 0], torch.tensor([[0.0, 0.0, DISTANCE]] * 3))


def test_rays_are_as_exact_where_networks_run_in_bfloat16():
    pixels, pose, camera = torch.rand(1, 9, 2) * 512, torch.full((1, 6), 0.2), square_camera(512)[None]
    with torch.autocast("cpu", torch.bfloat16):
        half = camera_rays(pixels, pose, camera)
    assert all(torch.equal(a, b) for a, b in zip(half, camera_rays(pixels, pose, camera), strict=True))


def test_a_ray_enters_and_leaves_a_box_where_it_should_and_a_miss_is_empty():
    low, high = torch.tensor([-1.0, -1.0, -1.0]), torch.tensor([1.0, 1.0, 1.0])
    origins = torch.tensor([[0.0, 0.0, 5.0], [0.0, 3.0, 5.0], [0.0, 0.0, 0.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    near, far = ray_box_intersection(origins, directions, low, high)
    torch.testing.assert_close(near[[0, 2]], torch.tensor([4.0, 0.0]))
    torch.testing.assert_close(far[[0, 2]], torch.tensor([6.0, 1.0]))
    assert near[1] == far[1]


def test_weights_are_those_of_the_integral_summed_step_by_step():
    g = torch.Generator().manual_seed(0)
    density, length = 5 * torch.rand(7, generator=g), torch.rand(7, generator=g)
    passed, expected = 1.0, []
    for d, s in zip(density.tolist(), length.tolist(), strict=True):
        share = 1 - 2.718281828459045 ** (-d * s)
        expected.append(passed * share)
        passed *= 1 - share
    torch.testing.assert_close(render_weights(density, length), torch.tensor(expected))


@pytest.mark.skipif(not available("nerfacc"), reason="nerfacc is not installed")
def test_nerfacc_agrees():
    g = torch.Generator().manual_seed(0)
    density, length = 5 * torch.rand(3, 4, 7, generator=g), torch.rand(3, 4, 7, generator=g)
    torch.testing.assert_close(render_weights(density, length, "nerfacc"), render_weights(density, length))


def test_a_named_package_that_is_missing_is_said():
    if available("nerfacc"):
        pytest.skip("nerfacc is installed")
    with pytest.raises(VisemixError, match="'nerfacc' is not installed: pip install nerfacc"):
        render_weights(torch.ones(1), torch.ones(1), "nerfacc")


def test_a_stretch_cut_in_two_is_seen_as_much_as_the_whole():
    whole = render_weights(torch.tensor([2.0]), torch.tensor([1.0]))
    halves = render_weights(torch.tensor([2.0, 2.0]), torch.tensor([0.3, 0.7]))
    torch.testing.assert_close(halves.sum(), whole.sum())


def test_gradients_of_the_weights_are_right():
    density = torch.rand(3, 5, dtype=torch.double, requires_grad=True)
    length = torch.rand(3, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(render_weights, (density, length))


def test_stretches_lie_where_the_mass_is_and_leave_no_gap():
    mass = torch.tensor([[0.0, 0.0, 1.0, 3.0, 0.0, 0.0]])
    places, length = importance_sampling(mass, torch.tensor([0.0]), torch.tensor([6.0]), 4)
    torch.testing.assert_close(places, torch.tensor([[2.5, 3 + 1 / 6, 3.5, 3 + 5 / 6]]))
    torch.testing.assert_close(length, torch.tensor([[1.0, 1 / 3, 1 / 3, 1 / 3]]), atol=1e-4, rtol=1e-4)


def test_jittered_places_stay_in_their_stretches_and_follow_the_generator():
    mass = torch.ones(4, 8)
    near, far = torch.zeros(4), torch.full((4,), 8.0)
    one, other = (
        importance_sampling(mass, near, far, 4, torch.Generator().manual_seed(1), jitter=True)[0] for _ in range(2)
    )
    assert torch.equal(one, other)
    assert not torch.equal(one, importance_sampling(mass, near, far, 4)[0])
    assert (one.div(2).floor() == torch.arange(4)).all()


def test_a_half_opaque_ray_is_a_bit_of_doubt():
    torch.testing.assert_close(entropy(torch.tensor([0.5])), torch.tensor([1.0]))
    assert entropy(torch.tensor([0.0, 1.0])).max() < 1e-3


def test_fog_before_a_wall_is_seen_as_exactly_as_without_it():
    density, length = torch.tensor([0.5, 0.1, 0.7, 1e6]), torch.tensor([0.3, 0.2, 0.4, 0.5])
    weights = render_weights(density, length)
    torch.testing.assert_close(weights[:3], render_weights(density[:3], length[:3]), atol=0, rtol=0)
    wall = math.exp(-(0.5 * 0.3 + 0.1 * 0.2 + 0.7 * 0.4))
    torch.testing.assert_close(weights[3].item(), wall, atol=0, rtol=1e-6)
