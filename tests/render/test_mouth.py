import pytest
import torch

from visemix.face import layout
from visemix.render.bindings import Bindings, inner_triangles
from visemix.render.mouth import MouthInterior


@pytest.fixture(scope="module")
def bindings(face):
    return Bindings(face, 3000)


@pytest.fixture
def mouth(face, bindings):
    return MouthInterior(face, bindings, drives=4)


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


def test_only_a_place_that_was_not_seen_is_drawn_to_its_neighbours(mouth):
    torch.manual_seed(0)
    colour = torch.rand(3, len(mouth.paler), requires_grad=True)
    still, seen = torch.zeros(3, len(mouth.paler)), torch.zeros(len(mouth.paler))
    often = torch.rand(len(mouth.ids)) < 0.6
    seen[mouth.ids[often]] = 1000.0
    mouth.set_visibility(seen)
    mouth.losses(colour, still, still, still[0])["alike"].backward()
    pull = colour.grad[:, mouth.ids].abs().mean(0)
    assert pull[often].mean() < 0.02 * pull[~often].mean()


def test_neighbours_are_chosen_by_colour_and_motion_and_not_by_distance_alone(face, bindings, mouth):
    place, albedo, moved = (at(face, bindings, v) for v in (face.mean, face.albedo, face.expression.sum(-1)))
    ids = mouth.ids
    nearest = torch.cdist(place[ids], place).topk(len(mouth.near) + 1, largest=False).indices[:, 1:].mT
    for values, share in ((albedo, 0.5), (moved, 0.62)):
        beside, closest = ((values[ids] - values[k]).norm(dim=-1).mean() for k in (mouth.near[:, ids], nearest))
        assert beside < share * closest


def test_a_mouth_as_the_model_has_it_in_any_light_costs_nothing(mouth):
    colour, still = (0.4 * mouth.paler).expand(3, -1), torch.zeros(3, len(mouth.paler))
    lit, flat = (sum(mouth.losses(c, still, still, still[0]).values()) for c in (colour, 0 * colour + 0.4))
    assert float(lit) == pytest.approx(0, abs=1e-9) and flat > 1e-3


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
    for name in ("visemix.render.bindings.inner_triangles", "visemix.render.mouth.inner_triangles"):
        monkeypatch.setattr(name, lambda f: inner_triangles(f) & False)
    closed = Bindings(face, 1000)
    mouth = MouthInterior(face, closed, drives=2)
    colour = torch.rand(3, 1000)
    assert len(mouth.ids) == 0 and (mouth.free == 1).all()
    assert all(loss.isfinite() for loss in mouth.losses(colour, 0 * colour, 0 * colour, colour[0]).values())
    assert (mouth.shade(torch.ones(2), 1000) == 1).all()
