import pytest
import torch
from torch import nn

from visemix.training.optim import StageOptions, lr_factor, optimiser, parameter_groups, schedule, stage_options
from visemix.types import VisemixError


def test_defaults_are_the_papers():
    motion, render = stage_options("motion", {}), stage_options("render", {})
    assert (motion.lr, motion.betas, motion.eps, motion.window, motion.batch) == (1e-4, (0.9, 0.999), 1e-6, 100, 1)
    assert (render.lr, render.betas, render.batch, render.window, render.ema) == (1e-4, (0.5, 0.999), 10, 1, 0.99778)


def test_values_are_converted_and_unknown_ones_refused():
    assert stage_options("motion", {"lr": "1e-3", "betas": [0.5, 0.9]}).betas == (0.5, 0.9)
    with pytest.raises(VisemixError, match=r"train\.motion has no option 'warmpu'; did you mean 'warmup'"):
        stage_options("motion", {"warmpu": 3})
    with pytest.raises(VisemixError, match="schedule"):
        stage_options("motion", {"schedule": "linear"})


class Slow(nn.Module):
    lr_scale = 0.5

    def __init__(self):
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.slower = nn.Linear(2, 2)
        self.slower.lr_scale = 0.1


def test_the_innermost_lr_scale_decides_and_frozen_or_shared_weights_are_in_no_group_twice():
    slow = Slow()
    stage = nn.ModuleDict({"slow": slow, "again": slow, "plain": nn.Linear(2, 2)})
    groups = parameter_groups(stage, StageOptions(lr=1.0, weight_decay=0.2))
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert len(rates) == sum(len(g["params"]) for g in groups) == 6
    assert rates[id(slow.own.weight)] == (0.5, 0.2)
    assert rates[id(slow.own.bias)] == (0.5, 0.0)
    assert rates[id(slow.slower.weight)] == (0.1, 0.2)
    assert rates[id(stage["plain"].weight)] == (1.0, 0.2)


def test_a_part_may_say_how_much_its_own_weights_decay():
    held, free = nn.Linear(2, 2), nn.Linear(2, 2)
    held.decay_scale, free.decay_scale = 3.0, 0.0
    groups = parameter_groups(nn.ModuleList([held, free]), StageOptions(weight_decay=0.2))
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert decays[id(held.bias)] == decays[id(held.weight)] == pytest.approx(0.6)
    assert decays[id(free.weight)] == 0.0


def test_no_patience_at_all_is_refused():
    with pytest.raises(VisemixError, match=r"train\.render\.patience is 0"):
        stage_options("render", {"patience": 0})


def test_steps_and_warm_up_multiply():
    options = StageOptions(schedule="step", decay=0.5, decay_every=10, warmup=20)
    assert [lr_factor(step, options) for step in (0, 9, 10, 19, 20)] == [0.05, 0.5, 0.275, 0.5, 0.25]


def test_a_schedule_moves_every_group_from_its_own_rate():
    layer = nn.Linear(2, 2)
    options = StageOptions(lr=1.0, schedule="cosine", steps=2)
    optim = optimiser([{"params": [layer.weight], "lr": 0.1}, {"params": [layer.bias], "lr": 1.0}], options)
    over_time = schedule(optim, options)
    rates = []
    for _ in range(3):
        rates.append([group["lr"] for group in optim.param_groups])
        optim.step()
        over_time.step()
    torch.testing.assert_close(torch.tensor(rates), torch.tensor([[0.1, 1.0], [0.05, 0.5], [0.0, 0.0]]))
