"""The lag detector's numbers (`ops.avlag`) as metrics. None of them is a lip-sync score."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.articulation import mouths
from visemix.metrics.base import METRICS, NoScore, Take, TakeMetric
from visemix.metrics.shown import Shown
from visemix.ops import avlag
from visemix.ops.avlag import BANDS, REACH, Lag


def detect(fake: Take, real: Take) -> Lag:
    """The lag of `fake`. Raises `NoScore` for a clip that cannot be judged."""
    if fake.sound is None:
        raise ValueError("a lag needs sound")
    try:
        return avlag.detect(mouths(fake), fake.sound, fake.fps, (real.source, fake.source))
    except avlag.NoLag as error:
        raise NoScore(str(error)) from error


class Proxy(TakeMetric):
    """What the lag detector says of a clip."""

    region = "mouth"
    needs = frozenset({"landmarks", "sound"})
    compares = False
    variant = f"ridge from {BANDS} mel bands to the mouth's shape, ±{REACH} frames, not a lip-sync score"

    def judged(self, fake: Take, real: Take) -> Lag:
        return fake.once("avproxy", lambda: detect(fake, real))


class Best(Proxy):
    """A number that stands or falls with the best lag, wherever that is."""

    def measure(self, fake: Take, real: Take) -> Float[Tensor, "T K"]:
        lag = self.judged(fake, real)
        if abs(lag.offset) == REACH:
            raise NoScore(f"the best lag is at the edge ({lag.offset} frames): nothing to trust")
        return torch.tensor([[self.number(lag)]], dtype=torch.float64)

    @abstractmethod
    def number(self, lag: Lag) -> float: ...


@METRICS.register("avproxy_offset")
class ProxyOffset(Best):
    """Frames by which the sound is early (below 0: late), by the lag detector; its zero is only relative.

    No number where `avproxy_peak_z` is below 2 (no speech, or lips that move to something else): it would be a guess.
    """

    unit = "frames"
    higher_is_better = None
    ideal = 0.0
    without_truth = True
    shown = Shown(34)

    def number(self, lag: Lag) -> float:
        if lag.doubt:
            raise NoScore(lag.doubt)
        return float(lag.offset)


@METRICS.register("avproxy_corr@0")
class ProxyCorrelation(Best):
    """Correlation of the mouth with what the sound foretells, as recorded; by the lag detector."""

    unit = "1"
    higher_is_better = True
    without_truth = True
    shown = Shown(
        33,
        foreign=True,
        stands_in_for="lse_c",
        over_lags="correlation of mouth and sound",
        reading="The lag detector's correlation of the mouth with what the sound foretells of it. The place of the "
        "peak is the offset; it is no lip-sync score, and its zero is only relative: compare with the recording's.",
    )

    def number(self, lag: Lag) -> float:
        return lag.at_zero

    def lags(self, fake: Take, real: Take) -> tuple[float, ...]:
        return tuple(self.judged(fake, real).correlations.tolist())


@METRICS.register("avproxy_corr@lag")
class ProxyCorrelationAtLag(Proxy):
    """The same with the sound moved by the lag that the video is known to have: a recording by the stored one, what was
    made from sound by none."""

    unit = "1"
    higher_is_better = True
    needs = Proxy.needs | {"lag"}

    def measure(self, fake: Take, real: Take) -> Float[Tensor, "T K"]:
        lag = self.judged(fake, real)
        if fake.lag is None or abs(fake.lag) > REACH:
            raise NoScore(f"no correlation is known for a lag of {fake.lag} frames")
        return torch.tensor([[lag.correlations[REACH + fake.lag]]], dtype=torch.float64)


@METRICS.register("avproxy_peak_z")
class ProxyPeak(Best):
    """How far the best lag stands out, in standard deviations of the bests of the same sound far out of step."""

    unit = "σ"
    higher_is_better = True
    without_truth = True
    shown = Shown(35)

    def number(self, lag: Lag) -> float:
        return lag.peak_z
