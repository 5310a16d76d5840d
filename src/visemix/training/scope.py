"""What a stage changes around itself for the time of a fit, and puts back, after an error too."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning as L
from torch import nn

from visemix.pipeline import TalkingFace


@contextmanager
def train_only(model: TalkingFace, trained: Collection[str]) -> Iterator[None]:
    """Gradients reach the weights of these names alone, and what cannot learn is in eval mode; afterwards gradients
    reach what they did before."""
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    try:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in trained)
        for part in model.stages().values():
            part.train(any(parameter.requires_grad for parameter in part.parameters()))
            set_frozen_to_eval(part)
        yield
    finally:
        for name, parameter in model.named_parameters():  # by name: one that has changed its size is another one
            parameter.requires_grad_(before[name])


def set_frozen_to_eval(part: nn.Module) -> None:
    """Put to eval what cannot learn inside a part that can: a wrapped base, the features a loss looks through."""
    for module in part.children():
        weights = list(module.parameters())
        if weights and not any(p.requires_grad for p in weights):
            module.eval()
        else:
            set_frozen_to_eval(module)


class FitScope(L.Callback):
    """Freezes what a stage does not train; a stage brings it along (`StageModule.configure_callbacks`).

    It also takes gradient accumulation over from the trainer, which refuses it where a module steps its optimisers
    itself: `parts` batches make a step.
    """

    def __init__(self) -> None:
        self.parts = 1
        self._open = ExitStack()

    def take_over(self, trainer: L.Trainer) -> None:
        """Note the batches of a step, before the trainer checks what it is asked for."""
        self.parts, trainer.accumulate_grad_batches = trainer.accumulate_grad_batches, 1
        self._open.callback(self._hand_back, trainer)

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Freeze, before a strategy looks which gradients there will be."""
        if stage == "fit":
            self._open.enter_context(pl_module.training_alone())

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put everything back."""
        self._open.close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Put everything back; an interrupted fit ends here, too."""
        self._open.close()

    def _hand_back(self, trainer: L.Trainer) -> None:
        trainer.accumulate_grad_batches, self.parts = self.parts, 1
