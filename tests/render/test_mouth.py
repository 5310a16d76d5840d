import pytest
import torch

from visemix.face import layout
from visemix.render.bindings import Bindings, inside
from visemix.render.mouth import Mouth


@pytest.fixture(scope="module")
def bindings(face):
    return Bindings(face, 3000)


@pytest.fixture
def mouth(face, bindings):
    return Mouth(face, bindings, drives=4)


def at(face, bindings, values):
    return (values[bindings.vertices][bindings.corners] * bindings.weights[..., None]).sum(0)


def alone(mouth, colour, steps=300, **held):
    """What the prior by itself makes of colours, where `seen` ones are held fast."""
    seen = held.get("seen")
    free = torch.nn.Parameter(colour.clone())
    optimiser = torch.optim.Adam([free], lr=0.01)
    still, opacity = torch.zeros_like(colour), torch.zeros(colour.shape[1])
    for _ in range(steps):
        optimiser.zero_grad()
        sum(mouth.losses(free, still, still, opacity).values()).backward()
        optimiser.step()
        if seen is not None:
            free.data[:, seen] = colour[:, seen]
    return free.detach()


def test_inside_are_teeth_and_tongue_and_neither_lips_nor_eyes(face, bindings, mouth):
    place = at(face, bindings, face.mean)[mouth.ids]
    lips, eye = (face.mean[face.landmark_ids[where]].mean(0) for where in (layout.MOUTH, layout.LEFT_EYE))
    assert len(mouth.ids) > 100
    assert not bindings.on_skin[mouth.ids].any()
    assert ((place - lips).norm(dim=1) < (place - eye).norm(dim=1)).all()


def test_what_was_never_seen_takes_the_colour_of_what_was_seen_beside_it(face, bindings, mouth):
    torch.manual_seed(0)
    albedo = at(face, bindings, face.albedo).mT
    colour = 0.5 * albedo  # this mouth lies in the shade
    unseen = mouth.ids[torch.rand(len(mouth.ids)) < 0.4]
    seen = torch.ones(colour.shape[1], dtype=torch.bool)
    seen[unseen] = False
    specks = colour.clone()
    specks[:, unseen] = torch.rand(3, len(unseen))
    made = alone(mouth, specks, seen=seen)
    before, after = ((c - colour)[:, unseen].abs().mean() for c in (specks, made))
    assert after < 0.25 * before


def test_teeth_do_not_fade_into_gums_nor_upper_ones_into_lower_ones(face, bindings, mouth):
    albedo, moved = (at(face, bindings, values) for values in (face.albedo, face.expression.sum(-1)))
    ids, near = mouth.ids, mouth.near[:, mouth.ids]
    anyone = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))]
    for values in (albedo, moved):
        beside, elsewhere = ((values[ids] - values[other]).norm(dim=-1).mean() for other in (near, anyone))
        assert beside < 0.3 * elsewhere


def test_one_shade_darkens_the_mouth_and_nothing_else(mouth):
    with torch.no_grad():
        mouth.values[1, 0] = -1.0
        shade = mouth.shade(torch.tensor([0.0, 2.0, 0, 0]), mouth.free.numel() + 5)
    expected = torch.ones(mouth.free.numel() + 5)
    expected[mouth.ids] = torch.tensor(-2.0).exp()
    torch.testing.assert_close(shade, expected)


def test_no_drive_brightens_a_mouth_more_than_twofold(mouth):
    with torch.no_grad():
        mouth.values[0, 0] = 5.0
        assert mouth.shade(torch.tensor([100.0, 0, 0, 0]), mouth.free.numel()).max() < 2


def test_a_face_model_without_a_mouth_inside_leaves_its_membrane_free(face, monkeypatch):
    for name in ("visemix.render.bindings.inside", "visemix.render.mouth.inside"):
        monkeypatch.setattr(name, lambda f: inside(f) & False)
    closed = Bindings(face, 1000)
    mouth = Mouth(face, closed, drives=2)
    colour = torch.rand(3, 1000)
    assert len(mouth.ids) == 0 and mouth.free.all()
    assert all(loss.isfinite() for loss in mouth.losses(colour, 0 * colour, 0 * colour, colour[0]).values())
    assert (mouth.shade(torch.ones(2), 1000) == 1).all()
