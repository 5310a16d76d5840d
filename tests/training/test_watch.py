import pytest
import standins  # noqa: F401 – registers its parts
import torch
from stage_runner import one_step
from torch import nn

from visemix.pipeline import TalkingFace
from visemix.training.modules import MotionModule, RenderModule
from visemix.training.optim import StageOptions
from visemix.training.watch import STEPS, Watch
from visemix.types import VisemixError

CFG = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "dots"}}


class Half(nn.Module):
    """One of its linear maps is asked, the other is not."""

    def __init__(self):
        super().__init__()
        self.asked, self.idle = nn.Linear(2, 2), nn.Linear(2, 2)

    def step(self, watch, step, optim, use=()):
        optim.zero_grad()
        sum(layer(torch.ones(1, 2)).sum() for layer in (self.asked, *use)).backward()
        watch.gradients(optim, step)


def watched(**begins):
    torch.manual_seed(0)
    model = Half()
    for name, step in begins.items():
        model.get_submodule(name).learns_from = step
    return model, Watch("motion", model), torch.optim.SGD(model.parameters(), 0.1)


def test_a_module_that_no_gradient_reaches_is_named_and_refused(caplog):
    model, watch, optim = watched()
    for step in range(STEPS - 1):
        model.step(watch, step, optim)
    with pytest.raises(VisemixError, match=r"the motion stage does not train.*in 20 steps no gradient reached idle;"):
        model.step(watch, STEPS - 1, optim)
    assert "no gradient reached idle" in caplog.text


def test_a_gradient_of_zero_is_none():
    model, watch, optim = watched()
    dead = nn.Sequential(model.idle, nn.Threshold(1e9, 0.0))
    for step in range(STEPS - 1):
        model.step(watch, step, optim, [dead])
    assert not model.idle.weight.grad.any()
    with pytest.raises(VisemixError, match="no gradient reached idle;"):
        model.step(watch, STEPS - 1, optim, [dead])


def test_one_that_learns_at_last_is_let_through_also_where_a_training_goes_on():
    for begins in (0, 700):
        model, watch, optim = watched()
        for step in range(begins, begins + 3 * STEPS):
            model.step(watch, step, optim, [model.idle] if step == begins + STEPS - 1 else [])


def test_one_weight_of_a_module_may_rest():
    model, watch, optim = watched()
    only_bias = lambda _: model.idle.bias  # noqa: E731
    for step in range(3 * STEPS):
        model.step(watch, step, optim, [only_bias])


def test_weights_without_numbers_are_not_waited_for():
    model, watch, optim = watched()
    model.idle = nn.Linear(0, 2, bias=False)
    optim.add_param_group({"params": model.idle.parameters()})
    for step in range(3 * STEPS):
        optim.param_groups[0]["params"] = list(model.asked.parameters())
        model.step(watch, step, optim)


def test_what_begins_later_says_so_and_is_looked_at_then():
    model, watch, optim = watched(idle=50)
    for step in range(50 + STEPS - 1):
        model.step(watch, step, optim)
    with pytest.raises(VisemixError, match="no gradient reached idle;"):
        model.step(watch, 50 + STEPS - 1, optim)


def test_what_paints_nothing_is_named_and_refused():
    watch = Watch("render", Half())
    one, none = torch.tensor(1.0), torch.tensor(0.0)
    for k in range(STEPS):
        watch.pictures({"head": one if k == 3 else none, "torso": one})  # seen once: it lives
    for _ in range(STEPS - 1):
        watch.pictures({"head": none, "torso": one})
    with pytest.raises(VisemixError, match=r"render stage paints nothing: in 20 steps the opacity of its head was 0"):
        watch.pictures({"head": none, "torso": one})


def test_a_stage_refuses_what_does_not_learn_in_it(clip, tmp_path):
    model = TalkingFace.from_config(CFG)
    dead, loss = nn.Sequential(nn.Linear(1, 1), nn.Threshold(1e9, 0.0)), model.motion.loss
    model.motion.dead = dead
    model.motion.loss = lambda *given: loss(*given) | {"dead": dead(torch.ones(1)).sum()}
    with pytest.raises(
        VisemixError, match=r"the motion stage does not train all.*no gradient reached motion\.dead\.0;"
    ):
        one_step(MotionModule(model, StageOptions(lr=1e-3)), clip, tmp_path, fast_dev_run=False, max_epochs=STEPS)


def test_a_critic_is_watched_by_its_own_steps(clip, tmp_path):
    model = TalkingFace.from_config(CFG | {"render": {"name": "dots", "adversarial": True}})
    one_step(RenderModule(model, StageOptions(lr=1e-3)), clip, tmp_path, fast_dev_run=False, max_epochs=STEPS + 1)
    module = RenderModule(model, StageOptions(lr=1e-3))
    model.render.score = lambda video: 0.0 * sum(p.sum() for p in model.render.critic.parameters())
    with pytest.raises(VisemixError, match=r"no gradient reached render\.critic;"):
        one_step(module, clip, tmp_path, fast_dev_run=False, max_epochs=STEPS + 1)


def test_a_stage_refuses_a_renderer_that_is_not_seen(clip, tmp_path):
    model = TalkingFace.from_config(CFG)
    model.render.opacities = {"head": torch.tensor(0.0)}
    with pytest.raises(VisemixError, match="the render stage paints nothing"):
        one_step(RenderModule(model, StageOptions(lr=1e-3)), clip, tmp_path, fast_dev_run=False, max_epochs=STEPS)


def test_a_frame_is_shown_to_training_with_the_neighbours_that_are_looked_at():
    cfg = CFG | {"render": {"name": "landmark_nerf", "levels": [4], "torso_levels": [4], "cells": 8}}
    model = TalkingFace.from_config(cfg)
    assert RenderModule.data_request(model, StageOptions(window=1)).window == 3
    assert RenderModule.data_request(model, StageOptions(window=5)).window == 5
    assert RenderModule.data_request(TalkingFace.from_config(CFG), StageOptions(window=1)).window == 1
