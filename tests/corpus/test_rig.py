import numpy as np
import pytest

from visemix.corpus.rig import ARKIT, TOY, Rig, rig_layout
from visemix.face import FACE
from visemix.types import VisemixError


@pytest.fixture(params=["toy", "ict"])
def any_face(request, assets):
    return FACE.build({"name": request.param})


def test_either_face_does_the_same_actions(any_face):
    rig = Rig(any_face)
    assert set(rig.moves) == set(TOY) == set(ARKIT)
    for action, move in rig.moves.items():
        assert (move.max(1) > 0).all(), action


def test_the_jaw_parts_the_lips_and_the_seal_closes_them(any_face):
    rig = Rig(any_face)
    opened = rig.perform({"jaw": np.array([0.0, 0.4, 0.9]), "spread": np.array([0.0, 0.5, 0.0])})
    gaps = opened @ rig.parting
    assert 0.12 < gaps[2] < 0.25  # decimetres: an "ah" is some 15 mm
    closed = rig.seal(opened, np.ones(3)) @ rig.parting
    np.testing.assert_allclose(closed, 0, atol=2e-3)
    half = rig.seal(opened, np.full(3, 0.5)) @ rig.parting
    np.testing.assert_allclose(half, gaps / 2, atol=1e-6)


def test_a_balance_does_more_on_one_side_and_spares_what_has_no_sides(any_face):
    rig = Rig(any_face)
    curves = {"smile": np.array([0.5]), "jaw": np.array([0.5])}
    even, leaning = rig.perform(curves)[0], rig.perform(curves, 0.2)[0]
    left, right = (move > 0 for move in rig.moves["smile"])
    np.testing.assert_allclose(leaning[left], 1.2 * even[left])
    np.testing.assert_allclose(leaning[right], 0.8 * even[right])
    np.testing.assert_allclose(leaning[~left & ~right], even[~left & ~right])


def test_a_tongue_is_used_where_a_face_has_one(face):
    other = FACE.build({"name": "toy"})
    other.expression_names = (*other.expression_names[:-1], "tongueOut")
    assert "tongue" in rig_layout(other) and "tongue" not in rig_layout(face)


def test_a_face_that_is_not_known_is_refused_in_a_sentence():
    other = FACE.build({"name": "toy"})
    other.name, other.expression_names = "other", ()
    with pytest.raises(
        VisemixError, match=r"face 'other' cannot act: it has no expression .*; use the toy face or ict"
    ):
        Rig(other)
