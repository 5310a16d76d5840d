"""Weights that the user brings: found by their released name, known by their sha256, never fetched, never replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from visemix.metrics.base import VideoMetric
from visemix.nn.perceptual import read_weights
from visemix.ops.store import sha256
from visemix.types import VisemixError

FOLDER = "VISEMIX_WEIGHTS"  # environment variable: the folder to look in
RANDOM = "random"
COUNTER = "num_batches_tracked"  # of batch norm: some files leave it out, and nothing reads it
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class ReleasedFile:
    """A file of weights as its authors released it."""

    file: str
    sha256: str | None  # None where there is no one release
    source: str


@dataclass(frozen=True)
class PretrainedWeights:
    """Where a metric's weights are: a file, or a folder that holds one of the released name; None asks VISEMIX_WEIGHTS.

    `sha256` is what the file must have; None means the released one, "" any. "random" in the path's place builds an
    untrained network, whose numbers are never a score.
    """

    released: ReleasedFile
    given: str | None = None
    sha256: str | None = None

    @property
    def path(self) -> Path:
        """The file, whether or not it is there; the folder `weights` where neither `given` nor VISEMIX_WEIGHTS says."""
        place = Path(self.given or os.environ.get(FOLDER) or "weights")
        return place / self.released.file if self.given is None or place.is_dir() else place

    @property
    def random(self) -> bool:
        """Whether an untrained network is asked for."""
        return self.given == RANDOM

    @property
    def expected(self) -> str:
        """The sha256 that the file must have; empty where any will do."""
        return (self.released.sha256 or "") if self.sha256 is None else self.sha256

    def missing(self) -> str | None:
        """Why there are none, or None."""
        if self.random or self.path.is_file():
            return None
        sha256 = f"expected sha256 {self.expected}; " if self.expected else ""
        return f"{self.path} not found; {sha256}get it from {self.released.source} and say --weights FOLDER"

    def about(self) -> dict[str, Any]:
        """For the report: which file, and its sha256 beside the expected one."""
        have = self.path.is_file() and not self.random
        return {
            "file": RANDOM if self.random else self.released.file,
            "sha256": file_sha256(self.path) if have else None,
            "expected_sha256": self.expected or None,
        }

    def load(self, make: Callable[[], Net], only: str = "") -> Net:
        """The network that `make` builds, frozen, with those of these weights whose names begin with `only`.

        Raises:
            VisemixError: the file is damaged, or holds other weights. Its sha256 is in the message.
        """
        if self.random:
            return make().eval().requires_grad_(False)
        have = file_sha256(self.path)
        if self.expected and have != self.expected:
            raise VisemixError(
                f"{self.path} has sha256 {have}, expected {self.expected}: it is damaged or another file; "
                "if these are the weights you mean, set the metric's option sha256 to theirs"
            )
        net = make()
        try:
            state = {name: value for name, value in read_weights(self.path).items() if name.startswith(only)}
        except VisemixError as error:
            raise VisemixError(f"{error} (sha256 {have})") from error
        wanted = net.state_dict()
        state = {name: value for name, value in wanted.items() if name.endswith(COUNTER)} | state
        for name in sorted(wanted.keys() | state.keys()):
            if name not in wanted or name not in state or wanted[name].shape != state[name].shape:
                how = "lacks" if name not in state else "does not fit in" if name in wanted else "has an unknown"
                raise VisemixError(f"{self.path} (sha256 {have}) {how} '{name}', so it is not {self.released.file}")
        net.load_state_dict(state)
        return net.eval().requires_grad_(False)


@lru_cache(maxsize=16)
def _sha256(path: Path, changed: float, size: int) -> str:
    return sha256(path)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, read once as long as it does not change."""
    state = path.stat()
    return _sha256(path, state.st_mtime, state.st_size)


class PretrainedMetric(VideoMetric):
    """A metric that a network with weights of the user's computes."""

    weights: PretrainedWeights

    def missing(self) -> str | None:
        """Why there are no weights, or None."""
        return self.weights.missing()

    def doubt(self) -> str | None:
        """That the weights are random, where they are; else None."""
        return "the weights are random, so the number means nothing" if self.weights.random else None

    def about(self) -> dict[str, Any]:
        """The weights' file and sha256, as `PretrainedWeights.about` has them."""
        return self.weights.about()
