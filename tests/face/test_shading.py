from dataclasses import replace

import pytest
import torch

from visemix.face.shading import draw, harmonics, landmarks_2d, normals, posed, shade
from visemix.ops.rotation import matrix
from visemix.types import Motion, Space


def test_a_picture_has_a_face_in_it(face, clip):
    picture = draw(face, clip.motion.values[:, :2], clip.subject.at(torch.arange(2)), (64, 48))
    assert picture.image.shape == (2, 2, 3, 64, 48)
    assert picture.coverage.mean() > 0.2
    assert (picture.skin <= picture.coverage).float().mean() > 0.98
    assert ((picture.image.sum(2, keepdim=True) > 0) == (picture.coverage > 0)).float().mean() > 0.98


def test_no_light_of_its_own_is_an_even_shade(face, clip):
    turned = torch.nn.functional.normalize(torch.randn(1, 1, 5, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    colour = shade(torch.full((1, 5, 3), 0.5), turned, torch.zeros(1, 1, 27))
    torch.testing.assert_close(colour, torch.full((1, 1, 5, 3), 0.5 * 0.70898), atol=1e-5, rtol=0)


def test_harmonics_have_the_reference_constants():
    n = torch.tensor([0.36, 0.48, 0.8], dtype=torch.float64)
    x, y, z = n.tolist()
    k0, k1, k2 = 0.886227, 1.772454, 2.427032
    expected = [k0, -k1 * y, k1 * z, -k1 * x, k2 * x * y, -k2 * y * z, 0.700624 * (3 * z * z - 1), -k2 * x * z]
    expected.append(0.5 * k2 * (x * x - y * y))
    torch.testing.assert_close(harmonics(n[None])[0], torch.tensor(expected, dtype=torch.float64), atol=2e-6, rtol=0)


def test_light_is_ordered_colour_first(clip):
    light = torch.zeros(1, 1, 27)
    light[..., 9] = 1.0  # the constant coefficient of green
    colour = shade(torch.ones(1, 1, 3), torch.tensor([[[[0.0, 0.0, 1.0]]]]), light)[0, 0, 0]
    torch.testing.assert_close(colour, 0.886227 * torch.tensor([0.8, 1.8, 0.8]), atol=1e-5, rtol=0)


def test_normals_average_unit_normals_whatever_the_area():
    # a big triangle facing z and a small one facing x share the edge from 0 to 1
    vertices = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-10, 0, 0], [0, 0, -0.1]])
    triangles = torch.tensor([[0, 1, 2], [1, 0, 3]])
    half = 0.5**0.5
    out = normals(vertices, triangles)
    torch.testing.assert_close(out[0], torch.tensor([half, 0.0, half]))
    torch.testing.assert_close(out[2], torch.tensor([0.0, 0.0, 1.0]))


def test_triangles_without_area_harm_nobody():
    vertices = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-1, 0, 0]], requires_grad=True)
    out = normals(vertices, torch.tensor([[0, 1, 2], [0, 0, 1], [2, 2, 2]]))
    torch.testing.assert_close(out, torch.tensor([[0.0, 0, 1]] * 3))
    (gradient,) = torch.autograd.grad(out.sum(), vertices)
    assert gradient.isfinite().all()


def test_every_normal_of_a_closed_ball_points_outwards():
    ring = torch.tensor([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    triangles = [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [1, 0, 5], [2, 1, 5], [3, 2, 5], [0, 3, 5]]
    torch.testing.assert_close(normals(ring, torch.tensor(triangles)), ring)


def test_landmarks_in_the_picture_are_their_vertices(face, clip):
    points = posed(face, clip.motion.values, clip.subject)[:, :, face.landmark_ids]
    focal, x, y = clip.subject.camera[0]
    depth = 10 - points[..., 2]
    expected = torch.stack([x + focal * points[..., 0] / depth, y - focal * points[..., 1] / depth], -1)
    torch.testing.assert_close(landmarks_2d(face, clip.motion.values, clip.subject), expected, atol=1e-3, rtol=0)


def test_normals_turn_with_the_head(face, clip):
    skin = face.triangles[face.skin]
    upright = normals(face.vertices(clip.subject.identity, clip.motion.values), skin)[:, 5]
    turned = normals(posed(face, clip.motion.values, clip.subject), skin)[:, 5]
    expected = upright @ matrix(clip.subject.pose[:, 5, :3]).mT
    torch.testing.assert_close(turned[:, skin.unique()], expected[:, skin.unique()], atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", ["expression", "identity", "pose", "light", "albedo"])
def test_the_picture_learns(face, clip, name):
    subject = clip.subject.at(torch.arange(1))
    expression = subject.expression.clone()
    if name == "expression":
        leaf = expression.requires_grad_()
    else:
        leaf = getattr(subject, name).clone().requires_grad_()
        subject = replace(subject, **{name: leaf})
    draw(face, expression, subject, (48, 48)).image.square().sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0
    assert leaf.grad.isfinite().all()


def test_motion_in_another_space_gives_the_same_points(face, clip):
    moved = face.convert(Motion(clip.motion.values, Space.EXPRESSION), Space.LANDMARKS, clip.subject)
    offset = moved.values.unflatten(-1, (68, 3))
    vertices = face.vertices(clip.subject.identity, clip.motion.values)[:, :, face.landmark_ids]
    torch.testing.assert_close(face.mean[face.landmark_ids] + offset, vertices, atol=1e-5, rtol=0)


def test_what_is_brighter_than_white_is_cut_off_or_starts_again_at_black(face, clip):
    subject, one = clip.subject.at(torch.arange(1)), clip.motion.values[:, :1]
    lit = replace(
        subject,
        albedo=torch.full_like(subject.albedo, 1.1 / 0.70898),  # under no light of its own: 1.1 everywhere
        light=torch.zeros_like(subject.light),
    )
    cut, wrapped = (draw(face, one, lit, (32, 32), how) for how in ("clamp", "wrap"))
    seen = cut.coverage.expand_as(cut.image) == 1
    assert (cut.image[seen] == 1).all()
    torch.testing.assert_close(wrapped.image[seen], torch.full_like(wrapped.image[seen], 24 / 255))
    assert not wrapped.image[~seen].any()
