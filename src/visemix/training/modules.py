"""Thin: a step asks a stage of the one pipeline for its losses, and reports them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from visemix.pipeline import TalkingFace
from visemix.training.optim import StageOptions, optimiser, parameter_groups, schedule
from visemix.training.steps import step_seed
from visemix.types import Adversarial, Clip, Losses, Motion, Space, Video, VisemixError


class StageModule(L.LightningModule, ABC):
    """Trains one stage of a `TalkingFace`; the others are frozen and stay in eval mode.

    A stage with a `critic` is trained adversarially: `losses` moves everything but the critic, then
    `critic_losses` moves the critic alone.
    """

    trains: str
    owns: tuple[str, ...]  # the parts of the pipeline whose weights this stage trains

    def __init__(self, model: TalkingFace, options: StageOptions | None = None, *, seed: int = 0) -> None:
        super().__init__()
        self.model, self.options, self.seed = model, options or StageOptions(), seed
        for name, part in model.stages().items():
            if name in self.owns:
                part.train()
                rest_frozen(part)
            else:
                part.requires_grad_(False).eval()
        self.automatic_optimization = False  # one loop for stages with and without a critic

    @property
    def stage(self) -> nn.Module:
        return self.model.stages()[self.trains]

    @property
    def critic(self) -> nn.Module | None:
        return self.stage.critic if isinstance(self.stage, Adversarial) else None

    @abstractmethod
    def losses(self, clip: Clip) -> Losses: ...

    @abstractmethod
    def critic_losses(self, clip: Clip) -> Losses: ...

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Every draw of a step follows from the seed and the step: a resumed run draws what it would have drawn."""
        torch.manual_seed(step_seed(self.seed, batch_idx))

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        torch.manual_seed(step_seed(self.seed, batch_idx))

    def training_step(self, clip: Clip, step: int) -> None:
        optimisers, schedulers = _listed(self.optimizers()), _listed(self.lr_schedulers())
        self._move(optimisers[0], self.losses, clip, step)
        for critic in optimisers[1:]:  # unwrapped, as Lightning would count its moves as steps of the run
            self._move(critic.optimizer, self.critic_losses, clip, step)
        for scheduler in schedulers:
            scheduler.step()

    def validation_step(self, clip: Clip, _: int) -> None:
        self._report(self.losses(clip), "val", clip)

    def predict_step(self, clip: Clip, _: int) -> Video:
        return self.model(clip.speech, clip.subject)

    def configure_optimizers(self) -> Any:
        critic = self.critic
        if critic is not None:
            critic.requires_grad_(False)
        ours = nn.ModuleDict({name: part for name, part in self.model.stages().items() if name in self.owns})
        groups = parameter_groups(ours, self.options)
        if not groups:
            raise VisemixError(f"nothing in the {self.trains} stage can be trained; leave it out of `fit`")
        optimisers = [optimiser(groups, self.options)]
        if critic is not None:
            critic.requires_grad_(True)
            groups = parameter_groups(critic, self.options, lr=self.options.critic_lr)
            optimisers.append(optimiser(groups, self.options))
        return optimisers, [schedule(o, self.options) for o in optimisers]

    def _move(self, optim: Any, losses: Callable[[Clip], Losses], clip: Clip, step: int) -> None:
        self.toggle_optimizer(optim)
        total = self._report(losses(clip), "train", clip)
        if step % self.options.log_every == 0 and not total.isfinite():
            raise VisemixError(f"the {self.trains} loss is {total.item()} at step {step}; lower train.{self.trains}.lr")
        optim.zero_grad()
        self.manual_backward(total)
        self.clip_gradients(optim, self.options.clip_norm, "norm")
        optim.step()
        self.untoggle_optimizer(optim)

    def _report(self, losses: Losses, split: str, clip: Clip) -> Tensor:
        total = torch.stack(list(losses.values())).sum()
        values = {name: value.detach() for name, value in losses.items()} | {"total": total.detach()}
        self.log_dict(
            {f"{split}/{name}": value for name, value in values.items()}, batch_size=len(clip.subject.speaker)
        )
        if split == "train":
            self.log("loss", total.detach(), prog_bar=True, logger=False, batch_size=len(clip.subject.speaker))
        return total


class MotionModule(StageModule):
    """Trains the motion model, and what the audio encoder leaves trainable, on the clips' own motion."""

    trains, owns = "motion", ("audio", "motion")

    def losses(self, clip: Clip) -> Losses:
        return self.model.motion.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        return self.model.motion.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def _inputs(self, clip: Clip) -> Any:
        target = self.model.face.convert(clip.motion, self.model.motion.space, clip.subject)
        return self.model.audio(clip.speech), clip.subject, target


class RenderModule(StageModule):
    """Trains the renderer to repaint the clips' own frames from their own motion."""

    trains, owns = "render", ("render",)

    def losses(self, clip: Clip) -> Losses:
        return self.model.render.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        return self.model.render.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def _inputs(self, clip: Clip) -> Any:
        motion = clip.motion
        if self.model.render.space is Space.FEATURES:
            motion = Motion(self.model.audio(clip.speech).values, Space.FEATURES)
        return self.model.face.convert(motion, self.model.render.space, clip.subject), clip.subject, clip.video


STAGES: dict[str, type[StageModule]] = {"motion": MotionModule, "render": RenderModule}  # in the order they train


def rest_frozen(part: nn.Module) -> None:
    """Put to eval what cannot learn inside a part that can: a wrapped base, the features a loss looks through."""
    for module in part.children():
        weights = list(module.parameters())
        if weights and not any(p.requires_grad for p in weights):
            module.eval()
        else:
            rest_frozen(module)


def _listed(one_or_more: Any) -> list[Any]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]
