from dataclasses import replace

import pytest
import torch

from visemix.face.eyes import blinking, blinks, closed_eyes_expression, lid_gap
from visemix.types import collate

MOUTH = slice(48, 68)


def frozen(footage, frames):
    """One frame, held for so long."""
    return footage.subject([0] * frames, footage=False)


def test_footage_that_never_blinks_is_given_blinks_and_keeps_its_eyes_in_between(footage, face):
    subject = frozen(footage, 1000)
    gaps = lid_gap(face, blinking(face, subject), subject)[0]
    closed = gaps < 0.05 * gaps.max()
    begins = (closed[1:] & ~closed[:-1]).nonzero()[:, 0]
    assert 6 <= len(begins) <= 14  # in forty seconds
    assert (gaps == gaps.max()).float().mean() > 0.8
    assert torch.equal(blinking(face, subject), blinking(face, subject))
    assert not torch.equal(blinking(face, subject), blinking(face, subject, seed=1))


def test_only_whoever_never_blinks_is_given_blinks(footage, face):
    blinks_itself = footage.subject(range(footage.frames), footage=False)
    still = frozen(footage, footage.frames)
    both = collate([blinks_itself, still])
    made = blinking(face, both)
    assert torch.equal(made[0], blinks_itself.expression[0])
    assert not torch.equal(made[1], still.expression[0])


def test_blinks_come_every_four_seconds_or_so_and_close_faster_than_they_open():
    closed = torch.stack([blinks(2500, seed) for seed in range(40)])
    at = [(row == 1).nonzero()[:, 0] for row in closed]
    assert 3.6 < torch.cat([times.diff() for times in at]).float().mean() / 25 < 4.4
    one = closed[0, at[0][0] - 3 : at[0][0] + 6]
    assert one.tolist() == pytest.approx([0, 7 / 27, 20 / 27, 1, 0.896, 0.648, 0.352, 0.104, 0])
    assert torch.equal(blinks(500), blinks(2500)[:500])


def test_a_face_without_names_finds_out_how_to_close_its_eyes(footage, face, monkeypatch):
    person = frozen(footage, 1)
    mean = replace(person, identity=torch.zeros_like(person.identity))
    at_rest = lid_gap(face, torch.zeros(1, 1, len(closed_eyes_expression(face))), mean)
    monkeypatch.setattr(face, "expression_names", ())
    shut = closed_eyes_expression(face)
    moved = (face.expression[face.landmark_ids] @ shut).norm(dim=-1)
    assert lid_gap(face, shut[None, None], mean) < 0.1 * at_rest
    assert shut.abs().max() < 1.5 and moved[MOUTH].max() < 1e-3 and moved[:17].max() < 1e-3
