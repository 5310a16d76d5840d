import logging
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest
import torch
from conftest import make_clip
from torch.nn import functional as F

from visemix.face.shading import draw, landmarks_2d, soft_light
from visemix.render import RENDER, TAFT
from visemix.render.rays import box_mask
from visemix.render.taft import PRESETS
from visemix.types import Adversarial, Motion, Space, Video, VisemixError

TINY = {"name": "taft", "base": 8, "max_channels": 32, "perceptual_weight": 0.0, "style_weight": 0.0}


def taft(face, **options):
    torch.manual_seed(0)
    return RENDER.build(TINY | options, face)


@pytest.fixture(scope="module")
def short(face):
    return make_clip(face, batch=2, frames=3)


def test_it_is_the_papers_generator_by_default_and_nothing_else_learns(face):
    part = RENDER.build({"name": "taft"}, face)
    assert sum(p.numel() for p in part.parameters()) == 5_379_587
    assert all(name.startswith("generator.") for name in part.state_dict())


@pytest.mark.parametrize("compat", PRESETS)
def test_every_preset_is_complete_and_draws_and_learns(face, short, compat):
    decided = {name for name, hint in get_type_hints(TAFT.__init__).items() if type(None) in get_args(hint)}
    assert decided - {"vgg", "return"} == set(PRESETS[compat])
    part = taft(face, compat=compat)
    losses = part.loss(short.motion, short.subject, short.video)
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    with torch.no_grad():
        assert part.eval()(short.motion, short.subject).frames.shape == short.video.frames.shape


def test_an_option_that_is_said_overrules_the_preset(face):
    part = taft(face, compat="official", composite=True, hole="mesh", mouth_weight=3.0)
    assert part.composite and part.blending.hole == "mesh" and part.weights["mouth"] == 3
    assert not part.blending.union and part.blending.morphology == "fixed"  # as official has it
    with pytest.raises(VisemixError, match="composite needs"):
        taft(face, blend=False, composite=True)


def test_a_correction_of_nothing_is_the_blend_with_the_reference_around_it(face, short):
    part = taft(face, composite=False).eval()
    for p in part.generator.final.parameters():
        torch.nn.init.zeros_(p)
    with torch.no_grad():
        made = part(short.motion, short.subject).frames
        blend = part.blending(short.motion.values, short.subject, short.subject.footage)
    expected = torch.where(
        blend.missing > 0, blend.image + short.subject.reference[:, None] * blend.missing, blend.image
    )
    torch.testing.assert_close(made, expected)


def test_composite_keeps_the_footage_away_from_the_face_to_the_last_bit(face, short):
    part = taft(face, keep_eyes=False).eval()
    with torch.no_grad():
        made = part(short.motion, short.subject).frames
        whole = taft(face, composite=False, keep_eyes=False).eval()(short.motion, short.subject).frames
        seen = draw(face, short.motion.values, short.subject, (64, 64)).skin
    far = F.max_pool2d(seen.flatten(0, 1), 25, 1, 12).view_as(seen) == 0
    assert far.any()
    same = made == short.subject.footage
    assert same[far.expand_as(same)].all()
    inside = -F.max_pool2d(-seen.flatten(0, 1), 9, 1, 4).view_as(seen) == 1
    torch.testing.assert_close(made[inside.expand_as(made)], whole[inside.expand_as(made)], atol=1e-3, rtol=0)


def test_without_the_blend_the_generator_never_sees_the_footage(face, short):
    part = taft(face, blend=False).eval()
    noise = replace(short.subject, footage=torch.rand_like(short.subject.footage))
    with torch.no_grad():
        assert torch.equal(part(short.motion, short.subject).frames, part(short.motion, noise).frames)


def test_frames_do_not_depend_on_the_chunk_nor_on_each_other(face, short):
    subject = replace(short.subject, reference=None)  # then the first frame of it all is the reference
    with torch.no_grad():
        whole = taft(face, chunk=8).eval()(short.motion, subject).frames
        apart = taft(face, chunk=1).eval()(short.motion, subject).frames
    torch.testing.assert_close(whole, apart, atol=1e-5, rtol=0)


def test_using_it_twice_gives_the_same_bits(face, short):
    part = taft(face).eval()
    with torch.no_grad():
        assert torch.equal(part(short.motion, short.subject).frames, part(short.motion, short.subject).frames)


def test_the_reference_matters_and_so_does_the_motion_where_the_face_is(face, short):
    part = taft(face, composite=False).eval()
    other = replace(short.subject, reference=1 - short.subject.reference)
    still = Motion(torch.zeros_like(short.motion.values), Space.EXPRESSION)
    with torch.no_grad():
        made = part(short.motion, short.subject).frames
        assert (made - part(short.motion, other).frames).abs().max() > 1e-4
        assert (made - part(still, short.subject).frames).abs().max() > 1e-4


def test_gradients_reach_the_motion(face, short):
    values = short.motion.values.clone().requires_grad_()
    part = taft(face).eval()
    part.loss(Motion(values, Space.EXPRESSION), short.subject, short.video)["photometric"].backward()
    assert values.grad.abs().sum() > 0


def test_footage_is_needed(face, short):
    with pytest.raises(VisemixError, match="'speaker0' has none"):
        taft(face)(short.motion, replace(short.subject, footage=None))


def test_bfloat16_is_near_float32_and_only_for_inference(face, short):
    plain, quick = (taft(face, precision=p).eval() for p in ("float32", "bfloat16"))
    with torch.no_grad():
        a, b = (part(short.motion, short.subject).frames for part in (plain, quick))
    assert b.dtype is torch.float32
    assert 0 < float((a - b).abs().max()) < 0.02
    losses = [part.loss(short.motion, short.subject, short.video)["photometric"] for part in (plain, quick)]
    assert torch.equal(*losses)


def test_the_losses_are_the_sheets(face, short):
    options = {"vgg": "random", "perceptual_weight": 4.0, "style_weight": 1000.0}
    part = taft(face, compat="paper", precision="float32", **options).eval()
    losses = part.loss(short.motion, short.subject, short.video)
    assert set(losses) == {"photometric", "perceptual", "style"}
    with torch.no_grad():
        made = part(short.motion, short.subject).frames
        ours, theirs = made.flatten(0, 1), short.video.frames.flatten(0, 1)
        perceptual, style = part.perceptual(ours, theirs)
    torch.testing.assert_close(losses["photometric"], ((2 * ours - 1) - (2 * theirs - 1)).abs().mean())
    torch.testing.assert_close(losses["perceptual"], 4 * perceptual)
    torch.testing.assert_close(losses["style"], 1000 * style)


def test_the_mouth_term_is_the_same_error_over_the_mouths_box(face, short):
    part = taft(face, compat="paper", precision="float32", mouth_weight=2.0).eval()
    losses = part.loss(short.motion, short.subject, short.video)
    with torch.no_grad():
        made = part(short.motion, short.subject).frames
    points = landmarks_2d(face, short.motion.values, short.subject)[..., 48:, :]
    errors = []
    for b in range(2):
        for t in range(3):
            (left, top), (right, bottom) = points[b, t].amin(0).tolist(), points[b, t].amax(0).tolist()
            dx, dy = 0.3 * (right - left), 0.3 * (bottom - top)
            for y in range(64):
                for x in range(64):
                    if left - dx <= x + 0.5 <= right + dx and top - dy <= y + 0.5 <= bottom + dy:
                        errors.append((2 * (made - short.video.frames)[b, t, :, y, x]).abs())
    torch.testing.assert_close(losses["mouth"], 2 * torch.cat(errors).mean())


def test_missing_vgg_weights_are_said_once_and_a_random_one_too(face, caplog):
    with caplog.at_level(logging.WARNING):
        RENDER.build({"name": "taft", "base": 4}, face)
    assert [r.getMessage() for r in caplog.records] == [
        "TAFT trains without its perceptual and style terms: render.vgg names no VGG-19 weights"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        part = RENDER.build({"name": "taft", "base": 4, "vgg": "random"}, face)
    assert "random VGG-19" in caplog.text
    assert not any(name.startswith("perceptual") for name in part.state_dict())
    with pytest.raises(VisemixError, match="no weights at nowhere"):
        RENDER.build({"name": "taft", "vgg": "nowhere.pth"}, face)


def test_the_critic_is_off_by_default_and_its_two_losses_pull_apart(face, short):
    assert taft(face).critic is None
    assert taft(face).critic_loss(short.motion, short.subject, short.video) == {}
    part = taft(face, critic_weight=0.1, critic_base=8)
    assert isinstance(part, Adversarial)
    adversarial = part.loss(short.motion, short.subject, short.video)["adversarial"]
    adversarial.backward()
    assert all(p.grad is not None for p in part.generator.parameters())
    part.zero_grad()
    optimiser = torch.optim.Adam(part.critic.parameters(), 1e-3)
    values = []
    for _ in range(8):
        loss = part.critic_loss(short.motion, short.subject, short.video)["critic"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < values[0]
    assert all(p.grad is None for p in part.generator.parameters())


def test_a_critic_that_knows_the_footage_has_nothing_to_learn_and_the_generator_has(face, short):
    """It scores 2 where the picture beside the blend is the true one, and −2 where it is not."""
    part, footage = taft(face, critic_weight=0.1, critic_base=8).eval(), short.video.frames.flatten(0, 1)

    def know(pictures):
        assert pictures.shape[1] == 6 and not torch.equal(pictures[:, :3], footage)  # the blend
        return torch.where((pictures[:, 3:] == footage).flatten(1).all(1), 2.0, -2.0)

    part.critic.forward = know
    assert part.critic_loss(short.motion, short.subject, short.video)["critic"] == 0
    adversarial = part.loss(short.motion, short.subject, short.video)["adversarial"]
    assert adversarial.item() == pytest.approx(0.1 * 2)


def test_a_small_one_learns_a_face_that_the_model_alone_cannot_draw(face):
    """The footage has freckles and a light of its own; after a few seconds TAFT paints them and the blend does not."""
    torch.manual_seed(0)
    clip = make_clip(face, batch=1, frames=12)
    subject = replace(clip.subject, light=soft_light().expand(1, 12, 27))
    freckled = (subject.albedo * (0.75 + 0.25 * torch.rand(1, subject.albedo.shape[1], 1))).roll(1, -1)
    with torch.no_grad():
        real = draw(face, subject.expression, replace(subject, albedo=freckled), (64, 64))
    footage = 0.3 + (real.image - 0.3) * real.coverage
    subject = replace(subject, footage=footage, reference=footage[:, 0])
    video = Video(footage)
    part = taft(face)
    optimiser = torch.optim.Adam(part.parameters(), 3e-3)
    for _ in range(50):
        at = torch.randint(12, (2,))
        window = subject.at(at)
        loss = sum(part.loss(Motion(window.expression, Space.EXPRESSION), window, Video(footage[:, at])).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    part.eval()
    with torch.no_grad():
        made = part(clip.motion, subject).frames
        blend = part.blending(clip.motion.values, subject, footage).image
        box = box_mask(landmarks_2d(face, clip.motion.values, subject)[0, :, 48:], footage.shape[-2:], 0.3)[
            None, :, None
        ]

    def psnr(pictures):
        error = ((pictures - video.frames).square() * box).sum() / (3 * box.sum())
        return float(-10 * error.log10())

    assert psnr(made) > psnr(blend) + 3, (psnr(made), psnr(blend))
