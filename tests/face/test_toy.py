import pytest
import torch

from visemix.face import FACE, draw
from visemix.types import Motion, Space

# R-Net's standard points (dm): eyes, nose tip, mouth corners
STANDARD = torch.tensor(
    [
        [-0.311487, 0.290361, 0.133780],
        [0.309799, 0.289720, 0.131795],
        [0.003253, -0.046179, 0.552442],
        [-0.252169, -0.381339, 0.224057],
        [0.248466, -0.381282, 0.222358],
    ]
)


def test_the_head_has_the_size_of_a_real_one(face):
    points = face.mean[face.landmark_ids]
    five = torch.stack([points[[36, 39]].mean(0), points[[42, 45]].mean(0), points[30], points[48], points[54]])
    assert (five - STANDARD).abs().max() < 0.09


def test_landmarks_are_laid_out_as_ibug_68(face):
    x, y, z = face.mean[face.landmark_ids].T
    assert (x[:17].diff() > 0).all()  # the jaw from image left to image right
    assert y[:17].argmin() == 8
    assert (x[17:27].diff() > 0).all()
    assert (y[27:31].diff() < 0).all()
    assert z[:68].argmax() == 30
    assert x[36] < x[39] < x[42] < x[45]
    assert (y[[37, 38, 43, 44]] > y[[41, 40, 47, 46]]).all()
    assert (x[48:55].diff() > 0).all()
    assert (x[54:60].diff() < 0).all()
    assert (x[60:65].diff() > 0).all()
    assert len(face.landmark_ids.unique()) == 68


def mouth(face, **coefficients):
    values = torch.zeros(1, 1, 24)
    for name, value in coefficients.items():
        values[..., face.expression_names.index(name)] = value
    return values


def gap(face, clip, values):
    subject = clip.subject.at(torch.arange(1))
    points = face.landmarks(Motion(values.expand(2, 1, 24), Space.EXPRESSION), subject)[0, 0]
    return (points[62] - points[66])[1].item(), (points[54] - points[48])[0].item()


def test_a_dropped_jaw_opens_the_mouth_and_a_pucker_narrows_it(face, clip):
    closed, wide = gap(face, clip, mouth(face))
    assert abs(closed) < 0.02
    assert gap(face, clip, mouth(face, jaw_drop=1.0))[0] > 0.2
    assert gap(face, clip, mouth(face, pucker=1.0))[1] < 0.85 * wide
    assert gap(face, clip, mouth(face, smile_left=1.0, smile_right=1.0))[1] > 1.2 * wide


def test_an_open_mouth_is_dark_with_teeth_and_a_closed_one_shows_neither(face, clip):
    subject = clip.subject.at(torch.arange(1))
    shut = draw(face, mouth(face).expand(2, 1, 24), subject, (64, 64)).image[0, 0]
    wide = draw(face, mouth(face, jaw_drop=1.0).expand(2, 1, 24), subject, (64, 64)).image[0, 0]
    lips = (slice(None), slice(40, 52), slice(26, 39))
    assert shut[lips].amax(0).min() > 0.3
    assert wide[lips].amax(0).min() < 0.15


def test_closed_skin_covers_an_open_mouth(face, clip):
    subject = clip.subject.at(torch.arange(1))
    skin = draw(face, mouth(face, jaw_drop=1.0).expand(2, 1, 24), subject, (64, 64)).skin[0, 0, 0]
    for row in skin:
        covered = row.nonzero()
        if len(covered):
            assert row[covered.min() : covered.max() + 1].all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_blink_closes_one_eye(face, clip, side):
    subject = clip.subject.at(torch.arange(1))
    values = mouth(face, **{f"blink_{side}": 1.0}).expand(2, 1, 24)
    points = face.landmarks(Motion(values, Space.EXPRESSION), subject)[0, 0]
    height = {"left": (points[37] - points[41])[1], "right": (points[43] - points[47])[1]}
    other = "right" if side == "left" else "left"
    assert height[side] < 0.02
    assert height[other] > 0.05


def test_the_same_head_is_built_every_time(face):
    torch.testing.assert_close(FACE.build({"name": "toy"}).mean, face.mean, atol=0, rtol=0)


def test_all_arrays_are_finite_and_indices_fit(face):
    for name, value in face.named_buffers():
        assert value.isfinite().all(), name
    assert face.triangles.min() == 0
    assert max(face.triangles.max(), face.hole.max()) < len(face.mean)
    assert face.albedo.min() >= 0
    assert face.albedo.max() <= 1
    assert 4000 < len(face.mean) < 9000
