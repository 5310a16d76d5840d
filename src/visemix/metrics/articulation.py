"""How a mouth moves over a whole clip, as a ratio to how the real one does: 1 is best."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from visemix.face.layout import lips_apart
from visemix.metrics.base import METRICS, MISSING_LIMIT, NoScore, SequenceMetric, VideoSequence
from visemix.metrics.landmarks import eye_distance
from visemix.metrics.region import MOUTH
from visemix.metrics.shown import Presentation

STILL = 1e-9  # px, below which nothing moves
DRIFT = 25.0  # frames; slower changes (of mood, of the tracker) are taken out


def differences(points: Float[Tensor, "T P 2"], order: int) -> Float[Tensor, ""]:
    """Mean length of the `order`-th difference over time: speed, acceleration, jerk per frame; NaN frames are left out.

    >>> differences(torch.tensor([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]]), 2)
    tensor(2.)
    """
    return points.diff(n=order, dim=0).norm(dim=-1).nanmean()


def centred(points: Float[Tensor, "T P 2"]) -> Float[Tensor, "T P 2"]:
    """Points less their centroid: what the head does is taken out."""
    return points - points.mean(1, keepdim=True)


def jitter(mouth: Float[Tensor, "T P 2"]) -> Float[Tensor, ""]:
    """Mean acceleration of points less their centroid, pixels per frame².

    >>> corners = torch.tensor([[[-1.0, 0.0], [1.0, 0.0]], [[-2.0, 0.0], [2.0, 0.0]], [[-1.0, 0.0], [1.0, 0.0]]])
    >>> jitter(corners + torch.tensor([[[0.0, 0.0]], [[50.0, 9.0]], [[70.0, 0.0]]]))  # wherever the head goes
    tensor(2.)
    """
    return differences(centred(mouth), 2)


def spread(opening: Float[Tensor, " T"]) -> Float[Tensor, ""]:
    """Standard deviation of a mouth's opening over time; frames without a face (NaN) are left out.

    >>> spread(torch.tensor([0.1, 0.3, torch.nan, 0.1, 0.3]))
    tensor(0.1000)
    """
    return opening[~opening.isnan()].std(unbiased=False)


def mouth_landmarks(sequence: VideoSequence) -> Float[Tensor, "T 68 2"]:
    """The landmarks of a whole clip, float64.

    Raises:
        NoScore: fewer than three frames, or too many without a face.
        ValueError: the sequence has no landmarks.
    """
    if sequence.landmarks is None:
        raise ValueError("how a mouth moves needs landmarks")
    gone = int(sequence.landmarks.isnan().flatten(1).any(1).sum())
    if gone > MISSING_LIMIT * len(sequence.landmarks):
        reason = f"no face was found in {gone} of {len(sequence.landmarks)} frames"
        raise NoScore(f"{reason}; at most {MISSING_LIMIT:.0%} may be missing")
    if len(sequence.landmarks) < 3:
        raise NoScore(f"a movement needs three frames or more, not {len(sequence.landmarks)}")
    return sequence.landmarks.double()


def mouth_opening(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """Distance between the inner lips over the distance between the outer corners of the eyes.

    >>> points = torch.zeros(1, 68, 2)
    >>> points[0, 45, 0], points[0, 66, 1] = 100.0, 20.0  # the eyes' corners 100 px apart, the lips 20
    >>> mouth_opening(points)
    tensor([0.2000])
    """
    return lips_apart(landmarks) / eye_distance(landmarks)


def correlation(a: Float[Tensor, " T"], b: Float[Tensor, " T"]) -> Float[Tensor, ""]:
    """Pearson's r of two openings, each less its drift, a Gaussian mean over a second; frames of NaN are bridged.

    >>> wave = torch.sin(torch.arange(100.0))
    >>> round(float(correlation(wave, 3 * wave + 0.1 * torch.arange(100.0))), 2)  # at the ends some drift is left
    0.98
    """
    one, other = (_detrend(opening) for opening in (a, b))
    return (one @ other) / (one.norm() * other.norm()).clamp(min=STILL)


def _detrend(opening: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    rows = opening.double().numpy()
    seen = np.flatnonzero(~np.isnan(rows))
    rows = np.interp(np.arange(len(rows)), seen, rows[seen])
    detrended = torch.from_numpy(rows - gaussian_filter1d(rows, DRIFT, mode="nearest"))
    return detrended - detrended.mean()


class Ratio(SequenceMetric):
    """Base of metrics that are a ratio: the fake's `amount` over the real one's."""

    unit = "× real"
    higher_is_better = None
    ideal = 1.0
    region = "mouth"
    needs = frozenset({"landmarks"})

    def __init__(self) -> None:
        super().__init__(statistics=2)

    @abstractmethod
    def amount(self, sequence: VideoSequence) -> Float[Tensor, ""]:
        """The quantity of one video that is set in relation to the other's."""

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row, the fake's amount and the real one's. Raises `NoScore` where the real mouth does not move."""
        row = torch.stack([self.amount(fake), self.amount(real)]).unsqueeze(0)
        if not row[0, 1] > STILL:
            raise NoScore("the real mouth does not move")
        return row

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The fake's amount over the real one's."""
        return mean[0] / mean[1]


@METRICS.register("jitter")
class Jitter(Ratio):
    """Acceleration of the fake's mouth over the real one's: above 1 it trembles, below 1 it is smoothed away."""

    variant = "mean |x(t+1) − 2 x(t) + x(t−1)| of landmarks 48 to 67 less their centroid"
    without_truth = True
    shown = Presentation(40, headline=True)

    def amount(self, sequence: VideoSequence) -> Float[Tensor, ""]:
        """Mean acceleration of the mouth's points less their centroid, pixels per frame²."""
        return jitter(mouth_landmarks(sequence)[:, MOUTH])


@METRICS.register("opening_spread")
class OpeningSpread(Ratio):
    """Spread of the fake's mouth opening over the real one's: below 1 it mumbles, which LMD rewards."""

    variant = "standard deviation over the clip of the inner lips' distance over the outer eye distance"
    shown = Presentation(41, headline=True)

    def amount(self, sequence: VideoSequence) -> Float[Tensor, ""]:
        """Standard deviation of the mouth's opening, in distances between the outer eye corners."""
        return spread(mouth_opening(mouth_landmarks(sequence)))


@METRICS.register("opening_corr@0")
class OpeningCorrelation(SequenceMetric):
    """Correlation of the fake's mouth opening with the real one's, frame by frame as recorded."""

    unit = "1"
    variant = "Pearson's r of the inner lips' distance over the outer eye distance, less its Gaussian mean over 1 s"
    region = "mouth"
    higher_is_better = True
    needs = frozenset({"landmarks"})
    shown = Presentation(13, headline=True)

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row, the correlation. Raises `NoScore` where the real mouth does not move."""
        there, here = (mouth_opening(mouth_landmarks(sequence)) for sequence in (fake, real))
        if not spread(here) > STILL:
            raise NoScore("the real mouth does not move")
        return correlation(there, here).reshape(1, 1)
