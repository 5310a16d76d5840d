"""What a metric looks at, and what it remembers: sums, so neither batching nor several processes change the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchmetrics import Metric

from visemix.registry import Registry
from visemix.types import TensorStruct


@dataclass(frozen=True)
class View(TensorStruct):
    """A stretch of one video, as a metric sees it: 8-bit pictures, and the landmarks that a tracker found in them."""

    frames: UInt8[Tensor, "T 3 H W"]  # RGB, 0 to 255
    landmarks: Float[Tensor, "T 68 2"] | None = None  # iBUG-68, pixels; NaN where no face was found


def as_bytes(frames: Float[Tensor, "*b 3 H W"]) -> UInt8[Tensor, "*b 3 H W"]:
    """RGB in [0, 1] → 0 to 255, rounded: truncation, which some published meters do, costs up to one level.

    >>> as_bytes(torch.full((3, 1, 1), 0.999)).unique()
    tensor([255], dtype=torch.uint8)
    """
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


class VideoMetric(Metric, ABC):
    """One number about a fake video beside its real one.

    `measure` answers with one row of K statistics per frame (NaN where a frame cannot be scored); the state is their
    sum, and `value` turns their mean into the number. `compute` weighs every frame alike; means over clips are the
    suite's.
    """

    unit: str
    variant: str  # which of the many conventions this is
    region: str = "full"
    needs_landmarks: bool = False
    full_state_update = False

    total: Tensor
    scored: Tensor

    def __init__(self, statistics: int = 1) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(statistics, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("scored", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def measure(self, fake: View, real: View) -> Float[Tensor, "T K"]: ...

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The number that statistics averaged over frames stand for."""
        return mean[0]

    def update(self, fake: View, real: View) -> None:
        self.add(self.measure(fake, real))

    def add(self, rows: Float[Tensor, "T K"]) -> None:
        """Remember rows that `measure` gave: for a caller who also wants to see them."""
        kept = rows[~rows.isnan().any(1)].double()
        self.total += kept.sum(0)
        self.scored += len(kept)

    def compute(self) -> Tensor:
        return self.value(self.total / self.scored)


METRICS: Registry[VideoMetric] = Registry("metric")
