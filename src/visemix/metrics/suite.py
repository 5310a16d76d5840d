"""Several metrics over several clips: per frame, per clip, and one row of a table each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.base import METRICS, VideoMetric, View

MISSING_LIMIT = 0.05  # of a clip's frames; a mouth too broken to be found must not improve the score

# `inf`: the pictures are equal, and decibels have no number for that
Status = Literal["ok", "inf", "invalid", "unavailable"]


@dataclass(frozen=True)
class Score:
    """A number, or the reason why there is none. `value` is None unless `status` is `ok`."""

    value: float | None
    status: Status = "ok"
    reason: str = ""
    frames: tuple[float, ...] = field(default=(), repr=False)  # one a frame; NaN where it could not be scored

    @classmethod
    def of(cls, value: float, frames: tuple[float, ...] = ()) -> Score:
        if math.isinf(value):
            return cls(None, "inf", "pictures are equal to the bit", frames)
        return cls(value, "ok", "", frames)


class Suite:
    """Metrics by name, fed frame by frame, asked once per clip and once at the end.

    A clip's number is over its frames, the suite's is the plain mean over clips, as the papers' tables have it;
    `pooled` weighs every frame alike.

    Raises:
        VisemixError: a name no metric has.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        chosen = METRICS.names() if names is None else list(dict.fromkeys(names))
        self.metrics: dict[str, VideoMetric] = {name: METRICS.build({"name": name}) for name in chosen}
        self._rows: dict[str, list[Tensor]] = {name: [] for name in chosen}

    @property
    def needs_landmarks(self) -> bool:
        return any(metric.needs_landmarks for metric in self.metrics.values())

    def update(self, fake: View, real: View) -> None:
        """The next frames of the clip at hand. Metrics that want landmarks sit out where a view has none."""
        for name, metric in self.metrics.items():
            if metric.needs_landmarks and (fake.landmarks is None or real.landmarks is None):
                continue
            rows = metric.measure(fake, real)
            metric.add(rows)
            self._rows[name].append(rows)

    def finish_clip(self, unavailable: str = "no landmarks were given") -> dict[str, Score]:
        """Every metric over the frames since the last call. `unavailable` says why metrics that sat out did."""
        scores = {
            name: _score(self.metrics[name], torch.cat(rows)) if rows else Score(None, "unavailable", unavailable)
            for name, rows in self._rows.items()
        }
        self._rows = {name: [] for name in self.metrics}
        return scores

    def pooled(self, name: str) -> float | None:
        """The metric over all frames of all clips alike; None where it is not a finite number."""
        metric = self.metrics[name]
        if not metric.scored:
            return None
        value = float(metric.value(metric.total / metric.scored))
        return value if math.isfinite(value) else None


def _score(metric: VideoMetric, rows: Float[Tensor, "T K"]) -> Score:
    frames = tuple(float(metric.value(row)) for row in rows.double())
    kept = rows[~rows.isnan().any(1)].double()
    missing = len(rows) - len(kept)
    if missing > MISSING_LIMIT * len(rows):
        reason = f"no face was found in {missing} of {len(rows)} frames; at most {MISSING_LIMIT:.0%} may be missing"
        return Score(None, "invalid", reason, frames)
    return Score.of(float(metric.value(kept.mean(0))), frames)


def over_clips(scores: dict[str, Score]) -> Score:
    """The mean over clips by name. One clip without a number leaves the mean without: dropping it would flatter."""
    for status in ("unavailable", "invalid", "inf"):
        of_it = [name for name, score in scores.items() if score.status == status]
        if of_it:
            others = f" (and {len(of_it) - 1} more)" if len(of_it) > 1 else ""
            return Score(None, status, f"{of_it[0]}{others}: {scores[of_it[0]].reason}")  # type: ignore[arg-type]
    values = [score.value for score in scores.values() if score.value is not None]
    return Score(sum(values) / len(values))
