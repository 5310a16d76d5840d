import torch

from visemix.types import Motion, Space


def test_vertices_are_mean_plus_both_bases(face, clip):
    got = face.vertices(clip.subject.identity, clip.motion.values)[1, 3]
    expected = face.mean + face.identity @ clip.subject.identity[1] + face.expression @ clip.motion.values[1, 3]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_the_quadratic_form_is_the_sum_over_vertices(face, clip):
    change = clip.motion.values[0, 0].double()
    weights = torch.where(face.lower, 1.8, 1.0).double()
    moved = face.expression.double() @ change
    expected = (weights * moved.square().sum(-1)).sum()
    torch.testing.assert_close(change @ face.gram(weights) @ change, expected, rtol=1e-12, atol=0)


def test_landmarks_go_back_to_the_expression_they_came_from(face, clip):
    there = face.convert(clip.motion, Space.LANDMARKS, clip.subject)
    back = face.convert(there, Space.EXPRESSION, clip.subject)
    again = face.convert(back, Space.LANDMARKS, clip.subject)
    assert back.space is Space.EXPRESSION
    torch.testing.assert_close(again.values, there.values, atol=2e-3, rtol=0)


def test_landmarks_are_vertices(face, clip):
    points = face.landmarks(clip.motion, clip.subject)
    vertices = face.vertices(clip.subject.identity, clip.motion.values)[:, :, face.landmark_ids]
    torch.testing.assert_close(points, vertices, atol=1e-5, rtol=0)


def test_a_merged_face_speaks_with_one_and_frowns_with_the_other(face):
    names = face.expression_names
    driven, own = torch.zeros(2, 1, 1, len(names))
    driven[..., names.index("jaw_drop")] = 0.7
    driven[..., names.index("blink_left")] = 1.0
    own[..., names.index("brow_right")] = 0.8
    own[..., names.index("pucker")] = 0.5
    merged = face.merge(driven, own)[0, 0]
    assert abs(merged[names.index("jaw_drop")] - 0.7) < 0.05
    assert abs(merged[names.index("brow_right")] - 0.8) < 0.05
    assert abs(merged[names.index("blink_left")]) < 0.05
    assert abs(merged[names.index("pucker")]) < 0.1


def test_merging_solves_the_least_squares_over_vertices(face, clip):
    driven, own = clip.motion.values[:1, :1], clip.motion.values[1:, :1]
    merged = face.merge(driven, own)
    lower = face.lower[:, None]

    points, upper = face.expression[face.landmark_ids], [*range(17, 27), *range(36, 48)]

    def cost(x):
        low = (face.expression @ (x - driven)[0, 0]) * lower
        up = (face.expression @ (x - own)[0, 0]) * ~lower
        mouth, eyes = points[48:] @ (x - driven)[0, 0], points[upper] @ (x - own)[0, 0]
        over_points = 4e6 * mouth.square().sum() + 1e3 * eyes.square().sum()
        return (low.square().sum() + up.square().sum() + over_points).item()

    best = cost(merged)
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert cost(merged + 0.003 * torch.randn(merged.shape, generator=g)) > best


def test_a_merged_mouth_is_the_driven_one_even_where_its_expressions_reach_the_eyes(face, clip):
    driven, own = clip.motion.values[:1], clip.motion.values[1:]
    points = face.expression[face.landmark_ids]

    def apart(some, others, part):
        return ((some - others)[0] @ points[part].flatten(0, 1).mT).unflatten(-1, (-1, 3)).norm(dim=-1).max()

    merged = face.merge(driven, own)
    assert apart(merged, driven, slice(48, 68)) < 1e-4 and apart(merged, own, slice(36, 48)) < 1e-3
    assert apart(driven, own, slice(36, 48)) > 0.03


def test_a_face_without_a_difference_stays(face, clip):
    torch.testing.assert_close(face.merge(clip.motion.values, clip.motion.values), clip.motion.values)


def test_a_motion_in_the_wanted_space_is_left_alone(face, clip):
    motion = Motion(clip.motion.values, Space.EXPRESSION)
    assert face.convert(motion, Space.EXPRESSION, clip.subject) is motion


def test_the_model_says_what_it_is(face):
    assert f"toy: {len(face.mean)} vertices" in repr(face)
    assert "expression 24" in repr(face)


def test_nothing_of_a_face_is_saved_with_a_checkpoint(face):
    assert not face.state_dict()
