import math

import pytest
import torch

from visemix.ops.rotation import euler_jacobian, matrix, matrix_to_euler, pose_points


@pytest.mark.parametrize(
    ("turn", "point", "expected"),
    [
        ([math.pi / 2, 0, 0], [0, 1, 0], [0, 0, 1]),
        ([0, math.pi / 2, 0], [0, 0, 1], [1, 0, 0]),
        ([0, 0, math.pi / 2], [1, 0, 0], [0, 1, 0]),
        ([math.pi / 2, 0, math.pi / 2], [0, 0, 1], [1, 0, 0]),  # x first: z → -y → x
    ],
)
def test_quarter_turns_are_right_handed_and_x_comes_first(turn, point, expected):
    pose = torch.tensor([*turn, 0.0, 0.0, 0.0])
    found = pose_points(torch.tensor([point]).float(), pose)
    torch.testing.assert_close(found, torch.tensor([expected]).float(), rtol=0, atol=1e-6)


def test_the_matrix_is_the_product_of_three_turns():
    x, y, z = 0.3, -0.5, 0.7
    about_x = torch.tensor([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    about_y = torch.tensor([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_z = torch.tensor([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    torch.testing.assert_close(matrix(torch.tensor([x, y, z])), about_z @ about_y @ about_x)


def test_the_angles_come_back_from_the_matrix():
    turns = (torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * torch.tensor([6.2, 3.1, 6.2])
    torch.testing.assert_close(matrix_to_euler(matrix(turns)), turns, rtol=0, atol=1e-4)


def test_a_face_that_looks_straight_sideways_still_has_angles():
    sideways = matrix(torch.tensor([0.2, math.pi / 2, 0.0], dtype=torch.float64))
    torch.testing.assert_close(matrix(matrix_to_euler(sideways)), sideways, rtol=0, atol=1e-7)


def test_a_pose_turns_then_moves_each_item():
    points = torch.randn(2, 3, 7, 3, generator=torch.Generator().manual_seed(0))
    pose = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    found = pose_points(points, pose)
    one = pose[1, 2]
    expected = torch.stack([matrix(one[:3]) @ p + one[3:] for p in points[1, 2]])
    torch.testing.assert_close(found[1, 2], expected)


def test_autocast_does_not_coarsen_a_pose():
    points = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    pose = torch.tensor([0.1, 0.2, 0.3, 1.0, 2.0, 3.0])
    with torch.autocast("cpu", torch.bfloat16):
        found = pose_points(points, pose)
    assert torch.equal(found, pose_points(points, pose))


def test_points_spin_as_the_angles_grow():
    turn, points = torch.tensor([0.2, -0.4, 0.3], dtype=torch.double), torch.tensor([[0.3, -0.2, 0.4]]).double()
    exact = torch.autograd.functional.jacobian(lambda a: points @ matrix(a).mT, turn)
    torch.testing.assert_close(euler_jacobian(turn, points @ matrix(turn).mT), exact)
