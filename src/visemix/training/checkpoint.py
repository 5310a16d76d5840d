"""Lightning's checkpoints without pickles: the tensors as safetensors, everything around them as JSON beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO
from torch import Tensor

from visemix.ops.store import read_notes, read_tensors, write_tensors
from visemix.types import VisemixError


def flatten(value: Any, tensors: dict[str, Tensor], at: str = "") -> Any:
    """`value` with what JSON can hold; tensors go to `tensors` by their path, and leave a mark where they were.

    Raises:
        TypeError: something in `value` that only a pickle could hold.

    >>> flatten({0: (1, None)}, {})
    {'dict': [[0, {'tuple': [1, None]}]]}
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Tensor):
        tensors[at] = value
        return {"tensor": at}
    if isinstance(value, Mapping):
        return {"dict": [[key, flatten(v, tensors, f"{at}/{key}")] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [flatten(v, tensors, f"{at}/{i}") for i, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise TypeError(f"{at} of the checkpoint is a {type(value).__qualname__}, which only a pickle could hold")


def restore(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `flatten`."""
    if isinstance(value, list):
        return [restore(v, tensors) for v in value]
    if isinstance(value, dict):
        ((kind, body),) = value.items()
        if kind == "tensor":
            return tensors[body]
        return {key: restore(v, tensors) for key, v in body} if kind == "dict" else tuple(restore(body, tensors))
    return value


class TensorCheckpoints(CheckpointIO):
    """Saves and loads a training state as one safetensors file, written whole or not at all."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a training state, and apart from it the step that `stored_step` reads.

        Raises:
            TypeError: something in it that only a pickle could hold.
        """
        tensors: dict[str, Tensor] = {}
        structure = flatten(checkpoint, tensors)
        write_tensors(Path(path), tensors, {"step": checkpoint["global_step"], "structure": structure})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """The training state in `path`, its tensors on the CPU wherever `map_location` wants them.

        Raises:
            VisemixError: no such file, or not one that `save_checkpoint` wrote.
        """
        try:
            tensors, notes = read_tensors(Path(path))
            return dict(restore(notes["structure"], tensors))
        except (ValueError, KeyError, OSError) as error:
            raise unreadable(path, error) from error

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def stored_step(path: Path) -> int:
    """How many steps were done when the training state in `path` was written.

    Raises:
        VisemixError: the file cannot be read.
    """
    try:
        return int(read_notes(path)["step"])
    except (ValueError, KeyError, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Any, error: Exception) -> VisemixError:
    """What to raise where a training state cannot be read, with the way out."""
    return VisemixError(f"{path} is no training state ({error}); delete it to start the stage anew")
