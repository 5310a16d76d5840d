"""Expression → landmarks → expression: what lets every motion model drive every renderer."""

import pytest
import torch

from visemix.face import FACE
from visemix.face.layout import MOUTH
from visemix.types import Motion, Space, Subject


@pytest.fixture(params=["toy", "ict"])
def model(request):
    if request.param == "toy":
        return FACE.build({"name": "toy"})
    return FACE.build({"name": "ict", "path": str(request.getfixturevalue("assets") / "face/ict_facekit.npz")})


def speaking(face):
    """Two people, fifty frames of plausible expressions."""
    g = torch.Generator().manual_seed(0)
    low, high = face.expression_range.T
    expression = (low + (high - low) * torch.rand(2, 50, len(low), generator=g)) * 0.4
    identity = torch.randn(2, face.identity.shape[-1], generator=g)
    rest = [torch.zeros(2, *shape) for shape in ((50, 6), (3,), (50, 27), (4, 3))]
    return Motion(expression, Space.EXPRESSION), Subject(("a", "b"), identity, expression, *rest)


def there_and_back(face, motion, subject):
    there = face.convert(motion, Space.LANDMARKS, subject)
    back = face.convert(there, Space.EXPRESSION, subject)
    return there, back, face.convert(back, Space.LANDMARKS, subject)


def test_landmarks_come_back_within_a_hundredth_of_a_millimetre(model):
    there, _, again = there_and_back(model, *speaking(model))
    assert (there.values - again.values).abs().max() < 1e-4  # decimetres


def test_the_mesh_between_the_landmarks_comes_back_within_two_millimetres(model):
    """Sixty-eight points do not say everything that the basis can do; where they are silent, the least is assumed."""
    motion, subject = speaking(model)
    _, back, _ = there_and_back(model, motion, subject)
    vertices = model.vertices(subject.identity, motion.values) - model.vertices(subject.identity, back.values)
    assert vertices[:, :, model.lower].norm(dim=-1).square().mean().sqrt() < 0.02


def test_what_no_expression_can_do_is_met_half_way(model):
    """Noise of a millimetre on every point, as a landmark model makes it, is not blown up."""
    motion, subject = speaking(model)
    there = model.convert(motion, Space.LANDMARKS, subject)
    noise = 0.01 * torch.randn(there.values.shape, generator=torch.Generator().manual_seed(1))
    noisy = Motion(there.values + noise, Space.LANDMARKS)
    again = model.convert(model.convert(noisy, Space.EXPRESSION, subject), Space.LANDMARKS, subject)
    off = (again.values - there.values).unflatten(-1, (68, 3))[:, :, MOUTH]
    assert off.square().mean().sqrt() < 0.01
