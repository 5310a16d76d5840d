import math

import torch

from visemix.ops.camera import (
    DISTANCE,
    FOCAL,
    project,
    project_jacobian,
    similarity_transform,
    square_camera,
    unproject,
)

# Deep3DFaceRecon's five standard points (similarity_Lm3D_all.mat), decimetres
FIVE = torch.tensor(
    [
        [-0.311487, 0.290361, 0.133780],
        [0.309799, 0.289720, 0.131795],
        [0.003253, -0.046179, 0.552442],
        [-0.252169, -0.381339, 0.224057],
        [0.248466, -0.381282, 0.222358],
    ]
)


def test_the_standard_face_lands_where_deep3dfacerecon_puts_it():
    x, y, _ = project(FIVE, square_camera(224)).T
    y_up = 224 - y
    nose, left, right = 2, 3, 4
    expected = torch.tensor([[112.35, 107.04], [85.82, 72.41], [137.79, 72.42]])
    torch.testing.assert_close(torch.stack([x, y_up], -1)[[nose, left, right]], expected, rtol=0, atol=0.006)


def test_the_field_of_view_is_that_of_1015_pixels_over_224():
    assert math.isclose(math.degrees(2 * math.atan(0.5 / FOCAL)), 12.5936, abs_tol=5e-5)


def test_it_is_nvdiffrasts_clip_matrix_in_pixels():
    # acting on (x, -y, z_cam, 1): 9.0625 on x and y, z_clip = 2 z_cam - 15 between planes 5 and 15, w = z_cam;
    # the first row of its picture is the top
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    camera_depth = 10 - points[:, 2]
    clip = torch.stack([9.0625 * points[:, 0], -9.0625 * points[:, 1]], -1) / camera_depth[:, None]
    seen = project(points, square_camera(224))
    torch.testing.assert_close(seen[:, :2], 112 * (clip + 1))
    torch.testing.assert_close(seen[:, 2], camera_depth)


def test_a_decimetre_at_the_origin_is_a_hundred_and_one_and_a_half_pixels_of_224():
    seen = project(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), square_camera(224))
    torch.testing.assert_close(seen, torch.tensor([[213.5, 112.0, DISTANCE], [112.0, 10.5, DISTANCE]]))


def test_a_larger_picture_shows_the_same_larger():
    small, large = project(FIVE, square_camera(128)), project(FIVE, square_camera(512))
    torch.testing.assert_close(large[:, :2], 4 * small[:, :2])
    torch.testing.assert_close(large[:, 2], small[:, 2])


def test_every_item_has_a_camera_of_its_own():
    points = FIVE.expand(2, 3, 5, 3)
    cameras = torch.stack([square_camera(224), square_camera(64)])[:, None].expand(2, 3, 3)
    seen = project(points, cameras)
    torch.testing.assert_close(seen[1, 2], project(FIVE, square_camera(64)))
    torch.testing.assert_close(seen[0, 1], project(FIVE, square_camera(224)))


def test_unprojecting_undoes_projecting():
    camera = torch.tensor([1000.0, 90.0, 130.0])
    torch.testing.assert_close(unproject(project(FIVE, camera), camera), FIVE, rtol=0, atol=1e-5)


def test_the_jacobian_of_the_projection_is_its_derivative():
    points = torch.tensor([[0.3, -0.2, 0.4], [-0.7, 0.5, -1.0]], dtype=torch.double)
    camera = square_camera(224).double()
    exact = torch.autograd.functional.jacobian(lambda p: project(p, camera)[:, :2], points)
    torch.testing.assert_close(project_jacobian(points, camera[0]), torch.stack([exact[k, :, k] for k in (0, 1)]))


def test_a_similarity_of_the_picture_moves_everything_in_it_whatever_its_distance():
    g = torch.Generator().manual_seed(0)
    points, camera = torch.randn(50, 3, generator=g), square_camera(224)
    turn, shift = similarity_transform(torch.tensor([0.1, 0.2, 0.03, -0.02]))
    before, after = project(points, camera), project(points @ turn.T + shift.T, camera)
    x, y = (before[:, 0] - 112) / camera[0], (112 - before[:, 1]) / camera[0]
    grown = torch.tensor(0.1).exp()
    right = grown * (x * torch.tensor(0.2).cos() - y * torch.tensor(0.2).sin()) + 0.03
    up = grown * (x * torch.tensor(0.2).sin() + y * torch.tensor(0.2).cos()) - 0.02
    wanted = torch.stack([112 + camera[0] * right, 112 - camera[0] * up, before[:, 2]], 1)
    torch.testing.assert_close(after, wanted, atol=1e-3, rtol=1e-5)
