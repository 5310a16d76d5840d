import numpy as np
import pytest
import torch

from visemix.data import Box
from visemix.data.crop import crop_picture, head_box, paste


def face_at(x, y, size, frames=5):
    """Landmarks whose box is `size` wide and high, centred at (x, y)."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2))
    points[:2] = [[-0.5, -0.5], [0.5, 0.5]]
    return np.broadcast_to(points * size + [x, y], (frames, 68, 2)).astype(np.float32)


def picture(height, width):
    g = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=g)


def test_a_face_in_a_large_picture_gets_head_and_shoulders():
    box = head_box(face_at(500, 400, 100), 1920, 1080)
    assert box == Box(x=408, y=290, side=184)  # 100 high, 60 above and 25 below, rounded to even


def test_a_close_up_is_taken_whole():
    assert head_box(face_at(256, 300, 320), 512, 512) == Box(0, 0, 512)


def test_the_box_moves_into_the_picture():
    assert head_box(face_at(60, 70, 100), 1080, 1920) == Box(0, 0, 184)
    assert head_box(face_at(1860, 1020, 100), 1080, 1920) == Box(1736, 896, 184)


def test_a_face_higher_than_the_picture_is_wide_reaches_over_its_edge():
    box = head_box(face_at(200, 500, 600), 1000, 400)
    assert box.side == 660 and box.x == -130 and box.y >= 0 and box.y + box.side <= 1000


def test_a_moving_head_stays_inside():
    path = np.linspace(-150, 150, 30)
    landmarks = np.concatenate([face_at(500 + x, 500, 100, 1) for x in path])
    box = head_box(landmarks, 1080, 1920)
    crop = box.to_crop(landmarks, 256)
    assert crop.min() > 0 and crop.max() < 256


def test_a_crop_of_the_same_size_is_the_picture_itself():
    source = picture(64, 80)
    assert torch.equal(crop_picture(source, Box(10, 4, 32), 32), source[:, 4:36, 10:42])


def test_points_move_with_the_pixels():
    """A bright square block in the source is where its corner's coordinates say in the crop."""
    source = torch.zeros(3, 200, 200, dtype=torch.uint8)
    source[:, 80:120, 60:100] = 255
    box = Box(20, 40, 128)
    small = crop_picture(source, box, 64)[0] > 127
    rows, columns = small.any(1).nonzero()[:, 0], small.any(0).nonzero()[:, 0]
    found = [[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]
    corners = box.to_crop(np.array([[60, 80], [100, 120]], np.float32), 64)
    assert np.array_equal(np.array(found), corners)


def test_beyond_the_picture_its_edge_is_repeated():
    source = picture(20, 20)
    crop = crop_picture(source, Box(-6, 4, 32), 32)
    assert torch.equal(crop[:, :16, 6:26], source[:, 4:])
    assert torch.equal(crop[:, 3, :6], source[:, 7, :1].expand(3, 6))
    assert torch.equal(crop[:, 20, 6:26], source[:, -1])


def test_shrinking_averages():
    """A fine chequerboard becomes grey, not black or white."""
    board = (torch.arange(128)[:, None] + torch.arange(128)) % 2 * 255
    crop = crop_picture(board.expand(3, 128, 128).to(torch.uint8), Box(0, 0, 128), 32)
    assert (crop.float() - 127.5).abs().max() < 10


@pytest.mark.parametrize("box", [Box(8, 8, 40), Box(0, 0, 64), Box(-10, 20, 50), Box(30, -4, 30)])
def test_a_crop_pasted_back_changes_nothing(box):
    source = picture(64, 64)
    crop = crop_picture(source, box, box.side).float() / 255
    assert torch.equal(paste(source, crop, box), source)


def test_a_pasted_crop_fades_in_inside_the_picture():
    source = torch.zeros(3, 200, 200, dtype=torch.uint8)
    pasted = paste(source, torch.ones(3, 64, 64), Box(50, 50, 100))[0]
    assert pasted[100, 100] == 255 and pasted[100, 49] == 0 and pasted[100, 150] == 0
    assert 0 < pasted[100, 50] < pasted[100, 51] < 255 and pasted[100, 54] == 255


def test_a_pasted_crop_does_not_fade_at_the_edge_of_the_picture():
    pasted = paste(torch.zeros(3, 64, 64, dtype=torch.uint8), torch.ones(3, 32, 32), Box(0, 0, 64))
    assert (pasted == 255).all()


def test_the_source_is_not_written_into():
    source = torch.zeros(3, 64, 64, dtype=torch.uint8)
    paste(source, torch.ones(3, 32, 32), Box(0, 0, 64))
    assert source.sum() == 0
