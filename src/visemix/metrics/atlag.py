"""Metrics `…@lag`: mouths compared at the same sound, beside those that compare frames as they were recorded.

A recording whose sound is early or late shows a mouth that is wrong for its sound by so many frames; one that was made
from that sound is not. What compares the two frame by frame punishes the better one. Here each mouth is first moved by
the lag that it is known to have: a recording by the one that `visemix prepare` stored, what was made from sound by
none. Pictures are never moved: they lie over the recording's own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.articulation import OpeningCorrelation
from visemix.metrics.base import METRICS, FrameBatch, NoScore, SequenceMetric, VideoMetric, VideoSequence
from visemix.metrics.geometry import LandmarkL2, LandmarkMse, LipVertexError
from visemix.metrics.landmarks import lmd, lmd_norm
from visemix.metrics.shown import UNSHOWN, Presentation
from visemix.ops.avlag import overlap


class AtLag(SequenceMetric):
    """Another metric over the frames that belong to the same sound, by the known lag of either video."""

    def __init__(self, metric: VideoMetric, shown: Presentation = UNSHOWN) -> None:
        super().__init__(statistics=len(metric.total))
        self.metric, self.shown = metric, shown
        self.unit, self.region, self.ideal = metric.unit, metric.region, metric.ideal
        self.needs = metric.needs | {"lag"}  # type: ignore[misc]  # of this one
        self.variant = f"{metric.variant}; at the recording's lag, head poses as they then are"

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]  # torchmetrics lets no instance set it
        """As the other metric has it."""
        return self.metric.higher_is_better

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """The other metric's rows for the frames of the same sound, at once for all of the clip."""
        there, here = by_sound(fake, real)
        if self.metric.per == "clip":
            return self.metric.measure(there, here)
        return self.metric.measure(_view(there), _view(here))

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The other metric's number."""
        return self.metric.value(mean)


def _view(sequence: VideoSequence) -> FrameBatch:
    """All landmarks of a sequence as a `FrameBatch`, without pictures."""
    assert sequence.landmarks is not None
    return FrameBatch(torch.zeros(len(sequence.landmarks), 3, 0, 0, dtype=torch.uint8), sequence.landmarks)


def by_sound(fake: VideoSequence, real: VideoSequence) -> tuple[VideoSequence, VideoSequence]:
    """Both sequences, cut to the frames that belong to the same sound.

    Raises:
        NoScore: none are left.
        ValueError: the lag of either is not known.
    """
    if fake.lag is None or real.lag is None:
        raise ValueError("the lags of both are needed")
    behind = real.lag - fake.lag
    pairs = {}
    for name in ("landmarks", "fit"):
        a, b = getattr(fake, name), getattr(real, name)
        if a is not None and b is not None:
            pairs[name] = overlap(a, b, behind)
            if not len(pairs[name][0]):
                raise NoScore(f"a clip of {len(b)} frames has none left when it is moved by {behind}")
    there, here = ({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
    return replace(fake, memo={}, **there), replace(real, memo={}, **here)


@METRICS.register("lmd@lag")
def lmd_at_lag() -> VideoMetric:
    """LMD of the frames that belong to the same sound; between them the head moves on, which costs a little."""
    return AtLag(lmd())


@METRICS.register("lmd_norm@lag")
def lmd_norm_at_lag() -> VideoMetric:
    """LMD over the distance between outer eye corners, of the frames that belong to the same sound."""
    return AtLag(lmd_norm(), Presentation(12, headline=True))


@METRICS.register("opening_corr@lag")
def opening_corr_at_lag() -> VideoMetric:
    """Correlation of the mouth's opening with the real one's, of the frames that belong to the same sound."""
    return AtLag(OpeningCorrelation(), Presentation(14, headline=True))


@METRICS.register("lm3d_mse@lag")
def lm3d_mse_at_lag() -> VideoMetric:
    """Mean squared error of the 68 points in 3D, of the frames that belong to the same sound."""
    return AtLag(LandmarkMse())


@METRICS.register("lm3d_l2@lag")
def lm3d_l2_at_lag() -> VideoMetric:
    """Mean distance of the 68 points in 3D, of the frames that belong to the same sound."""
    return AtLag(LandmarkL2())


@METRICS.register("lve@lag")
def lve_at_lag() -> VideoMetric:
    """Lip vertex error of the frames that belong to the same sound."""
    return AtLag(LipVertexError())
