import copy
from dataclasses import replace

import pytest
import torch
from conftest import make_clip

from visemix.face.eyes import closed_eyes_expression
from visemix.face.shading import draw, landmarks_2d
from visemix.render.blend import FaceBlend, _share, footprint, soften

SIZE = 112
INNER_MOUTH = slice(60, 68)
YAWS = [0.0, 0.4, -0.4, 0.7, -0.7]


@pytest.fixture(scope="module")
def talk(face):
    """One subject with a closed mouth in five poses, and the expression that opens it widest."""
    subject = make_clip(face, batch=1, frames=len(YAWS), size=SIZE).subject
    pose = torch.zeros(1, len(YAWS), 6)
    pose[0, :, 1] = torch.tensor(YAWS)
    subject = replace(subject, pose=pose, expression=torch.zeros_like(subject.expression))
    drop = face.expression[face.landmark_ids[66], 1] - face.expression[face.landmark_ids[62], 1]
    jaw = int((drop * face.expression_range[:, 1]).argmin())
    wide = subject.expression.clone()
    wide[..., jaw] = face.expression_range[jaw, 1]
    return subject, wide


def at_points(picture, points):
    """Values of a (T, 1, H, W) mask at (T, K, 2) pixel positions."""
    x, y = points.floor().long().unbind(-1)
    return picture[torch.arange(len(picture))[:, None], 0, y, x]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"hole": "closing"}, {"keep_eyes": True}, {"soft_edge": 2.0}, {"union": False}]
)
def test_the_mask_holds_the_inner_mouth_of_an_open_mouth_in_every_pose(face, talk, options, training):
    subject, wide = talk
    torch.manual_seed(0)
    mask = FaceBlend(face, **options).train(training)(wide, subject, subject.footage).mask
    mouth = landmarks_2d(face, wide, subject)[0, :, INNER_MOUTH]
    open_by = (mouth[:, 6, 1] - mouth[:, 2, 1]).min()  # upper to lower lip, pixels
    assert open_by > 6
    middle = mouth.mean(1, keepdim=True)
    assert (at_points(mask[0], torch.cat([mouth * 0.9 + middle * 0.1, middle], 1)) > 0.99).all()


def test_outside_the_mask_is_footage_and_inside_the_rendered_face(face, talk):
    subject, wide = talk
    blend = FaceBlend(face, morphology="none").eval()(wide, subject, subject.footage)
    picture = draw(face, wide, subject, (SIZE, SIZE))
    expected = torch.where(blend.mask > 0, picture.image, subject.footage)
    torch.testing.assert_close(blend.image, expected)
    assert ((blend.image >= 0) & (blend.image <= 1)).all()


def test_what_is_missing_is_a_black_rim_around_the_face_and_not_the_inside_of_the_mouth(face, talk):
    subject, wide = talk
    blend = FaceBlend(face).eval()(wide, subject, subject.footage)
    assert 0.001 < float(blend.missing.mean()) < 0.1
    assert (blend.image * blend.missing == 0).all()
    assert (blend.missing * draw(face, wide, subject, (SIZE, SIZE)).skin == 0).all()


@pytest.fixture(scope="module")
def hollow(face):
    """The face's skin alone, as a scanned face is: no mouth, no eyeballs, no neck."""
    bare = copy.deepcopy(face)
    bare.triangles = face.triangles[face.skin]
    bare.skin = torch.ones(len(bare.triangles), dtype=torch.bool)
    return bare


@pytest.mark.parametrize("opened", [0.0, 0.3, 1.0])
def test_a_mouth_that_is_no_mesh_is_black_and_not_missing(hollow, talk, opened):
    subject, wide = talk
    blend = FaceBlend(hollow).eval()(opened * wide, subject, subject.footage)
    picture = draw(hollow, opened * wide, subject, (SIZE, SIZE))
    inside = (picture.skin > 0) & (picture.coverage == 0)
    assert inside.any() and (blend.mask[inside] == 1).all()  # eyes at least
    assert (blend.image.masked_select(inside.expand_as(blend.image)) == 0).all() and (blend.missing[inside] == 0).all()
    middle = landmarks_2d(hollow, opened * wide, subject)[0, :, INNER_MOUTH].mean(1, keepdim=True)
    if opened == 1:
        assert at_points(inside[0], middle)[:3].all()  # seen from further aside, the cheek's other side lies behind it
    assert (at_points(blend.missing[0], middle) == 0).all()
    assert 0.001 < float(blend.missing.mean()) < 0.1  # the rim


def test_the_union_covers_the_footages_own_chin(face, talk):
    subject, wide = talk
    gaping = replace(subject, expression=wide)  # the footage shows an open mouth, the drive closes it

    def mask(expression, union):
        return FaceBlend(face, union=union, morphology="none")(expression, gaping, gaping.footage).mask

    alone, both, theirs = mask(subject.expression, False), mask(subject.expression, True), mask(wide, False)
    assert torch.equal(both, torch.maximum(alone, theirs))
    chin = landmarks_2d(face, wide, gaping)[0, :1, 8:9] - torch.tensor([0.0, 1.5])
    assert at_points(both[0, :1], chin) == 1
    assert at_points(alone[0, :1], chin) == 0


def test_the_fixed_operation_grows_the_mask_below_the_nose_only(face, talk):
    subject, wide = talk
    bare = FaceBlend(face, morphology="none").eval()(wide, subject, subject.footage).mask
    for morphology in ("fixed", "random"):
        grown = FaceBlend(face, morphology=morphology).eval()(wide, subject, subject.footage).mask
        nose = landmarks_2d(face, wide, subject)[0, 0, 33, 1]
        above = torch.arange(SIZE) + 0.5 < nose
        assert torch.equal(grown[0, 0, 0, above], bare[0, 0, 0, above])
        more = (grown - bare)[0, 0, 0]
        assert (more >= 0).all()
        # 5×31 of 224 pixels is 3×15 here: one pixel more to each side, seven more below
        assert int(more[:, SIZE // 2].sum()) == 7 or int(grown[0, 0, 0, -1, SIZE // 2]) == 1


def test_training_draws_each_operation_about_equally_often_and_from_the_given_generator(face, talk):
    subject, wide = talk
    blend = FaceBlend(face)
    along = torch.arange(224) - 112
    disc = (along[:, None] ** 2 + along**2 < 60**2).float()
    many = disc.expand(1, 140, 1, 224, 224)
    areas = blend._random_morphology(many, torch.Generator().manual_seed(0)).sum((0, 2, 3, 4))
    kinds, counts = areas.unique(return_counts=True)
    assert len(kinds) == 7  # none, four dilations, two erosions
    assert counts.min() >= 10
    again = blend._random_morphology(many, torch.Generator().manual_seed(0)).sum((0, 2, 3, 4))
    assert torch.equal(areas, again)
    draws = [blend(wide, subject, subject.footage).mask for _ in range(2)]
    assert not torch.equal(*draws)


def test_dilations_are_taller_than_wide_and_erosions_take_as_much_from_every_side(face):
    """Width and height, in pixels of 224, of what one pixel becomes, and a hole of one pixel."""
    blend, dot = FaceBlend(face), torch.zeros(1, 60, 1, 224, 224)
    dot[..., 112, 112] = 1
    g = torch.Generator().manual_seed(0)
    grown = {extent(mask) for mask in blend._random_morphology(dot, g)[0, :, 0]}
    assert grown == {(0, 0), (1, 1), (5, 21), (5, 31), (11, 11), (21, 21)}
    holes = {extent(1 - mask) for mask in blend._random_morphology(1 - dot, g)[0, :, 0]}
    assert holes == {(0, 0), (1, 1), (3, 3), (11, 11)}


def extent(mask):
    return int(mask.amax(0).sum()), int(mask.amax(1).sum())


def test_using_it_draws_nothing(face, talk):
    subject, wide = talk
    blend = FaceBlend(face).eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    masks = [blend(wide, subject, subject.footage).mask for _ in range(2)]
    assert torch.equal(*masks)
    assert torch.equal(torch.get_rng_state(), before)


def test_keeping_the_eyes_leaves_everything_above_the_nose_as_it_was(face, talk):
    subject, wide = talk
    blend = FaceBlend(face, keep_eyes=True, morphology="none").eval()(wide, subject, subject.footage)
    eyes = landmarks_2d(face, wide, subject)[0, :, 36:48]
    assert (at_points(blend.mask[0], eyes) == 0).all()
    torch.testing.assert_close(blend.image[..., :30, :], subject.footage[..., :30, :])


def test_lids_that_are_not_the_footages_are_drawn_and_nothing_else_above_the_nose(face, talk):
    subject, wide = talk
    closed = wide.clone()
    closed[:, 1] += closed_eyes_expression(face)
    closed[:, 2] += 0.05 * closed_eyes_expression(face)  # by half a millimetre
    blend = FaceBlend(face, keep_eyes=True, morphology="none").eval()(closed, subject, subject.footage)
    points = landmarks_2d(face, closed, subject)[0]
    lids = at_points(blend.mask[0], points[:, [37, 38, 43, 44]])
    assert (lids[1] > 0.7).all() and (lids[[0, 2, 3, 4]] == 0).all()
    assert (at_points(blend.mask[0], points[:, 17:27] - torch.tensor([0.0, 8.0])) < 0.05).all()  # the forehead


def test_what_is_kept_fades_into_what_is_drawn_and_neither_fades_to_the_outside():
    whole, part = torch.zeros(1, 1, 1, 224, 224), torch.zeros(1, 1, 1, 224, 224)
    whole[..., 40:180, 40:180] = 1
    part[..., 110:180, 40:180] = 1
    assert (_share(whole, whole)[whole > 0] == 1).all()
    rows = _share(part, whole)[0, 0, 0, :, 40:180]
    assert (rows[110:180] > 0.9).all() and (rows[40:90] < 0.01).all()  # to the very sides of the skin
    assert (rows[95:115, 70].diff() > 0).sum() > 10  # a border, no step


def test_training_shows_the_whole_face_in_half_of_the_frames(face, talk):
    subject, _ = talk
    many = subject.at(torch.zeros(40, dtype=torch.long))
    blend = FaceBlend(face, keep_eyes=True, morphology="none").train()
    made = blend(many.expression, many, many.footage, torch.Generator().manual_seed(0))
    eyes = at_points(made.mask[0], landmarks_2d(face, many.expression, many)[0, :, 36:48]).mean(1)
    assert set(eyes.tolist()) == {0.0, 1.0} and 12 < eyes.sum() < 28


def test_the_blend_is_differentiable_in_the_expression(face, talk):
    subject, wide = talk
    one = subject.at(torch.tensor([0]))
    blend = FaceBlend(face, morphology="none").eval()
    weight = torch.linspace(0, 1, SIZE)[:, None].expand(SIZE, SIZE)  # some smooth scalar of the picture
    half = (wide[:, :1] * 0.5).double().float().requires_grad_()
    (blend(half, one, one.footage).image * weight).sum().backward()
    jaw = int(wide[0, 0].argmax())
    assert torch.isfinite(half.grad).all()
    assert half.grad[0, 0, jaw].abs() > 1e-3


@pytest.mark.parametrize(
    ("side", "expected"), [(224, (5, 31)), (512, (11, 71)), (256, (5, 35)), (64, (1, 9)), (16, (1, 3))]
)
def test_footprints_grow_with_the_picture_and_stay_odd(side, expected):
    assert footprint((5, 31), torch.zeros(1, 1, side, side + 8)) == expected


def test_a_soft_edge_is_a_gaussian_of_the_given_width():
    mask = torch.zeros(1, 1, 1, 224, 224)
    mask[..., 112:] = 1
    soft = soften(mask, 4.0)[0, 0, 0, 100]
    expected = torch.special.ndtr((torch.arange(224) + 0.5 - 112) / 4.0)
    torch.testing.assert_close(soft, expected, atol=0.01, rtol=0)
    assert soften(mask, 0.0) is mask
