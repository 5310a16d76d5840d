"""Whether a training trains at all: what no gradient reaches, and what is never seen, is named and refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visemix.types import OwnStart, VisemixError

log = logging.getLogger(__name__)

STEPS = 20  # in which a gradient has to come, and something has to be seen
UNSEEN = 1e-4  # an opacity that no picture of 8 bits shows


class Watch:
    """Looks at the gradients of a stage's first steps, and all the way at what its renderer shows.

    A module that begins later says when (`types.OwnStart`). It costs a look at the gradients that have not come yet,
    which in most trainings are none from the second step on, and a comparison every `STEPS` steps.
    """

    def __init__(self, stage: str, model: nn.Module) -> None:
        self.stage, self.model = stage, model
        self._waiting: dict[int, dict[str, tuple[nn.Parameter, int]]] = {}  # of an optimiser: what, from which step on
        self._peaks: dict[str, Tensor] = {}
        self._looks = 0

    def gradients(self, optim: Any, step: int) -> None:
        """Look at an optimiser's gradients of a step, counted from 0, before they move anything.

        Raises:
            VisemixError: a module had none for any of its weights in `STEPS` steps.
        """
        if id(optim) not in self._waiting:
            moving = {id(p) for group in optim.param_groups for p in group["params"]}
            begins, named = starts(self.model), self.model.named_parameters()
            self._waiting[id(optim)] = {n: (p, max(step, begins.get(n, 0))) for n, p in named if id(p) in moving}
        waiting = self._waiting[id(optim)]
        for name in reached({name: p for name, (p, first) in waiting.items() if step >= first}):
            del waiting[name]
        late = [name for name, (_, first) in waiting.items() if step >= first + STEPS - 1]
        for name in late:
            del waiting[name]
        self._refuse_modules(late)

    def pictures(self, opacities: Mapping[str, Tensor]) -> None:
        """Look at the greatest opacities of what a step drew, by name.

        Raises:
            VisemixError: one was 0 in each of the last `STEPS` steps.
        """
        self._peaks = {name: torch.maximum(peak, self._peaks.get(name, peak)) for name, peak in opacities.items()}
        self._looks += 1
        if self._looks % STEPS or not self._peaks:
            return
        unseen = [name for name, peak in self._peaks.items() if peak < UNSEEN]
        self._peaks = {}
        if unseen:
            raise self._refusal(
                f"paints nothing: in {STEPS} steps the opacity of its {' and '.join(unseen)} was 0 wherever there is "
                f"one; try another seed, or a lower train.{self.stage}.lr"
            )

    def _refuse_modules(self, late: Iterable[str]) -> None:
        """Weights that had no gradient are no fault of a module whose other weights had one."""
        late = set(late)
        dead = []
        for path, module in self.model.named_modules():
            own = {f"{path}.{name}" for name, p in module.named_parameters(recurse=False) if p.requires_grad}
            if own & late and own <= late:
                dead.append(path)
        if dead:
            shown = ", ".join(dead[:4]) + (f" and {len(dead) - 4} more" if len(dead) > 4 else "")
            raise self._refusal(
                f"does not train all that it should: in {STEPS} steps no gradient reached {shown}; try another seed, "
                "or have the part freeze what is not to learn, and say by learns_from what begins later"
            )

    def _refusal(self, what: str) -> VisemixError:
        log.error("the %s stage %s", self.stage, what)
        return VisemixError(f"the {self.stage} stage {what}")


def starts(model: nn.Module) -> dict[str, int]:
    """The step from which weights have a gradient, by name, where a module around them says so."""
    found: dict[str, int] = {}
    for path, module in model.named_modules():  # the inner ones after those around them
        named = [f"{path}.{name}".lstrip(".") for name, _ in module.named_parameters()]
        if isinstance(module, OwnStart):
            found |= dict.fromkeys(named, module.learns_from)
    return found


def reached(weights: Mapping[str, nn.Parameter]) -> list[str]:
    """The names of those with a gradient that is not 0 everywhere, and of those that are empty."""
    some = {name: p.grad for name, p in weights.items() if p.grad is not None and p.numel()}
    found = torch.stack([gradient.any() for gradient in some.values()]).tolist() if some else []
    empty = [name for name, p in weights.items() if not p.numel()]
    return [name for name, moves in zip(some, found, strict=True) if moves] + empty
