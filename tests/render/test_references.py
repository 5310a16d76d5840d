from dataclasses import replace

import pytest
import torch
from conftest import make_clip

from visemix.face.shading import landmarks_2d
from visemix.render import RENDER
from visemix.render.references import choose_reference, nearest_reference
from visemix.types import Gallery, Motion, Space

MOUTH = slice(48, 68)


@pytest.fixture(scope="module")
def person(face):
    """One subject, ten frames of 96 pixels, and a gallery of the same frames."""
    subject = make_clip(face, batch=1, size=96).subject
    pictures = subject.footage.mul(255).round().byte()
    return replace(subject, gallery=Gallery(pictures, subject.expression, subject.pose))


def test_a_face_finds_the_picture_of_itself_and_nothing_moves(face, person):
    index = choose_reference(face, person.expression, person.pose, person.gallery)
    assert index.tolist() == [list(range(10))]
    found = nearest_reference(face, person.expression, person, person.gallery)
    torch.testing.assert_close(found, person.gallery.pictures / 255, atol=0.01, rtol=0)


def test_it_is_the_mouth_that_counts_and_not_the_eyes(face, person):
    other = person.expression.clone()
    for name in ("blink_left", "blink_right", "brow_left", "brows_together"):
        other[..., face.expression_names.index(name)] = 1.0
    assert choose_reference(face, other, person.pose, person.gallery).tolist() == [list(range(10))]


def test_a_head_that_is_turned_alike_is_preferred(face, person):
    still = person.expression[:, :1].expand_as(person.expression)
    gallery = Gallery(person.gallery.pictures, still, person.pose)
    assert choose_reference(face, still, person.pose, gallery).tolist() == [list(range(10))]


def test_what_is_chosen_is_moved_to_the_driven_mouth(face, person):
    """A picture whose red and green say where in it one is shows where each pixel was taken from."""
    ys, xs = torch.meshgrid(torch.arange(96) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    places = (torch.stack([xs, ys, 0 * xs]) * 2).round().byte()
    one = person.at(torch.tensor([0]))
    gallery = Gallery(places[None, None], one.expression, one.pose)
    wide = one.expression.clone()
    wide[..., face.expression_names.index("jaw_drop")] = 1.0
    found = nearest_reference(face, wide, one, gallery)[0, 0] * 255 / 2
    before, after = (landmarks_2d(face, e, one)[0, 0, MOUTH] for e in (one.expression, wide))
    assert (after - before).norm(dim=-1).max() > 3
    x, y = after.floor().long().unbind(-1)
    taken = found[:2, y, x].mT
    assert (taken - before).norm(dim=-1).median() < 1.5


def test_taft_looks_at_the_nearest_pictures_where_there_are_any(face, person):
    torch.manual_seed(0)
    options = {
        "base": 8,
        "max_channels": 32,
        "perceptual_weight": 0.0,
        "style_weight": 0.0,
        "composite": False,
        "precision": "float32",
    }
    part = RENDER.build({"name": "taft", "reference": "nearest"} | options, face).eval()
    motion = Motion(person.expression, Space.EXPRESSION)
    dark = replace(person, gallery=replace(person.gallery, pictures=0 * person.gallery.pictures))
    with torch.no_grad():
        frames = [part(motion, who).frames for who in (person, dark, replace(person, gallery=None))]
        part.chunk = 3
        assert (part(motion, person).frames - frames[0]).abs().max() < 1e-4
    assert all((some - frames[0]).abs().max() > 1e-3 for some in frames[1:])
