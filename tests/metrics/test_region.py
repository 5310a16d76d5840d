import pytest
import torch

from visemix.metrics import METRICS, FrameBatch, landmark_box, mouth_box
from visemix.metrics.region import crop


def test_a_box_grows_by_its_longer_side_and_stays_inside_the_picture():
    points = torch.tensor([[10.0, 20.0], [50.0, 30.0]])
    assert landmark_box(points, 0.5, 100, 60) == (0, 0, 60, 50)
    assert landmark_box(points + 200, 0.0, 100, 60) is None
    assert landmark_box(torch.full((4, 2), torch.nan), 0.0, 100, 60) is None


def test_the_mouth_box_holds_the_mouth_of_every_frame():
    points = torch.full((3, 68, 2), torch.nan)
    points[0, 48:] = torch.tensor([40.0, 60.0])
    points[2, 48:] = torch.tensor([55.0, 64.0])
    points[:, :48] = 0.0  # eyes and jaw do not count
    assert mouth_box(points, 0.0, 100, 100) == (40, 60, 55, 64)
    with pytest.raises(ValueError, match="no frame has a mouth"):
        mouth_box(points[1:2], 0.0, 100, 100)


def test_landmarks_move_with_the_crop():
    batch = crop(FrameBatch(torch.zeros(1, 3, 40, 50, dtype=torch.uint8), torch.full((1, 68, 2), 20.0)), (4, 6, 30, 40))
    assert batch.frames.shape == (1, 3, 34, 26)
    assert batch.landmarks[0, 0].tolist() == [16.0, 14.0]


def test_the_face_region_sees_the_real_faces_box_and_nothing_else(pair):
    fake, real = pair
    real.landmarks[:] = torch.tensor([3.0, 4.0])
    real.landmarks[:, 1] = torch.tensor([17.5, 18.2])
    outside = fake.frames.clone()
    outside[..., :3] = 0  # columns left of the box
    outside[..., 19:, :] = 0  # rows below
    face, expected = METRICS.build({"name": "psnr_face"}), METRICS.build({"name": "psnr"})
    face.update(FrameBatch(outside), real)
    expected.update(FrameBatch(fake.frames[..., 4:19, 3:18]), FrameBatch(real.frames[..., 4:19, 3:18]))
    assert face.compute().item() == expected.compute().item()


def test_a_frame_whose_face_is_missing_or_smaller_than_ssims_window_is_not_scored(pair):
    fake, real = pair
    real.landmarks[0] = torch.nan
    real.landmarks[1] = 8.0
    metric = METRICS.build({"name": "ssim_face"})
    metric.update(fake, real)
    assert metric.scored.item() == 4
