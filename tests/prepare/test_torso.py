import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from visemix.ops.camera import project, similarity_transform, square_camera, unproject
from visemix.prepare.torso import torso_motion
from visemix.types import Label

pytest.importorskip("cv2")
SIZE, FRAMES = 128, 24
CAMERA = square_camera(SIZE)


def cloth(plain=False):
    """A pattern on the lower half of a picture."""
    if plain:
        return np.full((SIZE, SIZE), 120.0)
    waves = gaussian_filter(np.random.default_rng(0).normal(size=(SIZE, SIZE)), 2)
    return 120 + 40 * waves / waves.std()


def film(motion, plain=False):
    """Pictures and labels of a torso that moves so, under a head that stays."""
    pattern, y = cloth(plain), np.mgrid[:SIZE, :SIZE][0]
    pictures, labels = [], []
    for row in motion:
        bend, slid = similarity_transform(row)
        back = torch.linalg.inv(bend)
        spots = torch.stack(torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")[::-1], -1) + 0.5
        space = unproject(torch.cat([spots.view(-1, 2), torch.full((SIZE**2, 1), 11.0)], 1), CAMERA)
        at = project((space - slid.T) @ back.T, CAMERA)[:, :2] - 0.5
        seen = map_coordinates(pattern, at.numpy().T[::-1], order=1, mode="reflect").reshape(SIZE, SIZE)
        torso = map_coordinates((y > SIZE // 2).astype(float), at.numpy().T[::-1], order=0, mode="nearest")
        torso = torso.reshape(SIZE, SIZE) > 0.5
        picture = np.where(torso, seen, 60).clip(0, 255).astype(np.uint8)
        pictures.append(torch.from_numpy(picture).expand(3, -1, -1))
        label = torch.from_numpy(np.where(torso, Label.TORSO, Label.BACKGROUND).astype(np.uint8))
        label[10:40, 40:90] = Label.HEAD
        labels.append(label)
    return torch.stack(pictures), torch.stack(labels)


def tracked(pictures, labels, cut=FRAMES):
    pose = torch.zeros(len(pictures), 6)
    present = torch.ones(len(pictures), dtype=torch.bool)
    return torso_motion(lambda ks: pictures[list(ks)], lambda ks: labels[list(ks)], CAMERA, pose, present, cut)


def swaying():
    clock = torch.arange(FRAMES) / FRAMES
    wave = (1 - torch.cos(2 * math.pi * clock)) / 2
    return wave[:, None] * torch.tensor([0.06, 0.08, 0.02, -0.015])


def test_a_torso_is_followed_to_half_a_pixel():
    true = swaying()
    found = tracked(*film(true))
    corners = torch.tensor([[30.0, 80, 11], [100, 80, 11], [30, 120, 11], [100, 120, 11]])
    for ours, theirs in zip(found, true, strict=True):
        a, b = (
            project(unproject(corners, CAMERA) @ bend.T + slid.T, CAMERA)
            for bend, slid in map(similarity_transform, (ours, theirs))
        )
        assert (a - b)[:, :2].norm(dim=1).max() < 0.5
    assert true[FRAMES // 2].abs().min() > 0.01  # which is pixels


def test_where_cloth_has_no_pattern_or_nobody_has_a_torso_nothing_is_known():
    pictures, labels = film(swaying() * torch.tensor([0, 0, 1.0, 1.0]), plain=True)
    labels[:, SIZE // 2 - 8 : SIZE // 2 + 8] = Label.BACKGROUND  # its edge is a pattern, too
    assert (tracked(pictures, labels) == 0).all()
    pictures, labels = film(swaying())
    assert (tracked(pictures, torch.zeros_like(labels)) == 0).all()


def test_a_frame_without_a_torso_is_where_the_one_before_was():
    pictures, labels = film(swaying())
    labels[6:] = Label.BACKGROUND
    found = tracked(pictures, labels)
    assert found.isfinite().all()
    torch.testing.assert_close(found[10:], found[10].expand(14, 4), atol=1e-5, rtol=0)


def test_frames_that_are_held_out_are_no_reference_and_change_none_before_them():
    pictures, labels = film(swaying())
    changed = pictures.clone()
    changed[16:] = changed[16:].flip(-1)
    kept, other = (tracked(some, labels, cut=16) for some in (pictures, changed))
    assert torch.equal(kept[:16], other[:16]) and not torch.equal(kept[16:], other[16:])
