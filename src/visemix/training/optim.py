"""Options of a stage's training, its optimiser and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

from visemix.options import Count, Fraction, Natural, NotNegative, Positive, Share, checked
from visemix.types import OwnDecay, OwnRate, VisemixError
from visemix.values import quoted


@dataclass
class StageOptions:
    """One stage's training. Every count is in optimiser steps; windows are in video frames."""

    steps: Count = 36_000
    batch: Count = 1  # windows per step
    window: Count = 100  # consecutive frames per window
    lr: NotNegative = 1e-4
    critic_lr: NotNegative = 4e-4
    optimiser: Literal["adam", "rmsprop"] = "adam"
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    eps: NotNegative = 1e-8
    weight_decay: NotNegative = 0.0  # decoupled, on matrices and kernels only
    schedule: Literal["constant", "cosine", "step", "exponential"] = "constant"
    decay: Share = 0.8  # `step`: the factor each time; `exponential`: the same, but gradually
    decay_every: Count = 10_000  # steps between
    warmup: Natural = 0  # steps of linear growth to the full rate
    clip_norm: Positive | None = 1.0  # largest norm of all gradients together
    ema: Share | None = None  # decay of the running mean of the weights, which is then what is kept
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    val_every: Count = 1_000  # steps between validations and sample pictures
    val_batches: Natural = 8
    patience: Count | None = None  # validations without a better one after which the stage ends; the best one is kept
    save_every: Count = 500  # steps between the states a killed run resumes from
    log_every: Count = 10


# The papers' own settings where they give them: GSmoothFace, sections 2.10 and 3.4 of its fact sheet; GeneFace, 4, 5.
DEFAULTS: dict[str, dict[str, Any]] = {
    "recogniser": {"steps": 20_000, "batch": 8, "lr": 1e-3, "schedule": "cosine", "warmup": 500},
    "sync": {"steps": 40_000, "batch": 16, "lr": 5e-4, "schedule": "cosine"},
    "motion": {"eps": 1e-6},
    "finetune": {"steps": 4_000, "eps": 1e-6},
    "adapt": {"steps": 150, "batch": 8, "window": 50, "lr": 2e-2, "schedule": "cosine", "val_every": 50},
    "postnet": {"steps": 20_000, "batch": 8, "critic_lr": 1e-4, "optimiser": "rmsprop", "clip_norm": None},
    "render": {"steps": 100_000, "batch": 10, "window": 1, "betas": [0.5, 0.999], "clip_norm": None, "ema": 0.99778},
    "joint": {"steps": 2_000, "batch": 2, "window": 50, "lr": 2e-5, "critic_lr": 2e-5},
}


def stage_options(stage: str, given: Any) -> StageOptions:
    """The stage's defaults under what is given.

    Raises:
        VisemixError: an unknown option, or a value that is impossible.
    """
    if not isinstance(given, Mapping):
        raise VisemixError(f"train.{stage} needs options by name, as train.{stage}.lr=1e-3, not '{quoted(given)}'")
    options = {**DEFAULTS.get(stage, {}), **given}
    return StageOptions(**checked(StageOptions, options, f"train.{stage}", where=f"train.{stage}."))


def parameter_groups(
    stage: nn.Module, options: StageOptions, *, only: Set[nn.Parameter] | None = None, lr: float | None = None
) -> list[dict[str, Any]]:
    """Trainable weights, or those in `only`, by learning rate and decay. A module may scale those of its own weights
    (`OwnRate`, `OwnDecay`); where none speaks, matrices and kernels decay, and vectors do not."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}

    def visit(module: nn.Module, scale: float, decay: float | None) -> None:
        scale = float(module.lr_scale) if isinstance(module, OwnRate) else scale  # the innermost that speaks decides
        decay = module.decay_scale if isinstance(module, OwnDecay) else decay
        for parameter in module.parameters(recurse=False):
            if parameter in left:
                left.remove(parameter)
                decays = float(parameter.ndim > 1) if decay is None else float(decay)
                groups.setdefault((scale, decays), []).append(parameter)
        for child in module.children():
            visit(child, scale, decay)

    left = {parameter for parameter in stage.parameters() if parameter.requires_grad} if only is None else {*only}
    visit(stage, 1.0, None)
    rate = options.lr if lr is None else lr
    return [
        {"params": parameters, "lr": rate * scale, "weight_decay": options.weight_decay * decays}
        for (scale, decays), parameters in groups.items()
    ]


def optimiser(groups: list[dict[str, Any]], options: StageOptions) -> Optimizer:
    """Adam with decoupled weight decay, with none it is plain Adam; or RMSprop, whose decay is not decoupled."""
    if options.optimiser == "rmsprop":
        return RMSprop(groups, lr=options.lr, eps=options.eps)
    return AdamW(groups, lr=options.lr, betas=options.betas, eps=options.eps, fused=True)


def schedule(optimiser: Optimizer, options: StageOptions) -> LambdaLR:
    """The learning rate over the steps, as a factor of each group's own."""
    return LambdaLR(optimiser, lambda step: lr_factor(step, options))


def lr_factor(step: int, options: StageOptions) -> float:
    """Factor of the learning rate at a step, counted from 0.

    >>> [lr_factor(step, StageOptions(warmup=4)) for step in (0, 1, 3, 4)]
    [0.25, 0.5, 1.0, 1.0]
    >>> [lr_factor(step, StageOptions(steps=10, schedule="cosine")) for step in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    """
    growth = min(1.0, (step + 1) / options.warmup) if options.warmup else 1.0
    if options.schedule == "step":
        return growth * options.decay ** (step // options.decay_every)
    if options.schedule == "exponential":
        return growth * options.decay ** (step / options.decay_every)
    if options.schedule == "cosine":
        done = min(1.0, max(0, step - options.warmup) / max(1, options.steps - options.warmup))
        return growth * 0.5 * (1 + math.cos(math.pi * done))
    return growth
