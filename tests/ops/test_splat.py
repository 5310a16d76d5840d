import math

import pytest
import torch
from splat_scenes import BACKENDS, both, leaves, one, scene, truth

from visemix.ops.splat import splat


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
