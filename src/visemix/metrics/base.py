"""Base classes of metrics, and what these look at. Their state is sums, so neither batches nor processes change the
answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torchmetrics import Metric

from visemix.metrics.shown import UNSHOWN, Presentation
from visemix.parts import Part, answered
from visemix.registry import Registry
from visemix.types import TensorStruct, VisemixError

T = TypeVar("T")
MISSING_LIMIT = 0.05  # of a clip's frames; a mouth too broken to be found must not improve the score


class NoScore(Exception):
    """There is no number, for the reason given; it becomes the status `invalid`."""


class Memoised(TensorStruct):
    """Base of what metrics look at: keeps results that several of them need."""

    memo: dict[str, Any]

    def memoised(self, key: str, make: Callable[[], T]) -> T:
        """The result kept under `key`, made by `make` when first asked for."""
        if key not in self.memo:
            self.memo[key] = make()
        answer: T = self.memo[key]
        return answer


@dataclass(frozen=True)
class FrameBatch(Memoised):
    """Consecutive frames of one video: 8-bit pictures, and the landmarks that a tracker found in them."""

    frames: UInt8[Tensor, "T 3 H W"]  # RGB, 0 to 255
    landmarks: Float[Tensor, "T 68 2"] | None = None  # iBUG-68, pixels; NaN where no face was found
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class VideoSequence(Memoised):
    """One whole video, for metrics of motion and of sound. What could not be had is None."""

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


class VideoMetric(Metric, Part, ABC):
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

    def unsaid(self) -> list[str]:
        """Which numbers are better, where it does not say so."""
        directed = self.higher_is_better is not None or self.ideal is not None
        return [] if directed else ["`higher_is_better` (or `ideal`, the number that is best)"]

    @abstractmethod
    def measure(self, fake: Any, real: Any) -> Float[Tensor, "T K"]:
        """Rows of two `FrameBatch`es, or one row of two `VideoSequence`s. Raises `NoScore` where there can be none."""

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
        """What else belongs beside the number in a report: the sha256 of the weights."""
        return {}

    def lags(self, fake: VideoSequence, real: VideoSequence) -> tuple[float, ...]:
        """The values at offsets of −15 to 15 frames, for a metric that is the best of these; else empty."""
        return ()

    def update(self, fake: Any, real: Any) -> None:
        """Add the rows of another stretch of frames, or of another clip where `per` is "clip"."""
        self.add(self.checked(self.measure(fake, real), fake))

    def checked(self, rows: object, fake: FrameBatch | VideoSequence) -> Float[Tensor, "T K"]:
        """Rows that `measure` gave of this fake.

        Raises:
            VisemixError: they are no tensor, or not a row of K statistics for each frame; of a whole clip, some rows.
        """
        who = f"the metric {type(self).__name__}"
        found = answered(who, rows, Tensor)
        frames = len(fake.frames) if isinstance(fake, FrameBatch) else None
        width = len(self.total)  # 0: it keeps the rows themselves, of any width
        other = found.ndim != 2 or frames not in (None, len(found)) or width not in (0, found.shape[1])
        if other:
            shape = (frames or "T", width or "K")
            raise VisemixError(
                f"{who} answers `measure` with a tensor of shape {tuple(found.shape)}; it must be ({shape[0]}, "
                f"{shape[1]}): a row for each frame, or of a whole clip, of as many statistics as its constructor says"
            )
        return found

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
    """Base of metrics of a whole clip: `measure` takes two `VideoSequence`s and answers with one row."""

    per = "clip"


def finite_rows(rows: Float[Tensor, "T K"]) -> Float[Tensor, "N K"]:
    """The rows without a NaN, float64."""
    return rows[~rows.isnan().any(1)].double()


class MetricRegistry(Registry[VideoMetric]):
    """Metrics by name, and what follows from what they say of themselves."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind, VideoMetric)  # type: ignore[type-abstract]
        self._built: dict[Any, VideoMetric] = {}

    def known(self) -> dict[str, VideoMetric]:
        """Every metric with its default options, in the order of tables: to be asked what it is, not to measure with.
        Each is built when it is first asked for."""
        for name in self.names():
            if self[name] not in self._built:
                self._built[self[name]] = self.build({"name": name})
        found = {name: self._built[self[name]] for name in self.names()}
        return dict(sorted(found.items(), key=lambda named: (named[1].shown.rank, named[0])))

    def headlines(self) -> list[str]:
        """Names of the headline metrics, for tables that are to fit a page."""
        return [name for name, metric in self.known().items() if metric.shown.headline]

    def without_truth(self) -> list[str]:
        """Names of the metrics that need no real video of the same speech."""
        return [name for name, metric in self.known().items() if metric.without_truth]

    def foreign(self) -> list[str]:
        """Names of those without truth whose numbers of foreign speech stand in tables, too."""
        return [name for name, metric in self.known().items() if metric.without_truth and metric.shown.foreign]

    def diagnostics(self) -> list[str]:
        """What explains other numbers and ranks nothing."""
        return [name for name, metric in self.known().items() if metric.shown.diagnostic]


METRICS: MetricRegistry = MetricRegistry("metric")
