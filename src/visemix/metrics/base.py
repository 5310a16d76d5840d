"""What a metric looks at, and what it remembers: sums, so neither batching nor several processes change the answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchmetrics import Metric

from visemix.metrics.shown import UNSHOWN, Presentation
from visemix.registry import Registry
from visemix.types import TensorStruct, VisemixError

T = TypeVar("T")
MISSING_LIMIT = 0.05  # of a clip's frames; a mouth too broken to be found must not improve the score


class NoScore(Exception):
    """There is no number, for the reason given; it becomes the status `invalid`."""


class Memoised(TensorStruct):
    """Keeps what several metrics want to know of the same pictures."""

    memo: dict[str, Any]

    def memoised(self, key: str, make: Callable[[], T]) -> T:
        """What `make` answered when `key` was first asked for."""
        if key not in self.memo:
            self.memo[key] = make()
        answer: T = self.memo[key]
        return answer


@dataclass(frozen=True)
class FrameBatch(Memoised):
    """A stretch of one video, as a metric sees it: 8-bit pictures, and the landmarks that a tracker found in them."""

    frames: UInt8[Tensor, "T 3 H W"]  # RGB, 0 to 255
    landmarks: Float[Tensor, "T 68 2"] | None = None  # iBUG-68, pixels; NaN where no face was found
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class VideoSequence(Memoised):
    """One whole video, as metrics of motion and of sound see it. What could not be had is None."""

    fps: float = 25.0
    landmarks: Float[Tensor, "T 68 2"] | None = None  # iBUG-68, pixels; NaN where no face was found
    sound: Float[Tensor, " S"] | None = None  # 16 kHz, mono, in [-1, 1]
    fit: Float[Tensor, "T 68 3"] | None = None  # fitted face's 68 points less the mean face's, no pose; decimetres
    pictures: Callable[[], Iterator[UInt8[np.ndarray, "H W 3"]]] | None = None
    source: str = ""  # sha256 of the recording this came from
    lag: int | None = None  # frames by which its sound is early (below 0: late), where that was ever measured
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


def as_bytes(frames: Float[Tensor, "*b 3 H W"]) -> UInt8[Tensor, "*b 3 H W"]:
    """RGB in [0, 1] → 0 to 255, rounded: truncation, which some published meters do, costs up to one level.

    Raises `ValueError` where a value is not a number.

    >>> as_bytes(torch.full((3, 1, 1), 0.999)).unique()
    tensor([255], dtype=torch.uint8)
    """
    if frames.isnan().any():
        bad = int(frames.isnan().flatten(-3).any(-1).sum())
        raise ValueError(f"{bad} pictures hold values that are no numbers (NaN)")
    return (frames.clamp(0, 1) * 255).round().to(torch.uint8)


class VideoMetric(Metric, ABC):
    """One number about a fake video beside its real one.

    `measure` answers with rows of K statistics (NaN where something cannot be scored): one row per frame of a
    `FrameBatch`, or, where `per` is "clip", one row for a `VideoSequence`. `score` turns rows into the number, by
    default the `value` of their mean. The state is what that needs: the rows' sum. `compute` weighs all rows alike;
    means over clips are the suite's.

    What is known of a metric, it says itself: `unit`, `variant`, and `higher_is_better` or `ideal` it must.
    """

    unit: str
    variant: str  # which of the many conventions this is
    region: str = "full"
    ideal: float | None = None  # what a perfect fake would score, where that is neither high nor low
    without_truth: bool = False  # also measured where nobody recorded what a fake says: of foreign speech
    shown: Presentation = UNSHOWN
    needs: ClassVar[frozenset[str]] = frozenset()  # of landmarks, sound, fit, pictures, lag: what a take must have
    compares: ClassVar[bool] = True  # False: the fake alone must have them, the real video may lack them
    per: ClassVar[Literal["frame", "clip", "set"]] = "frame"  # what it is a number of; of all frames together: a set
    full_state_update = False

    total: Tensor
    scored: Tensor

    def __init__(self, statistics: int = 1) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(statistics, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("scored", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def measure(self, fake: Any, real: Any) -> Float[Tensor, "T K"]:
        """Rows for two views, or one row for two takes. Raises `NoScore` where there can be none."""

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The number that averaged statistics stand for."""
        return mean[0]

    def score(self, rows: Float[Tensor, "T K"]) -> Float[Tensor, ""]:
        """The number of some rows, none of them NaN. Raises `NoScore` where they are too few."""
        return self.value(rows.double().mean(0))

    def missing(self) -> str | None:
        """Why nothing can be measured (no weights), or None."""
        return None

    def doubt(self) -> str | None:
        """Why what is measured is no score (untrained weights), or None."""
        return None

    def caution(self) -> str | None:
        """What a reader must know of the number over all frames so far, or None."""
        return None

    def about(self) -> dict[str, Any]:
        """What else belongs beside the number: the weights' sha256."""
        return {}

    def lags(self, fake: VideoSequence, real: VideoSequence) -> tuple[float, ...]:
        """What the number is the best of, where that is a lag: one for every offset from −15 to 15 frames."""
        return ()

    def update(self, fake: Any, real: Any) -> None:
        """Add the rows of another stretch of frames, or of another clip where `per` is "clip"."""
        self.add(self.measure(fake, real))

    def add(self, rows: Float[Tensor, "T K"]) -> None:
        """Remember rows that `measure` gave: for a caller who also wants to see them."""
        kept = finite_rows(rows)
        self.total += kept.sum(0)
        self.scored += len(kept)

    def compute(self) -> Tensor:
        """The number of all rows so far, as `pooled`, but cached and joined over processes by torchmetrics."""
        return self.pooled()

    def pooled(self) -> Float[Tensor, ""]:
        """The number of all rows so far, without torchmetrics' cache and its warnings."""
        return self.value(self.total / self.scored)


class SequenceMetric(VideoMetric):
    """A number that only a whole clip has."""

    per = "clip"


def finite_rows(rows: Float[Tensor, "T K"]) -> Float[Tensor, "N K"]:
    """The rows without a NaN, float64."""
    return rows[~rows.isnan().any(1)].double()


class MetricRegistry(Registry[VideoMetric]):
    """Metrics by name, and what follows from what they say of themselves."""

    def build(self, config: Mapping[str, Any], *wiring: Any) -> VideoMetric:
        """A metric. Raises `VisemixError` with what it does not say of itself."""
        metric, name = super().build(config, *wiring), config["name"]
        if not isinstance(metric, VideoMetric):
            raise VisemixError(f"metric '{name}' is of type {type(metric).__name__}, not a visemix.metrics.VideoMetric")
        lacking = [f"`{word}`" for word in ("unit", "variant") if not hasattr(metric, word)]
        if metric.higher_is_better is None and metric.ideal is None:
            lacking.append("`higher_is_better` (or `ideal`, the number that is best)")
        if lacking:
            raise VisemixError(f"metric '{name}' does not say its {', '.join(lacking)}; give its class what is missing")
        return metric

    def known(self) -> dict[str, VideoMetric]:
        """Every metric with its default options, in the order of tables."""
        found = {name: self.build({"name": name}) for name in self.names()}
        return dict(sorted(found.items(), key=lambda named: (named[1].shown.rank, named[0])))

    def headlines(self) -> list[str]:
        """What stands in a table that is to fit a page."""
        return [name for name, metric in self.known().items() if metric.shown.headline]

    def without_truth(self) -> list[str]:
        """What can be measured of speech that nobody recorded the person saying."""
        return [name for name, metric in self.known().items() if metric.without_truth]

    def foreign(self) -> list[str]:
        """Those of them that stand in tables beside the others."""
        return [name for name, metric in self.known().items() if metric.without_truth and metric.shown.foreign]

    def diagnostics(self) -> list[str]:
        """What explains other numbers and ranks nothing."""
        return [name for name, metric in self.known().items() if metric.shown.diagnostic]


METRICS: MetricRegistry = MetricRegistry("metric")
