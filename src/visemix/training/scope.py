"""What a stage changes around itself for the time of a fit, and puts back, after an error too."""

from __future__ import annotations

from typing import Any

import lightning as L
from torch import nn


class FitScope(L.Callback):
    """Freezes what a stage does not train; a stage brings it along (`StageModule.configure_callbacks`).

    It also takes gradient accumulation over from the trainer, which refuses it where a module steps its optimisers
    itself: `parts` batches make a step.
    """

    def __init__(self) -> None:
        self.parts = 1
        self._model: nn.Module | None = None
        self._before: dict[str, bool] = {}

    def take_over(self, trainer: L.Trainer) -> None:
        """Note the batches of a step, before the trainer checks what it is asked for."""
        self.parts, trainer.accumulate_grad_batches = trainer.accumulate_grad_batches, 1

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Freeze, before a strategy looks which gradients there will be."""
        if stage != "fit":
            return
        self._model, trained = pl_module.model, pl_module.trained_weights()
        self._before = {name: parameter.requires_grad for name, parameter in self._model.named_parameters()}
        for name, parameter in self._model.named_parameters():
            parameter.requires_grad_(name in trained)
        for part in self._model.stages().values():
            part.train(any(parameter.requires_grad for parameter in part.parameters()))
            set_frozen_to_eval(part)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put everything back."""
        self._put_back(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Put everything back; an interrupted fit ends here, too."""
        self._put_back(trainer)

    def _put_back(self, trainer: L.Trainer) -> None:
        if self.parts > 1:
            trainer.accumulate_grad_batches, self.parts = self.parts, 1
        for name, parameter in self._model.named_parameters() if self._model is not None else ():
            parameter.requires_grad_(self._before[name])  # by name: one that has changed its size is another one
        self._model = None


def set_frozen_to_eval(part: nn.Module) -> None:
    """Put to eval what cannot learn inside a part that can: a wrapped base, the features a loss looks through."""
    for module in part.children():
        weights = list(module.parameters())
        if weights and not any(p.requires_grad for p in weights):
            module.eval()
        else:
            set_frozen_to_eval(module)
