import pytest
import torch
from standins import GRUMotion

from visemix.pipeline import TalkingFace
from visemix.run import complete_config, fit, folder_of
from visemix.training.joint import PAINTED, JointModule
from visemix.training.optim import StageOptions
from visemix.training.ownership import applicable_stages
from visemix.types import Motion, Space, VisemixError

CFG = {
    "face": {"name": "toy"},
    "audio": {"name": "spectrum"},
    "motion": {"name": "gru"},
    "render": {"name": "mesh"},
}
PAIRS = {
    "regression, mesh": ({"name": "regression", "hidden": 8, "layers": 1}, {"name": "mesh"}),
    "a2ep, taft": ({"name": "a2ep", "dim": 8, "heads": 2, "feedforward": 8}, {"name": "taft", "base": 4, "levels": 2}),
    "flow_vae, landmark_nerf": (
        {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False},
        {"name": "landmark_nerf", "levels": [8], "channels": 2, "width": 8, "rays": 64, "cells": 8, "steps": 16},
    ),
    "regression, gaussians": (
        {"name": "regression", "hidden": 8, "layers": 1},
        {"name": "gaussians", "count": 300, "components": 2},
    ),
    "postnet, taft": (
        {"name": "postnet", "base": {"name": "gru"}, "sync_weight": 0.0},
        {"name": "taft", "base": 4, "levels": 2},
    ),
}


def model_of(motion, render):
    torch.manual_seed(0)
    model = TalkingFace.from_config(CFG | {"motion": motion, "render": render})
    for name, parameter in model.motion.named_parameters():
        if parameter.requires_grad and "weight" in name and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)  # a head that starts at zero hides what lies under it
    return model


@pytest.mark.parametrize("pair", PAIRS)
def test_pixels_reach_the_sound_through_every_differentiable_pair(pair, clip):
    model = model_of(*PAIRS[pair])
    module = JointModule(model)
    torch.manual_seed(0)
    losses = module.losses(clip)
    pixels = [losses[name] for name in losses if name not in model.motion.loss(*example(model, clip))]
    sum(pixels).backward()
    assert model.audio.project.weight.grad.abs().max() > 0
    assert any(p.grad is not None and p.grad.any() for p in model.motion.parameters())


def example(model, clip):
    target = model.face.convert(clip.motion, model.motion.space, clip.subject)
    return model.audio(clip.speech), clip.subject, target


def test_the_gradient_is_that_of_the_pixels(clip):
    """Finite differences along one direction, through motion model, face, light and rasteriser. Where a triangle's edge
    crosses a pixel's centre the picture jumps, which no gradient knows, so only colour inside is looked at."""
    model = TalkingFace.from_config(CFG).double()
    clip = clip.map(lambda t: t.double() if t.is_floating_point() else t)
    few = clip.subject.at(torch.arange(2))
    weight = model.motion.head.weight
    covered = model.draw(spoken(model, clip), few).frames != few.footage
    inside = covered & (torch.roll(covered, 2, -1) & torch.roll(covered, -2, -1))

    def brightness():
        frames = model.draw(spoken(model, clip), few).frames
        return (frames * inside)[..., 20:44, 20:44].square().mean()

    brightness().backward()
    torch.manual_seed(0)
    direction = torch.randn_like(weight)
    slope = (weight.grad * direction).sum().item()
    ends = []
    for step in (1e-7, -1e-7):
        with torch.no_grad():
            weight += step * direction
            ends.append(brightness().item())
            weight -= step * direction
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-7, rel=2e-2)
    assert slope != 0


def spoken(model, clip):
    motion = model.motion(model.audio(clip.speech), clip.subject)
    return Motion(motion.values[:, :2], motion.space)


def test_motion_and_renderer_both_move_and_nothing_else(clip):
    model = model_of({"name": "gru"}, {"name": "dots"})
    module = JointModule(model, StageOptions(lr=1e-3))
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "audio",
        "motion",
        "render",
    }
    ((optimiser,), _) = module.configure_optimizers()
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(model.parameters()))


def test_a_few_frames_are_painted_and_the_whole_window_is_spoken(clip, monkeypatch):
    model = model_of({"name": "gru"}, {"name": "dots"})
    seen = []
    monkeypatch.setattr(
        type(model.render),
        "loss",
        lambda self, motion, subject, target: seen.append(motion) or {"x": motion.values.sum()},
    )
    JointModule(model).losses(clip)
    assert seen[0].values.shape[1] == PAINTED < clip.subject.frames
    assert seen[0].space is Space.LANDMARKS


@pytest.mark.parametrize("training", [True, False])
def test_what_is_painted_is_compared_with_the_truth_of_the_same_frames(training, clip, monkeypatch):
    model = model_of({"name": "gru"}, {"name": "dots"})
    seen = []
    monkeypatch.setattr(
        type(model.render),
        "loss",
        lambda self, *given: seen.append(given) or {"x": given[0].values.sum()},
    )
    module = JointModule(model).train(training)
    torch.manual_seed(3)
    for _ in range(40 if training else 4):
        module.losses(clip)
    spoken = model.face.convert(
        model.apply_eyes(model.motion(model.audio(clip.speech), clip.subject), clip.subject, made=False),
        Space.LANDMARKS,
        clip.subject,
    )
    starts = []
    for motion, subject, target in seen:
        (start,) = (k for k in range(6) if torch.equal(clip.subject.pose[:, k : k + PAINTED], subject.pose))
        torch.testing.assert_close(target.frames, clip.video.frames[:, start : start + PAINTED], atol=0, rtol=0)
        torch.testing.assert_close(motion.values, spoken.values[:, start : start + PAINTED])
        starts.append(start)
    assert {*starts} == {*range(6)} if training else starts == [2] * 4


def test_the_motion_models_own_losses_count_beside_those_of_the_pictures(clip):
    model = model_of(*PAIRS["regression, mesh"])
    own, both = model.motion.loss(*example(model, clip)), JointModule(model).losses(clip)
    assert own.keys() < both.keys()
    for name, loss in own.items():
        torch.testing.assert_close(both[name], loss)


def test_pictures_with_blinks_that_nobody_filmed_are_compared_with_nothing(clip, monkeypatch):
    model, made = model_of({"name": "gru"}, {"name": "dots"}), []
    model.eyes = "blinking"
    worn = model.apply_eyes
    monkeypatch.setattr(
        model, "apply_eyes", lambda *given, **how: made.append(how.get("made", True)) or worn(*given, **how)
    )
    JointModule(model).losses(clip)
    assert made == [False]


@pytest.mark.parametrize(
    ("render", "message"),
    [
        ({"name": "still"}, "renderer 'still', which sends nothing back from its pictures"),
        (
            {"name": "landmark_nerf", "condition": "audio"},
            "renderer 'landmark_nerf', which listens to the sound itself",
        ),
    ],
)
def test_a_renderer_that_cannot_be_trained_through_says_so(render, message, clip):
    with pytest.raises(VisemixError, match=f"the joint stage cannot train through {message}"):
        JointModule(TalkingFace.from_config(CFG | {"render": render})).losses(clip)


def run(out, **changes):
    short = {"steps": 2, "batch": 2, "window": 6, "val_every": 2, "log_every": 1}
    train = {"name": "cpu", "motion": short, "render": short, "joint": short}
    return {**CFG, "render": {"name": "dots"}, "data": {"name": "noise"}, "train": train, "out": str(out)} | changes


def test_it_runs_only_where_it_is_asked_for_and_after_its_pair(tmp_path):
    assert "joint" in applicable_stages(TalkingFace.from_config(CFG))
    assert list(complete_config(run(tmp_path)).fit) == ["sync", "motion", "postnet", "render"]
    assert "joint" not in complete_config(run(tmp_path)).train
    with pytest.raises(VisemixError, match="the joint stage builds on the motion stage, which nobody trained"):
        fit(run(tmp_path, fit=["joint"]))
    both = fit(run(tmp_path))
    pair = {"motion": str(both), "render": str(both)}
    joint = fit(run(tmp_path, fit=["joint"], load=pair))
    before, after = (TalkingFace.from_checkpoint(folder) for folder in (both, joint))
    assert after.notes["trained"] == ["joint"] and after.notes["loaded"] == ["motion", "render"]
    assert not torch.equal(before.motion.head.weight, after.motion.head.weight)
    assert not torch.equal(before.render.radius, after.render.radius)
    again = fit(run(tmp_path, fit=[], load=pair | {"joint": str(joint)}))
    assert torch.equal(TalkingFace.from_checkpoint(again).motion.head.weight, after.motion.head.weight)
    assert folder_of(complete_config(run(tmp_path))) == both and isinstance(after.motion, GRUMotion)
