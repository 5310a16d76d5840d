from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussians_maker import begun, build, one_person, single

from visemix.face.eyes import closed_eyes_expression
from visemix.face.shading import draw, landmarks_2d
from visemix.render.paste import composite_over_footage, face_mask, mask_bounds
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


def test_a_mask_stays_inside_the_skin_but_goes_below_the_chin_and_leaves_out_what_is_kept():
    """Skin on rows 20 to 40 and columns 20 to 40 of 64, the lower half of it jaw; two cells to fade, two of chin."""
    y, x = torch.meshgrid(torch.arange(20, 41), torch.arange(20, 41), indexing="ij")
    points, lower = torch.stack([x, y], -1).flatten(0, 1) + 0.5, y.flatten() > 30
    wanted = torch.zeros(64, 64)
    wanted[22:43, 22:39] = 1
    nobody = torch.zeros(len(points), dtype=torch.bool)
    assert torch.equal(face_mask(points, lower, nobody, (64, 64), 1)[0, 0], wanted)
    wanted[:31] = 0
    assert torch.equal(face_mask(points, lower, ~lower, (64, 64), 1)[0, 0], wanted)


def test_outside_the_bounds_of_a_mask_there_is_nothing_to_know():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 12:20, 14:16] = 1
    assert mask_bounds(mask) == (slice(7, 25), slice(9, 21)) and mask_bounds(0 * mask) is None
    footage, made = torch.rand(2, 3, 80, 80, generator=torch.Generator().manual_seed(0)) * 0.2
    whole, cells = composite_over_footage(made, footage, mask, 2), (slice(7, 25), slice(9, 21))
    rows, columns = (slice(2 * part.start, 2 * part.stop) for part in cells)
    part = composite_over_footage(made[:, rows, columns], footage[:, rows, columns], mask[..., *cells], 2)
    torch.testing.assert_close(part, whole[:, rows, columns], atol=1e-6, rtol=0)
    whole[:, rows, columns] = footage[:, rows, columns]
    assert torch.equal(whole, footage)


def test_light_crosses_a_straight_seam_as_summed_cell_by_cell():
    footage, made = torch.full((3, 40, 40), 0.5), torch.full((3, 40, 40), 0.4)
    mask = (torch.arange(40) >= 20).float()
    out = composite_over_footage(made, footage, mask.expand(1, 1, 40, 40), 1)

    def blur(row, reach):
        for _ in range(2):
            row = np.convolve(np.pad(row, reach, mode="edge"), np.ones(2 * reach + 1) / (2 * reach + 1), "valid")
        return row

    ring = np.zeros(40)
    ring[19:21] = 1  # a cell to either side
    near, alike = blur(ring, 3), blur(ring * np.exp(-((0.1 / 0.2) ** 2)), 3)
    shift, share = near / (near + 0.05) * 0.1 * alike / (alike + 0.003), blur(mask.numpy(), 1)
    wanted = 0.5 * (1 - share) + (0.4 + shift * share) * share
    torch.testing.assert_close(out, torch.from_numpy(wanted).float().expand(3, 40, 40), atol=1e-5, rtol=0)


def test_a_small_face_at_the_side_is_painted_where_it_stands(face, monkeypatch):
    """Only cells around it are drawn, by a camera that is moved as far as these lie from the corner."""
    clip, bounds = one_person(face, frames=1, size=128), []
    pose = clip.subject.pose.clone()
    pose[..., 3:] = torch.tensor([2.0, -0.5, -15.0])
    subject = replace(clip.subject, pose=pose, footage=torch.rand_like(clip.subject.footage))
    render, motion = begun(face, clip, count=4000).eval(), Motion(subject.expression, Space.EXPRESSION)
    monkeypatch.setattr("visemix.render.paste.mask_bounds", lambda mask: bounds.append(mask_bounds(mask)) or bounds[-1])
    part = render(motion, subject).frames
    rows, columns = bounds[0]
    assert rows.start != columns.start and min(rows.start, columns.start) > 2
    monkeypatch.setattr("visemix.render.paste.mask_bounds", lambda mask: (slice(0, 1000), slice(0, 1000)))
    torch.testing.assert_close(part, render(motion, subject).frames, atol=2e-3, rtol=0)
    assert (part - subject.footage).abs().max() > 0.1
