"""Memory and work that building a model from a stranger's file may take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from visemix.types import VisemixError

SPARE_BYTES, BYTES_EACH = 256 << 20, 4  # beside the weights in a file; for each byte of them
SPARE_CALLS, CALLS_EACH = 2_000, 50  # of torch; for each tensor in a file
LARGEST = 1_000_000  # number in a config that any file may hold; a larger file, as many as it has weights
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
FREE = ("seed",)  # options that are no sizes


class Budget(TorchDispatchMode):
    """A context in which torch makes new tensors only as far as weights at hand account for them: what is too large is
    refused before memory is taken for it, and a loop that makes too many when it has made these.

    Args:
        weights: what the file holds, by name.
        source: where they are from, for the message.
    """

    def __init__(self, weights: Mapping[str, Tensor], source: object) -> None:
        super().__init__()
        self.source = source
        self.bytes_left = SPARE_BYTES + BYTES_EACH * sum(tensor.nbytes for tensor in weights.values())
        self.calls_left = SPARE_CALLS + CALLS_EACH * len(weights)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.calls_left -= 1
        if not func.is_view and not func._schema.is_mutable:
            self.bytes_left -= _size(func, args, kwargs)
        if self.bytes_left < 0 or self.calls_left < 0:
            raise VisemixError(
                f"{self.source} asks for a model that is far larger than the weights in it, and is not built"
            )
        return func(*args, **kwargs)


def refuse_extremes(config: Any, weights: Mapping[str, Tensor], source: object) -> None:
    """Refuse numbers in a model's config that no weights at hand account for: what is made by them outside torch would
    be as large.

    Raises:
        VisemixError: there is one, said by its place.
    """
    _check_numbers(config, max(LARGEST, sum(tensor.numel() for tensor in weights.values())), source, "config")


@contextmanager
def building(source: object) -> Iterator[None]:
    """A context that builds a model of a config from a file: whatever goes wrong in it is the file's fault.

    Raises:
        VisemixError: that.
    """
    try:
        yield
    except VisemixError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise VisemixError(f"the config in {source} builds no model ({reason})") from error


def alike(own: Tensor, stored: Tensor) -> bool:
    """Whether a stored tensor fits into a model's: of its shape, and of its type, or both floating-point."""
    return own.shape == stored.shape and (own.dtype == stored.dtype or {own.dtype, stored.dtype} <= FLOATS)


def refuse_not_numbers(own: Mapping[str, Tensor], stored: Mapping[str, Tensor], source: object) -> None:
    """Refuse stored weights that are NaN or infinite where a new model's are numbers: some of its are not known yet.

    Raises:
        VisemixError: there are some, by the name.
    """
    for name, tensor in own.items():
        if tensor.isfinite().all() and not stored[name].isfinite().all():
            raise VisemixError(f"the weights in {source} hold NaN or an infinite number in '{name}'")


def _check_numbers(value: Any, largest: int, source: object, place: str) -> None:
    if isinstance(value, Mapping):
        for key, each in value.items():
            _check_numbers(each, 2**63 - 1 if key in FREE else largest, source, f"{place}.{key}")
    elif isinstance(value, list):
        for k, each in enumerate(value):
            _check_numbers(each, largest, source, f"{place}[{k}]")
    elif isinstance(value, (int, float)) and not -largest <= value <= largest:
        raise VisemixError(f"{source}: {place}={value:.6g} is beyond what the weights in it account for")


def _size(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Bytes of what a call of torch would make; 0 where that hangs on the values in its inputs."""
    options = {key: value for key, value in kwargs.items() if key != "generator"}
    if "device" in {argument.name for argument in func._schema.arguments}:
        options["device"] = torch.device("meta")
    try:
        made = func(*tree_map(_shape_of, args), **tree_map(_shape_of, options))
    except (RuntimeError, NotImplementedError, TypeError):
        return 0
    return sum(each.nbytes for each in tree_flatten(made)[0] if isinstance(each, Tensor))


def _shape_of(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value
