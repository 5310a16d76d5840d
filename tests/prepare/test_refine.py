import math
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from visemix.face import draw
from visemix.ops.camera import square_camera
from visemix.ops.rotation import pose_points
from visemix.prepare.fit import RECONSTRUCT, correlation, landmarks_of, opening
from visemix.prepare.geometry import Geometry, LandmarkSigmas, refit_geometry
from visemix.prepare.refine import anchors, refine
from visemix.types import Subject, VisemixError

SIZE, FRAMES = 256, 24
CUT = 18
LIGHT = torch.tensor([0.05, -0.1, 0.25, 0.1, 0, 0, 0, 0, 0]).repeat(3)


def performance(face, seed=0):
    """A head that turns and nods while its face moves slowly."""
    g = torch.Generator().manual_seed(seed)
    clock = torch.arange(FRAMES) / 25
    waves = 0.5 + 0.5 * torch.sin(2 * math.pi * (1.5 * clock[:, None] + torch.rand(24, generator=g)))
    low, high = face.expression_range.T
    pose = torch.zeros(FRAMES, 6)
    pose[:, 0] = 0.1 * torch.sin(4 * clock)
    pose[:, 1] = 0.35 * torch.sin(6 * clock + 1)
    pose[:, 3:] = torch.tensor([0.1, -0.1, -1.0]) + 0.05 * torch.sin(4 * clock)[:, None]
    identity = torch.randn(face.identity.shape[-1], generator=g) * 0.6
    return Geometry(identity, (low + (high - low) * 0.3 * waves), pose)


def skin_of_freckles(face):
    """An albedo with detail everywhere, a few vertices wide."""
    g = torch.Generator().manual_seed(1)
    waves = 14 * torch.randn(3, 6, generator=g)
    freckles = torch.sin(face.mean @ waves + torch.rand(6, generator=g)).mean(1, keepdim=True)
    return (face.albedo * (1 + freckles)).clamp(0.05, 1)


def film(face, geometry, albedo, light=LIGHT):
    alone = {"identity": geometry.identity, "camera": square_camera(SIZE), "albedo": albedo}
    timed = {"expression": geometry.expression, "pose": geometry.pose, "light": light.expand(FRAMES, 27)}
    subject = Subject(("a",), **{name: value[None] for name, value in (alone | timed).items()})
    return (draw(face, subject.expression, subject, (SIZE, SIZE)).image[0] * 255).byte()


def guess(face, true, seed=3):
    """What a fit to noisy landmarks may be: two hundredths of a radian and of a decimetre off, faces a tenth."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(FRAMES, 6, generator=g) * 0.015
    low, high = face.expression_range.T
    moved = true.expression + 0.1 * (high - low) * torch.randn(FRAMES, 24, generator=g)
    return replace(true, pose=true.pose + noise, expression=moved.clamp(low, high))


def refined(face, start, pictures, landmarks, present=None, cut=CUT, **more):
    present = torch.ones(len(landmarks), dtype=torch.bool) if present is None else present
    known = {"landmarks": landmarks, "present": present, "size": SIZE, "cut": cut}
    again = partial(refit_geometry, face, weights=anchors(LandmarkSigmas()), **known)
    return refine(face, start, present, SIZE, lambda chosen: pictures[chosen], again, cut=cut, **more)


def off(face, geometry, true):
    """Mean distance in decimetres of the skin from where it is: of the pose, and of the expression."""
    ids = face.triangles[face.skin].unique()
    rest = (face.mean + face.identity @ true.identity)[ids].expand(len(true.pose), -1, -1)
    posed = pose_points(rest, geometry.pose) - pose_points(rest, true.pose)
    moved = torch.einsum("vce,te->tvc", face.expression[ids], geometry.expression - true.expression)
    return float(posed[..., :2].norm(dim=-1).mean()), float(moved[..., :2].norm(dim=-1).mean())


@pytest.fixture(scope="module")
def scene(face):
    """The truth, its pictures, landmarks as a detector gives them, a first guess and what becomes of it."""
    true = performance(face)
    pictures = film(face, true, skin_of_freckles(face))
    g = torch.Generator().manual_seed(2)
    landmarks = landmarks_of(face, true, SIZE) + 0.5 * torch.randn(FRAMES, 68, 2, generator=g)
    start = guess(face, true)
    return true, pictures, landmarks, start, refined(face, start, pictures, landmarks)


def test_head_and_face_come_to_lie_where_they_are(face, scene):
    true, _, _, start, (found, left) = scene
    assert left[1] < 0.15 * left[0]  # what flow still finds
    (turned, moved), (turned_before, moved_before) = off(face, found, true), off(face, start, true)
    assert turned < 0.25 * turned_before
    assert moved < 0.8 * moved_before  # of the expression, most of what was off can be seen in no pattern at all


def test_held_out_frames_are_refined_too(face, scene):
    true, _, _, start, (found, _) = scene
    late = [replace(g, pose=g.pose[CUT:], expression=g.expression[CUT:]) for g in (found, start, true)]
    assert off(face, late[0], late[2])[0] < 0.25 * off(face, late[1], late[2])[0]


def test_lips_stay_with_the_landmarks(face, scene):
    true, _, _, start, (found, _) = scene
    truth, after, before = (opening(landmarks_of(face, geometry, SIZE)) for geometry in (true, found, start))
    assert correlation(after, truth) > max(0.95, correlation(before, truth))


def test_lids_open_as_the_landmarks_say_wherever_a_detector_has_the_eyes(face, scene):
    true, pictures, _, start, _ = scene
    lower = landmarks_of(face, true, SIZE)
    lower[:, 36:48, 1] += 3.0
    found, _ = refined(face, start, pictures, lower, rounds=2)
    truth, after, before = (apart(landmarks_of(face, geometry, SIZE)) for geometry in (true, found, start))
    assert (after - truth).abs().mean() < 0.6 * (before - truth).abs().mean()
    assert off(face, found, true)[0] < 0.3 * off(face, start, true)[0]


def apart(points):
    """How far the lids are apart, pixels."""
    return (points[:, [37, 38, 43, 44]] - points[:, [41, 40, 47, 46]]).norm(dim=-1).mean(-1)


def test_held_out_pictures_never_touch_the_frames_before(face, scene):
    _, pictures, landmarks, start, _ = scene
    other = pictures.clone()
    other[CUT:] = torch.randint(0, 256, other[CUT:].shape, dtype=torch.uint8)
    one, two = (refined(face, start, some, landmarks, rounds=1)[0] for some in (pictures, other))
    assert torch.equal(one.pose[:CUT], two.pose[:CUT]) and torch.equal(one.expression[:CUT], two.expression[:CUT])
    assert not torch.equal(one.pose[CUT:], two.pose[CUT:])


def test_frames_without_the_face_are_left_as_they_are(face, scene):
    _, pictures, landmarks, start, _ = scene
    present = torch.ones(FRAMES, dtype=torch.bool)
    present[6:9] = False
    found, _ = refined(face, start, pictures, landmarks, present, rounds=1)
    assert torch.equal(found.pose[6:9], start.pose[6:9]) and torch.equal(found.expression[6:9], start.expression[6:9])
    assert (found.pose[present] != start.pose[present]).any(1).all()


def test_light_that_changes_moves_nothing(face, scene):
    true, _, landmarks, start, _ = scene
    flicker = (1 + 0.5 * torch.sin(torch.arange(FRAMES) / 2))[:, None]
    lamp = torch.zeros(27)
    lamp[[3, 12, 21]] = 0.35  # wanders from the left to the right
    pictures = film(face, true, skin_of_freckles(face), LIGHT * flicker + lamp * torch.linspace(-1, 1, FRAMES)[:, None])
    found, _ = refined(face, start, pictures, landmarks, rounds=2)
    assert off(face, found, true)[0] < 0.25 * off(face, start, true)[0]


def test_pictures_without_a_pattern_change_nothing(face, scene):
    _, pictures, landmarks, start, _ = scene
    found, left = refined(face, start, torch.full_like(pictures, 90), landmarks)
    assert left == (0.0, 0.0)
    assert torch.equal(found.pose, start.pose) and torch.equal(found.expression, start.expression)


def test_another_face_in_a_frame_does_not_spoil_the_others(face, scene):
    true, pictures, landmarks, start, _ = scene
    stranger = performance(face, seed=7)
    mixed = pictures.clone()
    mixed[4] = film(face, stranger, face.albedo.flip(0))[4]
    found, _ = refined(face, start, mixed, landmarks, rounds=2)
    low, high = face.expression_range.T
    assert (found.expression >= low - 1e-5).all() and (found.expression <= high + 1e-5).all()
    assert (found.pose - true.pose)[4].abs().max() < 3 * (start.pose - true.pose).abs().max()
    assert off(face, found, true)[0] < 0.4 * off(face, start, true)[0]


def test_one_frame_is_a_clip(face, scene):
    _, pictures, landmarks, start, _ = scene
    single = replace(start, pose=start.pose[:1], expression=start.expression[:1])
    found, left = refined(face, single, pictures[:1], landmarks[:1], cut=None, rounds=1)
    assert found.pose.isfinite().all() and found.expression.isfinite().all()
    assert left[1] <= left[0]


def test_without_opencv_the_way_out_is_named(face, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(VisemixError, match=r"visemix\[prepare\].*--refine none"):
        RECONSTRUCT.build({"name": "landmarks"}, face)
    RECONSTRUCT.build({"name": "landmarks", "refine": "none"}, face)
