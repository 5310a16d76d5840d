import pytest
import torch

from visemix.face import layout
from visemix.face.layout import FIVE_POINTS, align_224, five_points, join_coefficients, split_coefficients
from visemix.ops.camera import project, square_camera


def test_the_vector_is_cut_where_the_network_glued_it():
    parts = split_coefficients(torch.arange(257.0).expand(2, 257))
    starts = {name: int(part[0, 0]) for name, part in parts.items()}
    assert starts == {"identity": 0, "expression": 80, "texture": 144, "angles": 224, "light": 227, "translation": 254}
    torch.testing.assert_close(join_coefficients(parts), torch.arange(257.0).expand(2, 257))


def test_regions_cover_the_68_points_once():
    regions = ["JAW", "LEFT_BROW", "RIGHT_BROW", "NOSE", "LEFT_EYE", "RIGHT_EYE", "OUTER_MOUTH", "INNER_MOUTH"]
    assert [k for name in regions for k in range(68)[getattr(layout, name)]] == list(range(68))


def test_regions_lie_where_their_names_say(face):
    points = face.mean[face.landmark_ids]
    assert points[layout.LEFT_EYE, 0].max() < 0 < points[layout.RIGHT_EYE, 0].min()
    assert points[layout.LEFT_BROW, 0].max() < 0 < points[layout.RIGHT_BROW, 0].min()
    assert points[layout.MOUTH, 1].max() < points[layout.NOSE, 1].min()
    assert points[layout.NOSE_BRIDGE][-1, 2] == points[:, 2].max()


def test_inner_lips_stand_point_above_point_and_an_open_mouth_is_open_by_their_middles(face):
    points = face.mean[face.landmark_ids].double()
    opened = points.clone()
    opened[list(layout.LOWER_LIP), 1] -= 0.1
    torch.testing.assert_close(
        layout.lip_distance(opened) - layout.lip_distance(points), torch.full((3,), 0.1).double()
    )
    assert layout.lips_apart(opened) >= layout.lip_distance(opened)[1] > layout.lip_distance(points)[1] > -0.01
    assert (points[list(layout.UPPER_LIP), 0] - points[list(layout.LOWER_LIP), 0]).abs().max() < 0.05


def picture_of_five(scale, x, y):
    """68 points of which the five that count are the standard face, `scale` pixels a decimetre, origin at (x, y)."""
    landmarks = torch.zeros(68, 2, dtype=torch.float64)
    five = FIVE_POINTS[:, :2].double() * torch.tensor([scale, -scale]) + torch.tensor([x, y])
    for ids, point in zip(([36, 39], [42, 45], [30], [48], [54]), five, strict=True):
        landmarks[ids] = point
    return landmarks


def test_the_five_points_come_from_the_68():
    torch.testing.assert_close(five_points(picture_of_five(1.0, 0.0, 0.0))[:, 0], FIVE_POINTS[:, 0].double())


def test_a_standard_face_is_aligned_exactly():
    alignment = align_224(picture_of_five(50.0, 130.5, 199.5), (400, 300))
    torch.testing.assert_close(alignment.scale, torch.tensor(2.04, dtype=torch.float64))
    torch.testing.assert_close(alignment.origin, torch.tensor([130.5, 199.5], dtype=torch.float64))


def test_the_official_numbers_for_a_standard_face():
    # the official code sees the same landmarks half a pixel lower in number: t0 = 130, t1 = 400 - 1 - 199 = 200
    alignment = align_224(picture_of_five(50.0, 130.5, 199.5), (400, 300))
    expected = torch.tensor([300, 400, 2.04, 130, 200], dtype=torch.float64)
    torch.testing.assert_close(alignment.transform_params(), expected)
    # w = 300 · 2.04, h = 400 · 2.04, left = 306 - 112 - 20 · 2.04 = 153.2, up = 408 - 112 + 0
    assert alignment.integer_crop() == (612, 816, 153, 296)


def test_the_crop_has_102_pixels_a_decimetre_around_its_middle():
    landmarks = picture_of_five(70.0, 301.0, 222.0)
    alignment = align_224(landmarks, (512, 512))
    inside = alignment.to_crop(five_points(landmarks))
    expected = FIVE_POINTS[:, :2].double() * torch.tensor([102.0, -102.0]) + 112
    torch.testing.assert_close(inside, expected)
    torch.testing.assert_close(alignment.from_crop(inside), five_points(landmarks))


def test_the_camera_of_the_picture_sees_what_the_crop_s_camera_sees():
    alignment = align_224(picture_of_five(70.0, 301.0, 222.0), (512, 512))
    points = FIVE_POINTS.double()
    in_crop = project(points, square_camera(224).double())[:, :2]
    in_picture = project(points, alignment.camera())[:, :2]
    torch.testing.assert_close(alignment.to_crop(in_picture), in_crop, atol=1e-4, rtol=0)


def test_alignment_takes_a_batch():
    many = torch.stack([picture_of_five(50.0, 130.5, 199.5), picture_of_five(25.0, 60.0, 80.0)])
    alignment = align_224(many, (400, 300))
    torch.testing.assert_close(alignment.scale, torch.tensor([2.04, 4.08], dtype=torch.float64))
    assert alignment.transform_params().shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "expected"), [("nose", (112.35, 107.04)), ("left", (85.82, 72.41)), ("right", (137.79, 72.42))]
)
def test_the_standard_points_project_where_the_sheet_says(name, expected):
    point = FIVE_POINTS[{"nose": 2, "left": 3, "right": 4}[name]]
    x, y, _ = project(point[None], square_camera(224))[0]
    torch.testing.assert_close(torch.stack([x, 224 - y]), torch.tensor(expected), atol=0.006, rtol=0)
