import torch

from visemix.motion.lm3d import LM3D, mouth
from visemix.types import Motion, Space


def test_rows_are_centimetres_of_what_the_face_does(face, clip):
    rows = LM3D(face, "subject").pack(clip.motion, clip.subject)
    basis = face.expression[face.landmark_ids].flatten(0, 1)
    torch.testing.assert_close(rows, 10 * clip.motion.values @ basis.mT, atol=1e-4, rtol=1e-4)


def test_or_with_the_shape_as_the_authors_have_it(face, clip):
    rows = LM3D(face, "audio").pack(clip.motion, clip.subject)
    points = face.vertices(clip.subject.identity, clip.motion.values)[:, :, face.landmark_ids]
    torch.testing.assert_close(
        rows.unflatten(-1, (68, 3)), 10 * (points - face.mean[face.landmark_ids]), atol=1e-4, rtol=1e-4
    )


def test_both_come_back(face, clip):
    there = face.convert(clip.motion, Space.LANDMARKS, clip.subject)
    for identity in ("subject", "audio"):
        lm3d = LM3D(face, identity)
        torch.testing.assert_close(lm3d.unpack(lm3d.pack(there, clip.subject), clip.subject).values, there.values)


def test_the_mouth_is_the_last_twenty_points():
    rows = torch.arange(204.0).reshape(1, 1, 204)
    assert mouth(rows).flatten().tolist() == list(range(144, 204))


def test_a_face_at_rest_is_its_shape(face, clip):
    still = Motion(torch.zeros(2, 3, face.expression.shape[-1]), Space.EXPRESSION)
    there = face.convert(still, Space.LANDMARKS, clip.subject).values
    torch.testing.assert_close(there, face.shape(clip.subject.identity).unsqueeze(1).expand(-1, 3, -1))
