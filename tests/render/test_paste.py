from dataclasses import replace

import pytest
import torch
from gaussians_maker import begun, build, one_person, single

from visemix.face.eyes import closed_eyes_expression
from visemix.face.shading import draw, landmarks_2d
from visemix.types import Motion, Space


def test_what_is_pasted_ends_within_six_cells_of_the_face_and_the_rest_is_the_footage(face, clip):
    render = build(face, count=6000, paste="face").eval()
    with torch.no_grad():
        frames = render(clip.motion, clip.subject).frames
    changed = (frames - clip.subject.footage).abs().amax(2) > 1e-4
    skin = draw(face, clip.motion.values, clip.subject, (64, 64)).skin.flatten(0, 1)
    near = torch.nn.functional.max_pool2d(skin, 25, 1, 12)  # a cell is two pixels here
    assert changed.any()
    assert not (changed.flatten(0, 1) & (near[:, 0] == 0)).any()


def test_eyes_stay_as_they_were_filmed_until_motion_moves_them(face):
    clip = one_person(face, frames=1, size=128)
    render = begun(face, clip, count=6000, paste="face").eval()
    blink = clip.motion.values + closed_eyes_expression(face) * 0.8
    eyes = landmarks_2d(face, clip.motion.values, clip.subject)[0, 0, 36:48]
    (left, top), (right, bottom) = (edge(eyes, 0).values.round().long().tolist() for edge in (torch.min, torch.max))
    with torch.no_grad():
        still, shut = (render(Motion(m, Space.EXPRESSION), clip.subject).frames for m in (clip.motion.values, blink))
    changed = [(f - clip.subject.footage)[0, 0, :, top:bottom, left:right].abs().max() for f in (still, shut)]
    assert changed[0] == 0 and changed[1] > 0.05


def test_a_face_of_few_gaussians_is_pasted_too(face, clip):
    render = build(face, count=100, paste="face").eval()
    with torch.no_grad():
        assert (render(clip.motion, clip.subject).frames - clip.subject.footage).abs().amax() > 0.05


def test_the_seam_takes_the_light_of_the_footage_and_the_middle_keeps_its_picture():
    from visemix.render.paste import composite_over_footage

    footage, made = torch.full((3, 128, 128), 0.6), torch.full((3, 128, 128), 0.4)
    made[:, 60:68, 60:68] += 0.2
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    out = composite_over_footage(made, footage, mask, 2)
    assert torch.equal(out[:, :20], footage[:, :20])
    torch.testing.assert_close(out[:, 34], footage[:, 34], atol=0.06, rtol=0)  # no step at the seam
    assert float(out[0, 64, 64] - out[0, 64, 50]) == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (61, 70)])
def test_a_pasted_face_is_drawn_no_further_than_it_is_seen_and_looks_the_same(face, monkeypatch, size):
    clip = one_person(face)
    footage, place = torch.rand(1, clip.subject.frames, 3, *size), torch.rand(1, 3, *size)
    subject = replace(clip.subject, footage=footage, background=place, reference=None, labels=None)
    render, motion = begun(face, clip), Motion(0.5 * clip.subject.expression, Space.EXPRESSION)
    part = render(motion, subject).frames
    everything = tuple(slice(0, 1000) for _ in size)
    monkeypatch.setattr("visemix.render.paste.mask_bounds", lambda mask: everything)
    torch.testing.assert_close(part, render(motion, subject).frames, atol=2e-3, rtol=0)


def test_of_a_face_outside_the_picture_nothing_is_pasted(face):
    clip = one_person(face)
    away = clip.subject.pose.clone()
    away[..., 3] = 30.0
    subject = replace(clip.subject, pose=away)
    made = begun(face, clip)(Motion(subject.expression, Space.EXPRESSION), subject)
    assert torch.equal(made.frames, subject.footage.clamp(0, 1))


def test_what_is_another_thing_beside_the_seam_lights_nothing():
    """The footage shows dark hair on one side of a face whose painted skin is a little too dark everywhere."""
    from visemix.render.paste import composite_over_footage

    footage, made = torch.full((3, 128, 128), 0.7), torch.full((3, 128, 128), 0.65)
    footage[..., :32] = 0.1
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    out = composite_over_footage(made, footage, mask, 2)[0, 64]
    assert out[40:].min() > 0.64 and out[90] == pytest.approx(0.69, abs=0.015)


def test_bfloat16_moves_no_skin_that_was_filmed(face, monkeypatch):
    clip, seen = single(one_person(face), 0), []
    monkeypatch.setattr(
        "visemix.render.gaussians.paste", lambda draw, footage, places, *_: seen.append(places) or footage
    )
    render = begun(face, clip).eval()
    with torch.no_grad():
        render(clip.motion, clip.subject)
        with torch.autocast("cpu", torch.bfloat16):
            render(clip.motion, clip.subject)
    exact, coarse = seen
    assert all(torch.equal(a, b) for a, b in zip(exact, coarse, strict=True))
