"""The base of the stages: each step asks a part of the pipeline for its losses, and reports them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from visemix.data.base import DataModule, DataRequest
from visemix.data.sampling import step_seed
from visemix.parts import WeightNames
from visemix.pipeline import TalkingFace
from visemix.render import Renderer
from visemix.training.optim import StageOptions, optimiser, parameter_groups, schedule
from visemix.training.scope import FitScope, train_only
from visemix.training.watch import Watch
from visemix.types import Adversarial, Losses, Video, VisemixError


class StageModule(L.LightningModule, ABC):
    """Trains one stage of a `TalkingFace`; for the time of a fit everything else is frozen and in eval mode.

    A stage with a `critic` is trained adversarially: `losses` moves everything but the critic, then
    `critic_losses` moves the critic alone. At all but the last batch of a step nothing has moved by then.
    `model` may be a config, and `options` a mapping, as Lightning's checkpoints hold them: `load_from_checkpoint` needs
    the path, and the files that the parts were built from. The draws of a training step follow from `seed`, the step
    and the batch's place in it among those of all processes: two draw what one does that takes two batches to a step.
    """

    name: str  # the stage's name
    parts: tuple[str, ...] = ()  # parts of the pipeline that it trains, but for what these leave to stages of their own
    host_part: str = ""  # or the part in which it trains what that leaves to it (`Part.separate_weights`)
    retrains: tuple[str, ...] = ()  # or the stages whose weights it trains once more
    opt_in = False  # whether it runs only where `fit` names it
    requires: tuple[str, ...] = ()  # stages that have to be trained before, where the model has them
    unfreezes = False  # whether its weights are frozen but for this stage
    person_specific = False  # whether it learns from the person who is shown, where the data names one
    frames = False  # whether it looks at pictures
    paired = False  # whether it adapts to one person what it makes of many

    def __init__(
        self,
        model: TalkingFace | Mapping[str, Any],
        options: StageOptions | Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model if isinstance(model, TalkingFace) else TalkingFace.from_config(model)
        self.options = StageOptions(**options) if isinstance(options, Mapping) else options or StageOptions()
        self.seed, self._scope = seed, FitScope()
        self._watch = Watch(self.name, self.model)
        self.automatic_optimization = False  # one loop for stages with and without a critic

    def trained_weights(self) -> dict[str, nn.Parameter]:
        """What the stage trains, by its name in the model."""
        names, stages = self.model.names, stages_trained_by(self.name)
        return {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if (self.unfreezes or parameter.requires_grad) and owning_stage(name, names) in stages
        }

    def training_alone(self) -> AbstractContextManager[None]:
        """A context in which gradients reach what the stage trains alone; a fit enters it by itself."""
        return train_only(self.model, self.trained_weights())

    def configure_callbacks(self) -> list[L.Callback]:
        """What freezes the rest, for the time of a fit."""
        if self.trainer.state.fn != "fit":
            return []
        there = next((one for one in self.trainer.callbacks if isinstance(one, FitScope)), None)  # type: ignore[attr-defined]
        self._scope = there or FitScope()
        self._scope.take_over(self.trainer)
        return [] if there else [self._scope]

    def setup(self, stage: str) -> None:
        """Let the stage look at the data before a training."""
        if stage == "fit" and (data := self.trainer.datamodule):  # type: ignore[attr-defined]  # none in `fit_stage`
            self.init_from_data(data)

    @classmethod
    def data_request(cls, model: TalkingFace, options: StageOptions, workers: int = 0) -> DataRequest:
        """What it asks of the data."""
        render = model.render
        return DataRequest(
            window=options.window,
            batch=options.batch,
            workers=workers,
            frames=cls.frames,
            gallery=render.gallery if cls.frames else 0,
            segmentation=cls.frames and render.needs_segmentation,
            lips=True,
            context=model.audio.context,
            paired=cls.paired,
        )

    @classmethod
    def learns_of_person(cls, model: TalkingFace) -> str:
        """What it learns of one person alone, in words; nothing where it learns of many."""
        return ""

    @property
    @abstractmethod
    def stage(self) -> nn.Module:
        """The part whose losses are asked for."""

    @property
    def critic(self) -> nn.Module | None:
        """The critic that is trained against the stage; None where there is none."""
        return self.stage.critic if isinstance(self.stage, Adversarial) else None

    @abstractmethod
    def losses(self, batch: Any) -> Losses:
        """Weighted losses of a batch, whose sum moves everything that trains but the critic."""

    def critic_losses(self, batch: Any) -> Losses:
        """Weighted losses of a batch, whose sum moves the critic alone.

        Raises:
            VisemixError: a stage without a critic.
        """
        raise VisemixError(f"the {self.name} stage has no critic")

    def measures(self, batch: Any) -> dict[str, Tensor]:
        """What validation reports besides the losses."""
        return {}

    @abstractmethod
    def picture(self, batch: Any) -> Tensor:
        """The stage's work on a batch as one picture (3, H, W)."""

    def init_from_data(self, data: DataModule) -> None:
        """Initialise the stage from its data, before the first step of a training that goes on from nothing."""

    def before_step(self, optimiser: Optimizer, step: int) -> None:
        """Hook of a step after its gradients, before anything has moved."""
        if isinstance(self.stage, Renderer):
            self.stage.before_step(optimiser, step)

    def after_step(self, optimiser: Optimizer, step: int) -> None:
        """Hook of a step at which all but a critic has moved; a renderer may change its sizes."""
        if isinstance(self.stage, Renderer):
            self.stage.after_step(optimiser, step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what `load_from_checkpoint` builds the stage from."""
        given = {"model": self.model.config, "options": asdict(self.options), "seed": self.seed}
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = given

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Give the model the sizes of the stored state, before Lightning loads its numbers."""
        whole = checkpoint["state_dict"]
        self.model.resize_to({name.removeprefix("model."): tensor for name, tensor in whole.items()})

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the draws by step, not by `batch_idx`, which counts anew in every epoch and alike in every process."""
        parts = self._scope.parts
        torch.manual_seed(step_seed(self.seed, self._place(self.global_step * parts + batch_idx % parts)))

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Seed the draws of a batch, in every validation alike."""
        torch.manual_seed(step_seed(self.seed, self._place(batch_idx)))

    def _place(self, batch: int) -> int:
        return batch * self.trainer.world_size + self.trainer.global_rank

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Update all but the critic, then the critic, and both learning rates; where a step is of several batches, at
        the last of them.

        Raises:
            VisemixError: a loss that is not finite, at a step that is logged; a module that no gradient reaches, or a
                renderer that paints nothing (`Watch`).
        """
        optimisers, schedulers, step = _listed(self.optimizers()), _listed(self.lr_schedulers()), self.global_step
        place, parts = batch_idx % self._scope.parts, self._scope.parts
        first, last = place == 0, place == parts - 1 or self.trainer.is_last_batch
        self._move(optimisers[0], self.losses, batch, step, first, last, self.before_step)
        if isinstance(self.stage, Renderer):
            self._watch.pictures(self.stage.opacities)
        if last:
            self.after_step(optimisers[0].optimizer, step)
        for critic in optimisers[1:]:  # unwrapped, as Lightning would count its moves as steps of the run
            self._move(critic.optimizer, self.critic_losses, batch, step, first, last)
        for scheduler in schedulers if last else ():
            scheduler.step()

    def validation_step(self, batch: Any, _: int) -> None:
        """Report a batch's losses and measures under `val/`."""
        self._report(self.losses(batch), "val", batch)
        measured = {f"val/{name}": value for name, value in self.measures(batch).items()}
        self.log_dict(measured, batch_size=len(batch.subject.speaker), sync_dist=True)

    def predict_step(self, batch: Any, _: int) -> Video:
        """The video that the whole model makes of a batch's speech."""
        return self.model(batch.speech, batch.subject)

    def configure_optimizers(self) -> Any:
        """An optimiser of all that trains but the critic, one of the critic where there is one, and their schedules.

        Raises:
            VisemixError: nothing in the stage can be trained.
        """
        critic = self.critic or nn.Module()
        ours, critics = {*self.trained_weights().values()}, {*critic.parameters()}
        groups = parameter_groups(self.model, self.options, only=ours - critics)
        if not groups:
            raise VisemixError(f"nothing in the {self.name} stage can be trained; leave it out of `fit`")
        optimisers = [optimiser(groups, self.options)]
        if critics:
            groups = parameter_groups(critic, self.options, only=ours & critics, lr=self.options.critic_lr)
            optimisers.append(optimiser(groups, self.options))
        return optimisers, [schedule(o, self.options) for o in optimisers]

    def _move(
        self,
        optim: Any,
        losses: Callable[[Any], Losses],
        batch: Any,
        step: int,
        first: bool,
        last: bool,
        ready: Callable[[Optimizer, int], None] = lambda *_: None,
    ) -> None:
        self.toggle_optimizer(optim)
        found = losses(batch)
        if not isinstance(found, Mapping):
            raise VisemixError(
                f"the loss of the {self.name} stage is a {type(found).__name__}; it must be a dict of named scalars"
            )
        total = torch.stack(list(found.values())).sum()
        if (step + 1) % self.options.log_every == 0:  # each note takes Lightning a millisecond, listened to or not
            self._report(found, "train", batch)
        if step % self.options.log_every == 0 and not total.isfinite():
            raise VisemixError(f"the {self.name} loss is {total.item()} at step {step}; lower train.{self.name}.lr")
        if first:
            optim.zero_grad()
        self.manual_backward(total / self._scope.parts)
        if last:
            self._watch.gradients(optim, step)
            ready(getattr(optim, "optimizer", optim), step)
            if self.options.clip_norm is not None:  # Lightning refuses to where a fused optimiser meets bfloat16
                moving = [parameter for group in optim.param_groups for parameter in group["params"]]
                nn.utils.clip_grad_norm_(moving, self.options.clip_norm)
            optim.step()
        self.untoggle_optimizer(optim)

    def _report(self, losses: Losses, split: str, batch: Any) -> None:
        values = {f"{split}/{name}": value.detach() for name, value in losses.items()}
        total = values[f"{split}/total"] = torch.stack([*values.values()]).sum()
        how: Any = {"batch_size": len(batch.subject.speaker), "sync_dist": True}
        self.log_dict(values, **how)
        if split == "train":
            self.log("loss", total, prog_bar=True, logger=False, **how)


STAGES: dict[str, type[StageModule]] = {}  # in the order they train; `training.modules` fills it


def owning_stage(weight: str, names: WeightNames) -> str | None:
    """The stage that trains a weight of a model: that which its part leaves it to, else that of the whole part.

    Raises:
        VisemixError: its part leaves it to a stage that there is not.
    """
    apart, part = names.separate_stage(weight), weight.split(".")[0]
    if apart is None:
        return next((stage for stage, module in STAGES.items() if part in module.parts), None)
    if apart not in STAGES:
        raise VisemixError(f"'{weight}' is left to a stage '{apart}', which there is not (have: {', '.join(STAGES)})")
    return apart


def stages_trained_by(stage: str) -> tuple[str, ...]:
    """The stages whose weights this one trains: its own, or those that it trains once more."""
    return STAGES[stage].retrains or (stage,)


def _listed(one_or_more: Any) -> list[Any]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]
