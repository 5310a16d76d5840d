"""The lag detector's numbers (`ops.avlag`) as metrics. None of them is a lip-sync score."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.articulation import mouth_landmarks
from visemix.metrics.base import METRICS, NoScore, SequenceMetric, VideoSequence
from visemix.metrics.shown import Presentation
from visemix.ops import avlag
from visemix.ops.avlag import BANDS, REACH, Lag


def detect(fake: VideoSequence, real: VideoSequence) -> Lag:
    """The `Lag` of `fake`. Raises `NoScore` for a clip that cannot be judged."""
    if fake.sound is None:
        raise ValueError("a lag needs sound")
    try:
        return avlag.detect(mouth_landmarks(fake), fake.sound, fake.fps, (real.source, fake.source))
    except avlag.LagUndetermined as error:
        raise NoScore(str(error)) from error


class ProxyMetric(SequenceMetric):
    """Base of metrics that the lag detector computes for a clip."""

    region = "mouth"
    needs = frozenset({"landmarks", "sound"})
    compares = False
    variant = f"ridge from {BANDS} mel bands to the mouth's shape, ±{REACH} frames, not a lip-sync score"

    def result(self, fake: VideoSequence, real: VideoSequence) -> Lag:
        """The fake's lag, detected once for all metrics that ask. Raises `NoScore` as `detect` does."""
        return fake.memoised("avproxy", lambda: detect(fake, real))

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row, the number. Raises `NoScore` as `detect` does, or where the number is unknown."""
        return torch.tensor([[self.number(self.result(fake, real), fake)]], dtype=torch.float64)

    @abstractmethod
    def number(self, lag: Lag, fake: VideoSequence) -> float:
        """The metric, from a lag that was found."""


@METRICS.register("avproxy_offset")
class ProxyOffset(ProxyMetric):
    """Frames by which the sound is early (below 0: late), by the lag detector; its zero is only relative.

    No number where the best lag is the furthest that was tried, or `avproxy_peak_z` is below 2 (no speech, or lips that
    move to something else): it would be a guess.
    """

    unit = "frames"
    higher_is_better = None
    ideal = 0.0
    without_truth = True
    shown = Presentation(34, diagnostic=True)

    def number(self, lag: Lag, fake: VideoSequence) -> float:
        """The offset in frames. Raises `NoScore` where it would be a guess."""
        if lag.doubt:
            raise NoScore(lag.doubt)
        return float(lag.offset)


@METRICS.register("avproxy_corr@0")
class ProxyCorrelation(ProxyMetric):
    """Correlation of mouth movements with those predicted from the sound as recorded, by the lag detector."""

    unit = "1"
    higher_is_better = True
    without_truth = True
    shown = Presentation(
        33,
        foreign=True,
        diagnostic=True,
        over_lags="correlation of mouth and sound",
        reading="The lag detector's correlation of the mouth with what the sound foretells of it. The place of the "
        "peak is the offset; it is no lip-sync score, and its zero is only relative: compare with the recording's.",
    )

    def number(self, lag: Lag, fake: VideoSequence) -> float:
        """The correlation with the sound as recorded."""
        return lag.at_zero

    def lags(self, fake: VideoSequence, real: VideoSequence) -> tuple[float, ...]:
        """The correlations with the sound moved by −15 to 15 frames."""
        return tuple(self.result(fake, real).correlations.tolist())


@METRICS.register("avproxy_corr@lag")
class ProxyCorrelationAtLag(ProxyMetric):
    """Correlation of mouth movements with those predicted from the sound, moved by the known lag of the video: the
    stored one of a recording, none for what was made from sound."""

    unit = "1"
    higher_is_better = True
    needs = ProxyMetric.needs | {"lag"}
    shown = Presentation(diagnostic=True)

    def number(self, lag: Lag, fake: VideoSequence) -> float:
        """The correlation at the fake's lag. Raises `NoScore` where that is unknown or was not tried."""
        if fake.lag is None or abs(fake.lag) > REACH:
            raise NoScore(f"no correlation is known for a lag of {fake.lag} frames")
        return float(lag.correlations[REACH + fake.lag])


@METRICS.register("avproxy_peak_z")
class ProxyPeak(ProxyMetric):
    """z-score of the best correlation over lags, among the best ones of the same sound moved far out of step."""

    unit = "σ"
    higher_is_better = True
    without_truth = True
    shown = Presentation(35, diagnostic=True)

    def number(self, lag: Lag, fake: VideoSequence) -> float:
        """Standard deviations by which the best correlation stands out."""
        return lag.peak_z
