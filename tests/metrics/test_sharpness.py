"""Expected values: the package cpbd 1.0.7 on the same frames."""

import hashlib
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.feature import canny

from visemix.metrics import METRICS, FrameBatch, NoScore, cpbd
from visemix.metrics.image import grey
from visemix.metrics.sharpness import _peaks

CLEAN = (0.48331780055917983, 0.4418081275720165, 0.4334313850876071, 0.4283298647242456, 0.4352037192484019)
BLUR = (0.017457084666860634, 0.020821367030442274, 0.019027484143763214)
BRIGHTER = (0.48355406329664863, 0.4421926269060027, 0.4336724899212901)
BRIGHTER_STACK = "1a70643acf1fbf06c734a27263b707a4de3ff8c887325cd95cc2797318bf780b"


def plane(frame):
    return grey(torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1))


def test_clean_frames_have_the_packages_value(katie):
    assert [cpbd(plane(frame)) for frame in katie[:5]] == pytest.approx(CLEAN, abs=1e-9)


def test_blurred_and_brighter_frames_have_the_packages_value(katie):
    soft = [gaussian_filter(f.astype(np.float64), (2, 2, 0), mode="reflect", truncate=4) for f in katie[:3]]
    soft = [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in soft]
    assert [cpbd(plane(frame)) for frame in soft] == pytest.approx(BLUR, abs=1e-9)
    bright = np.clip(katie.astype(np.int16) + 10, 0, 255).astype(np.uint8)
    assert hashlib.sha256(bright.tobytes()).hexdigest() == BRIGHTER_STACK
    assert [cpbd(plane(frame)) for frame in bright[:3]] == pytest.approx(BRIGHTER, abs=1e-9)


def naive(image):
    """The published steps, one edge at a time."""
    height, width = image.shape
    image = image.astype(float)
    pad = np.pad(image, 1, mode="symmetric")
    strength = np.zeros_like(image)
    for r in range(height):
        for c in range(width):
            w = pad[r : r + 3, c : c + 3]
            strength[r, c] = (((w[:, 0] - w[:, 2]) * [1, 2, 1]).sum() / 8) ** 2
    strength[strength <= 2 * math.sqrt(strength.mean())] = 0
    s = np.pad(strength, 1)
    gy, gx = np.gradient(image)
    edges = canny(image)
    histogram = np.zeros(101)
    for top in range(0, height - 63, 64):
        for left in range(0, width - 63, 64):
            if edges[top : top + 64, left : left + 64].sum() <= 0.002 * 64 * 64:
                continue
            block = image[top : top + 64, left : left + 64]
            just_noticeable = 5 if int(block.max() - block.min()) <= 50 else 3
            for r in range(max(top, 1), min(top + 64, height - 1)):
                for c in range(max(left, 1), min(left + 64, width - 1)):
                    v = s[r + 1, c + 1]
                    peak = (v > s[r + 1, c] and v > s[r + 1, c + 2]) or (v > s[r, c + 1] and v > s[r + 2, c + 1])
                    angle = math.degrees(math.atan2(gy[r, c], gx[r, c])) if gx[r, c] else 0.0
                    angle = 45 * round(angle / 45)
                    if not peak or angle not in (0, 180, -180):
                        continue
                    sign = 1 if angle == 0 else -1
                    runs = 0
                    for side in (-1, 1):
                        x, run = c + side, 0
                        while (
                            0 <= x + side < width and run < 100 and sign * side * (image[r, x + side] - image[r, x]) > 0
                        ):
                            x, run = x + side, run + 1
                        runs += run + 1
                    histogram[round(100 * (1 - math.exp(-((runs / just_noticeable) ** 3.6))))] += 1
    return histogram[:64].sum() / histogram.sum() if histogram.any() else 0.0


@pytest.mark.parametrize(("height", "width", "blur"), [(64, 64, 1.0), (70, 150, 2.0), (130, 64, 0.5)])
def test_every_size_agrees_with_the_steps_written_out(height, width, blur):
    noise = gaussian_filter(np.random.default_rng(5).normal(size=(height, width)), blur)
    image = np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
    image[:, : width // 2] = image[:, : width // 2] // 8 + 100  # one half of low contrast
    assert cpbd(torch.from_numpy(image)) == pytest.approx(naive(image), abs=1e-12)


def test_a_block_with_hardly_an_edge_is_left_out_and_its_neighbour_is_not():
    """A blot at the border of two blocks, of whose edges three pixels lie in the right one."""
    y, x = np.mgrid[:64, :128]
    image = np.round(100 + 80 * np.exp(-(((x - 62) / 1.5) ** 2) / 2 - ((y - 30) / 2) ** 2 / 2)).astype(np.uint8)
    edges = canny(image.astype(float))
    assert (edges[:, :64].sum(), edges[:, 64:].sum()) == (9, 3)
    assert cpbd(torch.from_numpy(image)) == naive(image) == 0.0


@pytest.mark.parametrize(("contrast", "sharp"), [(50, 1.0), (51, 0.0)])
def test_a_contrast_of_50_levels_still_hides_an_edge_of_four_pixels(contrast, sharp):
    ramp = 100 + np.round(np.clip(np.arange(64) - 30, 0, 4) / 4 * contrast)
    assert cpbd(torch.from_numpy(np.tile(ramp, (64, 1)).astype(np.uint8))) == sharp


def test_a_flat_picture_has_no_edge_to_judge_and_a_tiny_one_no_block():
    assert cpbd(torch.full((128, 128), 77, dtype=torch.uint8)) == 0.0
    with pytest.raises(ValueError, match="no whole block"):
        cpbd(torch.zeros(63, 200, dtype=torch.uint8))
    tiny = FrameBatch(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.rand(2, 68, 2) * 32)
    with pytest.raises(NoScore, match="a picture of 32×32"):
        METRICS.build({"name": "cpbd"}).update(tiny, tiny)
    face = METRICS.build({"name": "cpbd_face"})
    face.update(tiny, tiny)
    assert face.scored == 0


def test_the_short_cut_never_counts_an_edge_that_canny_does_not(katie):
    for frame in (katie[0], katie[20][::2, ::2]):
        image = plane(frame).numpy().astype(np.int16)
        down, across = image.shape[0] // 64, image.shape[1] // 64
        found = canny(image.astype(float))[: down * 64, : across * 64].reshape(down, 64, across, 64).sum((1, 3))
        few = _peaks(image, down, across)
        assert (few <= found).all() and few.max() > 8


def test_the_papers_luma_is_what_the_value_is_of(katie):
    expected = torch.from_numpy(np.asarray(Image.fromarray(katie[0]).convert("L")).copy())
    metric = METRICS.build({"name": "cpbd"})
    batch = FrameBatch(torch.from_numpy(katie[:1]).permute(0, 3, 1, 2))
    metric.update(batch, batch)
    assert metric.compute().item() == cpbd(expected)


def test_the_fake_alone_is_judged():
    fake = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
    metric = METRICS.build({"name": "cpbd"})
    metric.update(FrameBatch(fake), FrameBatch(torch.zeros_like(fake)))
    assert metric.compute().item() == cpbd(grey(fake[0])) > 0.5
