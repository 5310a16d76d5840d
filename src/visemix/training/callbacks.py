"""What happens around the steps: averaged weights, states to resume from, pictures to look at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from torch import Tensor

from visemix.training.logs import TakesPictures
from visemix.training.pictures import write_picture
from visemix.training.stage import StageModule

log = logging.getLogger(__name__)


class Average(L.Callback):
    """A running mean of the weights that train; it takes their place in validation and in what is kept.

    Each step, `mean ← decay · mean + (1 − decay) · weight`; from a weight that has changed its size, the mean begins
    anew. The critic has no mean: nobody keeps it.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.mean: dict[str, Tensor] = {}

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begin the means at the weights as they are."""
        self.mean = {name: weight.detach().clone() for name, weight in averaged(pl_module).items()}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Move the means to where the weights are by now."""
        weights = averaged(pl_module)
        self.mean = {name: mean.to(weights[name].device) for name, mean in self.mean.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Move the means by one step."""
        weights = averaged(pl_module)
        grown = [name for name, mean in self.mean.items() if mean.shape != weights[name].shape]
        self.mean |= {name: weights[name].detach().clone() for name in grown}
        torch._foreach_lerp_(list(self.mean.values()), [weights[name] for name in self.mean], 1 - self.decay)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the means in place of the weights."""
        self.swap(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the weights back."""
        self.swap(pl_module)

    @torch.no_grad()
    def swap(self, module: L.LightningModule) -> None:
        """Exchange the weights and their means."""
        weights = dict(module.named_parameters())
        for name, mean in self.mean.items():
            held = weights[name].clone()
            weights[name].copy_(mean)
            mean.copy_(held)

    def state_dict(self) -> dict[str, Any]:
        """The means, by the names of their weights."""
        return {"mean": self.mean}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up stored means."""
        self.mean = state_dict["mean"]


def averaged(module: L.LightningModule) -> dict[str, Tensor]:
    """The weights that train, by name, without those of a critic."""
    assert isinstance(module, StageModule)
    critic = set() if module.critic is None else {id(p) for p in module.critic.parameters()}
    return {f"model.{name}": p for name, p in module.trained_weights().items() if id(p) not in critic}


class Best(L.Callback):
    """Ends a training that has not got better for `patience` validations, and keeps the weights of the best one."""

    def __init__(self, patience: int) -> None:
        self.patience, self.waited = patience, 0
        self.loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    @torch.no_grad()
    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the weights of the lowest `val/total`; stop after `patience` validations that were no lower."""
        loss = float(trainer.callback_metrics["val/total"])
        self.waited += 1
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            self.weights = {name: weight.detach().clone() for name, weight in _kept(pl_module).items()}
        if self.waited >= self.patience and trainer.global_step < trainer.max_steps:
            log.info("no better for %d validations: the stage ends at step %d", self.waited, trainer.global_step)
            trainer.should_stop = True

    @torch.no_grad()
    def restore(self, module: L.LightningModule) -> None:
        """Put the best weights back, where there was a validation at all."""
        assert isinstance(module, StageModule)
        module.model.resize_to({name.removeprefix("model."): best for name, best in self.weights.items()})
        weights = _kept(module)
        for name, best in self.weights.items():
            weights[name].copy_(best)

    def state_dict(self) -> dict[str, Any]:
        """The lowest loss, the validations since, and the weights that had it."""
        return {"loss": self.loss, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a stored best."""
        self.loss, self.waited, self.weights = (state_dict[name] for name in ("loss", "waited", "weights"))


def _kept(module: L.LightningModule) -> dict[str, Tensor]:
    """The weights that train, by name; all of a renderer that grows, whose sizes belong together."""
    assert isinstance(module, StageModule)
    whole = {f"model.render.{name}": value for name, value in module.model.render.state_dict(keep_vars=True).items()}
    return averaged(module) | (whole if module.model.render.grows else {})


class Resumable(L.Callback):
    """Stores the whole state of the training every so many steps, in one file that is replaced each time.

    It is stored between two steps, when `StepLoader` calls `between_steps`: Lightning's own hooks come either before
    the numbers and the validation of a step, which a training that goes on from there would lack, or after the next
    step has begun.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every, self.stored = path, every, 0
        self.trainer: L.Trainer | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember whose state it is, and at which step it is there already."""
        self.trainer, self.stored = trainer, trainer.global_step

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Put right the step that Lightning logs by, which it counts apart, and one on where a training goes on."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def between_steps(self) -> None:
        """Store the state, where it is time."""
        step = 0 if self.trainer is None else self.trainer.global_step
        if self.trainer is not None and step > self.stored and step % self.every == 0:
            self.trainer.save_checkpoint(self.path)
            self.stored = step


class Samples(L.Callback):
    """After each validation a picture of the first batch goes to `folder`, and to loggers that take pictures; the
    newest is also there under the stage's name alone, for viewers that follow a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @torch.no_grad()
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write and log the stage's picture of the first batch."""
        assert isinstance(pl_module, StageModule)
        if batch_idx == 0:
            path = self.folder / f"{pl_module.name}_{trainer.global_step:06d}.png"
            picture = pl_module.picture(batch)
            write_picture(path, picture)
            write_picture(self.folder / f"{pl_module.name}.png", picture)
            for logger in trainer.loggers:
                if isinstance(logger, TakesPictures):
                    logger.log_image(f"{pl_module.name}/sample", [str(path)], step=trainer.global_step)


class Progress(RichProgressBar):
    """Lightning's bar under the stage's name, on standard error. Runs count steps, not epochs."""

    def __init__(self) -> None:
        theme = RichProgressBarTheme(metrics_format=".3g")
        super().__init__(leave=True, theme=theme, console_kwargs={"stderr": True})

    def _get_train_description(self, current_epoch: int) -> str:
        assert isinstance(self.trainer.lightning_module, StageModule)
        return f"training {self.trainer.lightning_module.name}"

    @property
    def total_train_batches(self) -> int:
        """The bar's length: the stage's steps."""
        return self.trainer.max_steps

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The numbers beside the bar, without Lightning's version number."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return shown
