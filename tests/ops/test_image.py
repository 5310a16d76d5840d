import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from visemix.ops.image import close, dilate, edge_strength, ellipse, erode
from visemix.types import VisemixError

SIZES = [(21, 21), (5, 31), (11, 11), (5, 21), (3, 3), (7, 1), (1, 1)]


@pytest.mark.parametrize(
    ("width", "height", "pixels"), [(21, 21, 333), (5, 31, 127), (11, 11, 89), (5, 21, 85), (3, 3, 5)]
)
def test_an_ellipse_has_as_many_pixels_as_opencv_gives_it(width, height, pixels):
    footprint = ellipse(width, height)
    assert footprint.shape == (height, width)
    assert footprint.sum() == pixels


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_ellipse_is_opencvs(width, height):
    cv2 = pytest.importorskip("cv2")
    theirs = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))
    assert (ellipse(width, height).numpy() == theirs.astype(bool)).all()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_growing_and_shrinking_agree_with_scipy_up_to_the_border(width, height):
    image = torch.rand(2, 1, 40, 33, generator=torch.Generator().manual_seed(0))
    footprint = ellipse(width, height).numpy()
    for ours, theirs, outside in [(dilate, ndimage.grey_dilation, -1), (erode, ndimage.grey_erosion, 2)]:
        found = [theirs(one[0].numpy(), footprint=footprint, mode="constant", cval=outside) for one in image]
        expected = torch.from_numpy(np.stack(found))
        torch.testing.assert_close(ours(image, width, height)[:, 0], expected, rtol=0, atol=0)


def test_closing_fills_a_hole_and_leaves_a_mask_that_touches_the_border_alone():
    mask = torch.zeros(1, 1, 60, 70)
    mask[..., 30:, :40] = 1
    holed = mask.clone()
    holed[..., 45:52, 15:25] = 0
    torch.testing.assert_close(close(holed, 21, 21), mask)
    assert close(holed, 5, 5)[..., 48, 20] == 0


def test_the_gradient_goes_to_the_pixel_that_won():
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    image.requires_grad_()
    dilate(image, 5, 5)[..., 4, 2].sum().backward()
    assert image.grad[0, 0, 4, 4] == 1
    assert image.grad.sum() == 1


def test_an_even_ellipse_is_refused():
    with pytest.raises(VisemixError, match="4×5"):
        dilate(torch.zeros(1, 1, 8, 8), 4, 5)


def test_edges_are_weaker_in_a_soft_picture_and_as_strong_wherever_they_lie():
    sharp = torch.rand(3, 67, 45, generator=torch.Generator().manual_seed(0))
    soft = F.avg_pool2d(sharp[None], 3, 1, 1, count_include_pad=False)[0]
    assert (edge_strength(soft) < 0.5 * edge_strength(sharp)).all()
    moved = edge_strength(sharp.roll(1, -1)).mean()
    torch.testing.assert_close(moved, edge_strength(sharp).mean(), rtol=0.03, atol=0)
    still = torch.full((3, 16, 16), 0.5, requires_grad=True)
    edge_strength(still).sum().backward()
    assert edge_strength(still).max() < 0.01 and still.grad.isfinite().all()


def test_edge_strength_is_that_of_the_laplacian():
    picture = torch.rand(3, 18, 18, generator=torch.Generator().manual_seed(1))
    grey = picture.mean(0).double().numpy()
    power = ndimage.laplace(grey)[8:16, 8:16] ** 2
    assert edge_strength(picture)[1, 1].item() == pytest.approx(np.sqrt(power.mean() + 1e-5), rel=1e-4)
