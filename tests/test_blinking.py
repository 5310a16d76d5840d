from dataclasses import replace

import pytest
import torch

from visemix.face.eyes import EYES, blinks, closed_eyes_expression, lid_gap
from visemix.pipeline import TalkingFace
from visemix.types import SAMPLES_PER_FRAME, Motion, Space, Speech, VisemixError

PARTS = {"face": {"name": "toy"}, "audio": {"name": "mel", "dim": 8}, "render": {"name": "mesh"}}
MOUTH = slice(48, 68)


def model_of(space="expression", **options):
    """What an untrained net says moves nothing over time but everything from the footage's place."""
    torch.manual_seed(0)
    motion = {"name": "regression", "hidden": 8, "layers": 1, "space": space}
    model = TalkingFace.from_config(PARTS | {"motion": motion} | options).eval()
    torch.nn.init.normal_(model.motion.head.weight, std=0.3)
    return model


def said(model, footage):
    """What the motion model says over the footage, and what drives the renderer."""
    subject = footage.subject(range(footage.frames), footage=False)
    with torch.no_grad():
        features = model.audio(footage.speech(0, footage.frames))
        return model.motion(features, subject), model.predict_motion(features, subject), subject


def points(model, motion, subject):
    return model.face.landmarks(motion, subject)[0]


def gap(landmarks):
    return (landmarks[:, [37, 38, 43, 44], 1] - landmarks[:, [41, 40, 47, 46], 1]).mean(1)


@pytest.mark.parametrize("space", ["expression", "landmarks"])
def test_what_came_from_sound_blinks_when_the_footage_does_and_speaks_as_before(footage, space):
    model = model_of(space)
    spoken, moved, subject = said(model, footage)
    own = gap(points(model, Motion(subject.expression, Space.EXPRESSION), subject))
    assert (own < 0.3 * own.median()).sum() > 3  # it does blink
    before, after = (points(model, motion, subject) for motion in (spoken, moved))
    assert torch.stack([gap(after), own]).corrcoef()[0, 1] > 0.95
    assert abs(torch.stack([gap(before), own]).corrcoef()[0, 1]) < 0.5
    assert (after - before)[:, MOUTH].norm(dim=-1).max() < 1e-4  # decimetres: a hundredth of a millimetre


def test_landmarks_that_drive_a_renderer_of_expressions_blink_too(footage):
    model = model_of("landmarks")
    _, moved, subject = said(model, footage)
    drawn = model.face.convert(moved, Space.EXPRESSION, subject)
    own = gap(points(model, Motion(subject.expression, Space.EXPRESSION), subject))
    assert torch.stack([gap(points(model, drawn, subject)), own]).corrcoef()[0, 1] > 0.95


def test_the_motion_model_keeps_its_eyes_where_it_is_told_to(footage):
    spoken, moved, _ = said(model_of(eyes="driven"), footage)
    assert torch.equal(spoken.values, moved.values)


@pytest.mark.parametrize("space", ["expression", "landmarks"])
@pytest.mark.parametrize("eyes", EYES)
def test_in_pieces_of_any_length_it_is_the_same_to_the_byte(footage, space, eyes, monkeypatch):
    model = model_of(space, eyes=eyes)
    spoken, moved, subject = said(model, footage)
    for length in (1, 7, 64):
        pieces = spoken.values.split(length, 1)
        monkeypatch.setattr(
            model, "stream_speech_motion", lambda speech, still, pieces=pieces: (iter(pieces), spoken.space)
        )
        assert torch.equal(
            torch.cat(list(model.stream_motion(footage.speech(0, footage.frames), subject)[0]), 1), moved.values
        )


def test_eyes_come_from_the_frames_that_are_shown_there_and_back_again(footage, monkeypatch):
    model = model_of()
    order = [0, 1, 2, 1, 0]
    subject = footage.subject(order, footage=False)
    expression = subject.expression.clone()
    expression[:, 2, closed_eyes_expression(model.face).bool()] = 1.0
    still = replace(subject, expression=expression)
    moved = model.apply_eyes(Motion(torch.zeros_like(expression), Space.EXPRESSION), still)
    seen = lid_gap(model.face, moved.values, still)[0]
    assert seen[2] < 0.1 * seen[1] and torch.equal(seen[:2], seen[3:].flip(0))


def test_blinks_are_made_only_where_they_are_wanted(footage):
    subject = footage.subject([0] * 1000, footage=False)
    for eyes, changes in {"blinking": True, "footage": False}.items():
        moved = model_of(eyes=eyes).apply_eyes(Motion(subject.expression, Space.EXPRESSION), subject)
        assert torch.equal(moved.values, subject.expression) is not changes
    as_it_was = model_of().apply_eyes(Motion(subject.expression, Space.EXPRESSION), subject, made=False)
    assert torch.equal(as_it_was.values, subject.expression)


def test_recorded_motion_is_drawn_as_it_is(footage):
    model, subject = model_of(), footage.subject(range(4), reference=0)
    recorded = Motion(subject.expression.roll(1, 1), Space.EXPRESSION)
    assert torch.equal(model.draw(recorded, subject).frames, model.render(recorded, subject).frames)


def test_pictures_of_speech_blink(footage):
    model, frames = model_of(), 40
    subject = footage.subject([0] * frames, reference=0)
    words = Speech(torch.zeros(1, frames * SAMPLES_PER_FRAME))
    shown = {}
    for eyes in ("blinking", "footage"):
        model.eyes, model.blink_seed = eyes, next(s for s in range(99) if 10 < blinks(frames, s).argmax() < 30)
        with torch.no_grad():
            shown[eyes] = model(words, subject).frames
    when = blinks(frames, model.blink_seed) > 0
    changed = (shown["blinking"] != shown["footage"]).flatten(2).any(-1)[0]
    assert torch.equal(changed, when)


def test_a_word_for_the_eyes_that_nobody_knows_is_refused():
    with pytest.raises(VisemixError, match=r"eyes=footag is nobody's; did you mean 'footage'\?"):
        model_of(eyes="footag")


def test_a_checkpoint_carries_whose_eyes_are_shown_and_whoever_loads_it_may_say_otherwise(tmp_path):
    model_of(eyes="driven").save(tmp_path / "model.safetensors")
    assert TalkingFace.from_checkpoint(tmp_path).eyes == "driven"
    assert TalkingFace.from_checkpoint(tmp_path, eyes="footage").eyes == "footage"
