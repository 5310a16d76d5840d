"""Parameters that change their length in training, and what an optimiser remembers of them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer


@torch.no_grad()
def resize_parameter(
    optimiser: Optimizer,
    parameter: nn.Parameter,
    kept: Int[Tensor, " K"] | Bool[Tensor, " N"],
    born: Float[Tensor, "M ..."] | None = None,
) -> None:
    """Make a parameter (N, …) of the rows `kept` and, after them, of new ones: (K + M, …), in place.

    What the optimiser remembers of a row goes with it, of a new one it remembers zeros (as Kerbl et al. 2023 do when
    they densify and prune). The gradient is dropped. Only while no graph over the parameter is alive, as in
    `Renderer.after_step`.

    >>> weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    >>> resize_parameter(torch.optim.SGD([weight]), weight, torch.tensor([2, 0]), torch.tensor([9.0]))
    >>> weight.tolist()
    [3.0, 1.0, 9.0]
    """
    born = parameter[:0] if born is None else born
    state = optimiser.state.get(parameter, {})
    for name, value in state.items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:  # not the count of steps
            state[name] = torch.cat([value[kept], torch.zeros_like(born, dtype=value.dtype)])
    parameter.grad = None
    parameter.data = torch.cat([parameter.data[kept], born.to(parameter)])
