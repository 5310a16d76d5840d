"""Several metrics over several clips: per frame, per clip, and one row of a table each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.base import METRICS, MISSING_LIMIT, FrameBatch, NoScore, VideoMetric, VideoSequence, finite_rows
from visemix.types import VisemixError

# `inf`: the pictures are equal, and decibels have no number for that
Status = Literal["ok", "inf", "invalid", "unavailable"]
WITHOUT = {
    "landmarks": "no landmarks were given",
    "sound": "no sound was given",
    "fit": "no fitted faces were given",
    "pictures": "no pictures were given",
    "lag": "the recording's lag was never measured",
}


@dataclass(frozen=True)
class Score:
    """A number, or the reason why there is none. `value` is None unless `status` is `ok`."""

    value: float | None
    status: Status = "ok"
    reason: str = ""
    frames: tuple[float, ...] = field(default=(), repr=False)  # one a frame; NaN where it could not be scored
    lags: tuple[float, ...] = field(default=(), repr=False)  # see `VideoMetric.lags`

    @classmethod
    def of(cls, value: float, frames: tuple[float, ...] = ()) -> Score:
        """The score of a number: `inf` or `invalid`, without a value, where it is infinite or NaN."""
        if math.isinf(value):
            return cls(None, "inf", "pictures are equal to the bit", frames)
        if math.isnan(value):
            return cls(None, "invalid", "the answer is not a number", frames)
        return cls(value, "ok", "", frames)


class Suite:
    """Metrics by name (or by their config), fed frame by frame, asked once per clip and once at the end.

    A clip's number is over its frames, the suite's is the plain mean over clips, as the papers' tables have it;
    `pooled` weighs every frame alike.

    Raises:
        VisemixError: a name no metric has, or an option.
    """

    def __init__(self, metrics: Sequence[str | Mapping[str, Any]] | None = None) -> None:
        chosen = METRICS.names() if metrics is None else metrics
        configs = [{"name": one} if isinstance(one, str) else one for one in chosen]
        self.metrics: dict[str, VideoMetric] = {config["name"]: METRICS.build(config) for config in configs}
        self.missing = {name: reason for name, metric in self.metrics.items() if (reason := metric.missing())}
        self._rows: dict[str, list[Tensor]] = {name: [] for name in self.metrics}
        self._failed: dict[str, str] = {}

    @property
    def needs(self) -> frozenset[str]:
        """What the metrics that can be measured look at beside the pictures of single frames."""
        usable = (metric.needs for name, metric in self.metrics.items() if name not in self.missing)
        return frozenset().union(*usable)

    def update(self, fake: FrameBatch, real: FrameBatch) -> None:
        """The next frames of the clip at hand. Metrics that want landmarks sit out where a view has none."""
        for name, metric in self.metrics.items():
            blind = "landmarks" in metric.needs and (fake.landmarks is None or real.landmarks is None)
            if metric.per == "clip" or blind or name in self.missing or name in self._failed:
                continue
            try:
                rows = metric.measure(fake, real)
            except (NoScore, VisemixError) as error:
                self._failed[name] = str(error)
            else:
                self._rows[name].append(metric.checked(rows, fake))

    def finish_clip(
        self,
        fake: VideoSequence | None = None,
        real: VideoSequence | None = None,
        without: Mapping[str, str] | None = None,
    ) -> dict[str, Score]:
        """Name → score of every metric over the frames since the last call, and over both whole sequences.

        `without` says of what could not be had (landmarks, sound, fit, pictures) why.
        """
        takes = (fake or VideoSequence(), real or VideoSequence())
        scores = {name: self._score(name, takes, WITHOUT | dict(without or {})) for name in self.metrics}
        self._rows, self._failed = {name: [] for name in self.metrics}, {}
        return scores

    def _score(self, name: str, sequences: tuple[VideoSequence, VideoSequence], without: Mapping[str, str]) -> Score:
        metric, rows = self.metrics[name], self._rows[name]
        lags: tuple[float, ...] = ()
        if name in self.missing:
            return Score(None, "unavailable", self.missing[name])
        if metric.per == "clip":
            for need in sorted(metric.needs):
                if any(
                    getattr(sequence, need) is None for sequence in (sequences if metric.compares else sequences[:1])
                ):
                    return Score(None, "unavailable", without[need])
            try:
                lags = metric.lags(*sequences)
                measured = metric.measure(*sequences)
            except (NoScore, VisemixError) as error:
                return Score(None, "invalid", str(error), lags=lags)
            rows = [metric.checked(measured, sequences[0])]
        if name in self._failed:
            return Score(None, "invalid", self._failed[name])
        if not rows:
            return Score(None, "unavailable", without["landmarks"])
        together = torch.cat(rows)
        score = _score(metric, together)
        if doubt := metric.doubt():
            return Score(None, "invalid", doubt, score.frames)
        metric.add(together)
        return replace(score, lags=lags)

    def merge(self, states: Mapping[str, dict[str, Any]]) -> None:
        """Add the state of another suite of the same metrics."""
        for name, state in states.items():
            self.metrics[name].merge_state(state)

    def over_clips(self, name: str, scores: dict[str, Score]) -> Score:
        """A metric's mean over clips by name; of a number that belongs to all frames together, that number."""
        score = over_clips(scores)
        pooled = self.pooled(name) if self.metrics[name].per == "set" else None
        return score if score.value is None or pooled is None else Score(pooled)

    def pooled(self, name: str) -> float | None:
        """The metric over all frames of all clips alike; None where it is not a finite number."""
        metric = self.metrics[name]
        if not metric.scored:
            return None
        value = float(metric.pooled())
        return value if math.isfinite(value) else None


def _score(metric: VideoMetric, rows: Float[Tensor, "T K"]) -> Score:
    frames = tuple(float(metric.value(row)) for row in rows.double()) if metric.per == "frame" else ()
    kept = finite_rows(rows)
    missing = len(rows) - len(kept)
    if missing > MISSING_LIMIT * len(rows):
        reason = f"no face was found in {missing} of {len(rows)} frames, or one too small"
        reason += f"; at most {MISSING_LIMIT:.0%} may be missing"
        return Score(None, "invalid", reason, frames)
    try:
        return Score.of(float(metric.score(kept)), frames)
    except NoScore as error:
        return Score(None, "invalid", str(error), frames)


def over_clips(scores: dict[str, Score]) -> Score:
    """The mean over clips by name. One clip without a number leaves the mean without: dropping it would flatter."""
    for status in ("unavailable", "invalid", "inf"):
        of_it = [name for name, score in scores.items() if score.status == status]
        if of_it:
            others = f" (and {len(of_it) - 1} more)" if len(of_it) > 1 else ""
            return Score(None, status, f"{of_it[0]}{others}: {scores[of_it[0]].reason}")  # type: ignore[arg-type]
    values = [score.value for score in scores.values() if score.value is not None]
    return Score(sum(values) / len(values))
