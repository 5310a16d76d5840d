"""Expected values: scikit-image 0.26 on the same frames, see each table's head."""

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from visemix.metrics import METRICS, FrameBatch, psnr, squared_error
from visemix.metrics.image import decibels, grey
from visemix.ops.ssim import ssim

# mean over 50 frames of: PSNR (RGB), SSIM (PIL's grey), SSIM (mean of R, G, B); then the SSIM of the first two frames
EXPECTED = {
    "jpeg": (34.50310774544277, 0.9552375752249798, 0.9381860289025586),
    "blur": (28.523947124264183, 0.8655326803037768, 0.8591304878669191),
    "brighter": (28.146786162785517, 0.9842740496522993, 0.981233890311863),
    "shifted": (21.098957003507298, 0.650099910103152, 0.6403058990757634),
}
STACK = {  # sha256 of the distorted frames
    "jpeg": "eecc240d5e6d142f83263e4f5c67c696448f7c463fea1052812dba15d3b8883e",
    "blur": "9f65242e2a31a99205ef00e17d5f65d9bbbd86adc84737a86ca64c4b4c5c8664",
    "brighter": "1a70643acf1fbf06c734a27263b707a4de3ff8c887325cd95cc2797318bf780b",
    "shifted": "e415b20dea4692828728dc43c53b7eefba261215f194361a613b24a58d73dbe6",
}
WRAPPED = {"blur": 33.76467614621876, "shifted": 31.512701681045506}  # a published script that subtracts uint8


def distort(frame, how):
    if how == "jpeg":
        file = io.BytesIO()
        Image.fromarray(frame).save(file, format="JPEG", quality=30)
        return np.asarray(Image.open(file).convert("RGB"))
    if how == "blur":
        soft = gaussian_filter(frame.astype(np.float64), sigma=(2, 2, 0), mode="reflect", truncate=4)
        return np.clip(np.rint(soft), 0, 255).astype(np.uint8)
    if how == "brighter":
        return np.clip(frame.astype(np.int16) + 10, 0, 255).astype(np.uint8)
    return np.pad(frame, ((0, 0), (3, 0), (0, 0)), "edge")[:, :512]


def planes(frames):
    return torch.tensor(frames).permute(0, 3, 1, 2)


@pytest.mark.parametrize("how", EXPECTED)
def test_psnr_and_ssim_agree_with_scikit_image_on_a_real_clip(katie, how):
    bad = np.stack([distort(frame, how) for frame in katie])
    if hashlib.sha256(bad.tobytes()).hexdigest() != STACK[how]:
        pytest.skip("this Pillow or SciPy makes other pictures than the expected values were measured on")
    real, fake = planes(katie), planes(bad)
    noise, similar, similar_rgb = EXPECTED[how]
    assert psnr(fake, real).mean().item() == pytest.approx(noise, abs=1e-4)
    assert ssim(grey(fake), grey(real)).mean().item() == pytest.approx(similar, abs=1e-6)
    assert ssim(fake, real).mean().item() == pytest.approx(similar_rgb, abs=1e-6)
    if how in WRAPPED:
        assert psnr(fake, real).mean().item() < WRAPPED[how] - 4


def test_ssim_in_double_precision_is_the_reference_to_twelve_digits(katie):
    real, fake = planes(katie[:1]), planes(distort(katie[0], "jpeg")[None])
    assert ssim(grey(fake), grey(real), torch.float64).item() == pytest.approx(0.9659875951117297, abs=1e-12)


def test_decibels_of_pooled_error_differ_from_the_mean_of_decibels(katie):
    real, fake = planes(katie), planes(np.stack([distort(frame, "jpeg") for frame in katie]))
    assert decibels(squared_error(fake, real).mean()).item() == pytest.approx(34.49034723329275, abs=1e-4)


def test_grey_is_what_pil_calls_l(katie):
    expected = np.asarray(Image.fromarray(katie[7]).convert("L"))
    assert (grey(planes(katie[7:8]))[0].numpy() == expected).all()


def test_black_against_white_does_not_wrap_around():
    black, light = torch.zeros(3, 4, 4, dtype=torch.uint8), torch.full((3, 4, 4), 254, dtype=torch.uint8)
    assert squared_error(black, light).item() == 254**2  # with uint8 arithmetic: (0 − 254) mod 256 = 2, so 4
    assert squared_error(light, black).item() == 254**2


@pytest.mark.parametrize("size", [(11, 11), (11, 40), (73, 12), (76, 44)])  # below, at and over strips and blocks
def test_ssim_agrees_with_a_naive_version_at_any_size(size):
    g = torch.Generator().manual_seed(3)
    a = torch.randint(0, 256, size, generator=g, dtype=torch.uint8)
    b = torch.randint(0, 256, size, generator=g, dtype=torch.uint8)
    offset = torch.arange(-5, 6, dtype=torch.float64)
    weights = torch.exp(-(offset**2) / (2 * 1.5**2))
    weights = torch.outer(weights, weights) / weights.sum() ** 2
    values = []
    for i in range(size[0] - 10):
        for j in range(size[1] - 10):
            x, y = a[i : i + 11, j : j + 11].double(), b[i : i + 11, j : j + 11].double()
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            vxy = (weights * (x - mx) * (y - my)).sum()
            c1, c2 = 2.55**2, 7.65**2
            values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    expected = float(torch.stack(values).mean())
    assert ssim(a, b, torch.float64).item() == pytest.approx(expected, abs=1e-12)
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-6)


def test_pictures_smaller_than_the_window_are_refused():
    small = torch.zeros(10, 30, dtype=torch.uint8)
    with pytest.raises(ValueError, match="11 px or more"):
        ssim(small, small)


def test_every_colour_counts_in_the_similarity_of_colours():
    """One plane is another picture's, the other two are equal."""
    real, other = torch.randint(0, 256, (2, 1, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    for colour in range(3):
        fake, metric = real.clone(), METRICS.build({"name": "ssim_rgb"})
        fake[:, colour] = other[:, colour]
        metric.update(FrameBatch(fake), FrameBatch(real))
        assert metric.compute().item() == pytest.approx((2 + ssim(other[0, colour], real[0, colour]).item()) / 3)
