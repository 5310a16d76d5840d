"""Photographs as targets: of any size, with what their camera wrote into them, upright."""

import numpy as np
import pytest
from PIL import Image

from visemix.data import VideoReader

WIDE = np.zeros((96, 160, 3), np.uint8)
WIDE[:48, :80] = 250  # bright at the top left
ORIENTATION = 0x0112


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG", "png", "webp", "bmp", "tiff", "gif"])
def test_a_photograph_of_any_size_and_name(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)  # larger than what FFmpeg probes first
    Image.fromarray(noise).save(tmp_path / f"a.{ending}")
    assert next(iter(VideoReader(tmp_path / f"a.{ending}"))).shape == (3, 480, 640)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "bright"),
    [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (8, (1, 0))],
)
def test_a_photograph_is_upright_as_its_camera_says(tmp_path, ending, orientation, bright):
    notes = Image.Exif()
    notes[ORIENTATION] = orientation
    Image.fromarray(WIDE).save(tmp_path / f"a.{ending}", exif=notes)
    picture = next(iter(VideoReader(tmp_path / f"a.{ending}"))).float().mean(0)
    assert picture.shape == ((96, 160) if orientation < 5 else (160, 96))
    height, width = picture.shape
    quarters = picture.view(2, height // 2, 2, width // 2).mean((1, 3))
    assert tuple(int(k) for k in np.unravel_index(int(quarters.argmax()), (2, 2))) == bright


def test_animated_png(tmp_path):
    pictures = [Image.fromarray(np.roll(WIDE, 40 * k, 1)) for k in range(4)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], duration=40)
    assert len(list(VideoReader(tmp_path / "a.png"))) == 4
