import logging

import pytest
import torch
from a2ep_maker import AUDIO_DIM, build, make_subject, sound

from visemix.motion import A2EP
from visemix.types import AudioFeatures, Motion, Space, VisemixError


@pytest.fixture
def subject(face):
    return make_subject(face, ("ann", "bob"))


def test_every_weight_learns(face, subject):
    for options in ({}, {"compat": "official"}, {"teacher_forcing": 1.0}, {"sigma1": 1}, {"template": "none"}):
        model = build(face, speakers=["ann", "bob"], **options).train()
        target = Motion(torch.randn(2, 6, model.head.out_features), Space.EXPRESSION)
        sum(model.loss(sound(6), subject, target).values()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_each_speaker_has_a_style_of_its_own(face):
    model = build(face, speakers=["ann", "bob"])
    one = AudioFeatures(sound(5, batch=1).values.expand(2, -1, -1))
    ann, bob = model(one, make_subject(face, ("ann", "bob"))).values
    assert not torch.allclose(ann, bob, atol=1e-3)


def test_a_stranger_speaks_like_the_first_and_the_log_says_so_once(face, caplog):
    model, audio = build(face, speakers=["ann", "bob"]), sound(5, batch=1)
    with caplog.at_level(logging.WARNING):
        stranger = model(audio, make_subject(face, ("zoe",))).values
        model(audio, make_subject(face, ("zoe",)))
    torch.testing.assert_close(stranger, model(audio, make_subject(face, ("ann",))).values)
    assert [r.getMessage() for r in caplog.records] == [
        "'zoe' has no style of its own; it speaks like 'ann' (motion.style)"
    ]


def test_a_chosen_style_is_everyones(face):
    torch.manual_seed(0)
    model, audio = build(face, speakers=["ann", "bob"], style="bob"), sound(5, batch=1)
    other = build(face, speakers=["ann", "bob"])
    expected = other(audio, make_subject(face, ("bob",))).values
    for name in ("ann", "zoe"):
        torch.testing.assert_close(model(audio, make_subject(face, (name,))).values, expected)


def test_training_on_a_stranger_is_refused_by_name(face, subject):
    model = build(face, speakers=["ann"]).train()
    target = Motion(torch.zeros(2, 4, model.head.out_features), Space.EXPRESSION)
    with pytest.raises(VisemixError, match=r"'bob' is not among motion.speakers \(ann\)"):
        model.loss(sound(4), subject, target)


def loss_of(face, subject, delta, **options):
    model = build(face, **options)
    spoken = model(sound(4), subject)
    return model.loss(sound(4), subject, Motion(spoken.values - delta, spoken.space))


def test_the_loss_is_the_papers_over_the_faces_vertices(face, subject):
    delta = torch.randn(2, 4, face.expression.shape[-1], generator=torch.Generator().manual_seed(5))
    moved = 10 * torch.einsum("nce,bte->btnc", face.expression, delta)  # centimetres
    weight = torch.where(face.lower, 1.8, 1.0)
    expected = (weight * moved.square().sum(-1)).mean()
    torch.testing.assert_close(loss_of(face, subject, delta)["expression"], expected, rtol=1e-4, atol=0)
    plain = moved.square().sum(-1).mean()
    torch.testing.assert_close(loss_of(face, subject, delta, mouth=1.0)["expression"], plain, rtol=1e-4, atol=0)
    coefficients = loss_of(face, subject, delta, supervision="coefficients")["expression"]
    torch.testing.assert_close(coefficients, delta.square().mean(), rtol=1e-4, atol=0)


def test_without_a_template_the_truth_keeps_the_speakers_shape(face, subject):
    delta = torch.zeros(2, 4, face.expression.shape[-1])
    shape = 10 * torch.einsum("nci,bi->bnc", face.identity, subject.identity)  # centimetres
    weight = torch.where(face.lower, 1.8, 1.0)
    expected = (weight * shape.square().sum(-1)).mean()
    torch.testing.assert_close(
        loss_of(face, subject, delta, template="none")["expression"], expected, rtol=1e-4, atol=0
    )


def test_velocity_scores_differences_between_neighbours(face, subject):
    still = torch.ones(2, 4, face.expression.shape[-1])
    assert loss_of(face, subject, still, velocity=2.0)["velocity"] < 1e-6
    moving = torch.arange(4.0).view(1, 4, 1) * still
    one_step = loss_of(face, subject, still)["expression"]
    velocity = loss_of(face, subject, moving, velocity=2.0)["velocity"]
    torch.testing.assert_close(velocity, 2 * one_step, rtol=1e-3, atol=0)


def test_dropout_acts_in_training_only(face, subject):
    model, audio = build(face, dropout=0.5), sound(5)
    torch.testing.assert_close(model(audio, subject).values, model(audio, subject).values, atol=0, rtol=0)
    model.train()
    assert not torch.allclose(model(audio, subject).values, model(audio, subject).values)


def test_it_learns_to_follow_the_sound_and_keeps_to_it_when_left_alone(face, subject):
    """Expression = a fixed map of this frame's sound and the last one's; scored free-running, in evaluation."""
    torch.manual_seed(0)
    mix = torch.randn(2, AUDIO_DIM, face.expression.shape[-1]) * 0.3
    audio = sound(16)
    before = torch.cat([audio.values[:, :1], audio.values[:, :-1]], 1)
    target = Motion(audio.values @ mix[0] + before @ mix[1], Space.EXPRESSION)
    model = A2EP(AUDIO_DIM, face, dim=64, heads=4, feedforward=128, dropout=0.0, supervision="coefficients")
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(90):
        optimiser.zero_grad()
        model.train().loss(audio, subject, target)["expression"].backward()
        optimiser.step()
    with torch.inference_mode():
        spoken = model.eval()(audio, subject).values
    assert (spoken - target.values).square().mean() < 0.05 * target.values.var()
