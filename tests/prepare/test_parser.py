import numpy as np
import pytest
import torch
from clip_maker import make

from visemix.data import ClipFolder
from visemix.data.plate import clean_plate
from visemix.prepare.parser import PARSER, largest, split, with_face


def upright(size=64):
    """68 points of a schematic face that looks at the camera."""
    points = torch.zeros(68, 2)
    angle = torch.linspace(np.pi, 0, 17)
    points[:17] = torch.stack([32 + 16 * angle.cos(), 30 + 18 * angle.sin()], -1)
    points[17:27] = torch.stack([torch.linspace(20, 44, 10), torch.full((10,), 24.0)], -1)
    points[27:31] = torch.stack([torch.full((4,), 32.0), torch.linspace(28, 34, 4)], -1)
    angle = torch.linspace(0, 2 * np.pi, 21)[:20]
    points[48:] = torch.stack([32 + 6 * angle.cos(), 40 + 3 * angle.sin()], -1)
    return points * size / 64


def test_head_ends_at_the_jaw_and_beside_it_at_the_chin():
    labels = split(torch.ones(64, 64, dtype=torch.bool), upright())
    assert labels[10, 32] == labels[40, 32] == 2
    assert labels[52, 32] == 1 and labels[44, 46] == 1  # below the chin; below the jaw on the neck's side
    assert labels[44, 4] == 2 and labels[52, 4] == 1  # hair beside the jaw, shoulders below the chin


def test_shoulders_above_the_chin_are_no_hair():
    jaw = upright()[:17]
    left, right, chin = (int(edge) for edge in (jaw[:, 0].min() + 1, jaw[:, 0].max(), jaw[:, 1].max()))
    person = torch.zeros(64, 64, dtype=torch.bool)
    person[:chin, left:right] = person[chin - 6 :] = True
    labels = split(person, upright())
    assert (labels[chin - 5, : left - 1] == 1).all() and (labels[chin - 5, right + 1 :] == 1).all()
    person[:chin, right : right + 8] = True  # hair that falls onto one of them
    labels = split(person, upright())
    assert (labels[: chin - 1, right + 1 : right + 8] == 2).all() and (labels[chin - 5, : left - 1] == 1).all()


def test_where_nobody_is_there_is_background():
    person = torch.zeros(64, 64, dtype=torch.bool)
    person[:, 20:44] = True
    assert (split(person, upright())[:, :20] == 0).all()


def test_a_head_on_its_side_is_split_along_its_own_chin():
    turned = upright().flip(-1)
    labels = split(torch.ones(64, 64, dtype=torch.bool), turned)
    assert torch.equal(labels, split(torch.ones(64, 64, dtype=torch.bool), upright()).mT)


def test_no_parser_cuts_the_mouth_out_of_its_face():
    points = upright()
    labels = with_face(torch.zeros(64, 64, dtype=torch.uint8), points)
    spots = points[48:].round().long()
    assert (labels[spots[:, 1], spots[:, 0]] == 2).all()
    assert labels[40, 32] == 2 and labels[60, 32] == 0


def test_the_largest_part_is_kept():
    mask = np.zeros((8, 8), bool)
    mask[0:2, 0:2] = mask[4:8, 4:8] = True
    assert largest(mask).sum() == 16


def test_the_plate_is_what_is_seen_when_the_person_is_elsewhere():
    pictures, labels = torch.full((2, 3, 40, 40), 50, dtype=torch.uint8), torch.zeros(2, 40, 40, dtype=torch.uint8)
    pictures[0, :, :, :15] = pictures[1, :, :, 25:] = 200
    labels[0, :, :15] = labels[1, :, 25:] = 2
    assert (clean_plate(pictures, labels) == 50).all()


def test_what_nobody_has_seen_is_filled_from_around():
    pictures = torch.full((1, 3, 40, 40), 80, dtype=torch.uint8)
    labels = torch.zeros(1, 40, 40, dtype=torch.uint8)
    pictures[..., 10:30, 10:30], labels[..., 10:30, 10:30] = 255, 1
    plate = clean_plate(pictures, labels).int()
    assert (plate - 80).abs().max() <= 1


def test_a_clip_with_labels_has_a_background_and_hands_both_over(tmp_path, face):
    clip = make(tmp_path / "anna_000", face, frames=6, labels=torch.zeros(6, 32, 32, dtype=torch.uint8))
    subject = ClipFolder(clip.path).subject([1, 3])
    assert subject.labels.shape == (1, 2, 32, 32) and subject.background.shape == (1, 3, 32, 32)
    assert ClipFolder(clip.path).subject([1], footage=False).background is None


def test_a_clip_without_labels_has_neither(tmp_path, face):
    subject = make(tmp_path / "anna_000", face, frames=6).subject([0])
    assert subject.labels is None and subject.background is None


@pytest.mark.slow
def test_mediapipe_finds_the_person_in_a_real_picture(assets):
    pytest.importorskip("mediapipe")
    from visemix.data import read_video

    picture = read_video(assets / "clips/may_5s.mp4")[0]
    points = upright(512) * 0.8 + 51
    (labels,) = PARSER.build({"name": "mediapipe"})([picture], points[None])
    assert labels.shape == (512, 512) and 0.3 < (labels > 0).float().mean() < 0.9
    assert labels[20, 20] == 0 and labels[300, 256] == 2
