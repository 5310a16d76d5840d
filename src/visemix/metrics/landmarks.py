"""How far the mouth is from where it should be, by the 68 landmarks a tracker finds in both videos."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.metrics.base import METRICS, FrameBatch, VideoMetric
from visemix.metrics.region import MOUTH
from visemix.metrics.shown import UNSHOWN, Presentation

ALL = slice(0, 68)
OUTER_EYE_CORNERS = (36, 45)


def landmark_distance(fake: Float[Tensor, "*b P 2"], real: Float[Tensor, "*b P 2"]) -> Float[Tensor, "*b"]:
    """Mean distance between two sets of points once each is moved to its own centroid, in the unit of the points.

    The landmark distance of Chen et al. (ECCV 2018) is this over the 20 mouth points, in pixels. Without the centroids'
    removal it would mostly tell where the head is.

    >>> real = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    >>> wider = torch.tensor([[99.0, 7.0], [113.0, 7.0]])  # elsewhere, and 4 px wider
    >>> landmark_distance(wider, real)
    tensor(2.)
    """
    return ((fake - fake.mean(-2, keepdim=True)) - (real - real.mean(-2, keepdim=True))).norm(dim=-1).mean(-1)


def eye_distance(points: Float[Tensor, "*b 68 2"]) -> Float[Tensor, "*b"]:
    """Distance between the outer corners of the eyes: the size of a face, in the unit of the points."""
    left, right = OUTER_EYE_CORNERS
    return (points[..., left, :] - points[..., right, :]).norm(dim=-1)


class LandmarkDistance(VideoMetric):
    """Mean distance of landmarks in pixels, or over the real face's mean distance between outer eye corners.

    Under about half a pixel at 512² it is the tracker's own noise; a frozen mouth scores better than one that lags.
    """

    higher_is_better = False
    needs = frozenset({"landmarks"})

    def __init__(self, points: slice, region: str, normalised: bool, shown: Presentation = UNSHOWN) -> None:
        super().__init__(statistics=2)
        self.points, self.region, self.normalised, self.shown = points, region, normalised, shown
        self.unit = "outer eye distance" if normalised else "px"
        self.variant = f"landmarks {points.start} to {points.stop - 1} less their centroid, mean distance"

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Two statistics a frame, pixels: the landmarks' distance, and the real face's between outer eye corners.

        Raises:
            ValueError: a video has no landmarks.
        """
        if fake.landmarks is None or real.landmarks is None:
            raise ValueError("landmark distances need the landmarks of both videos")
        there, here = fake.landmarks.double(), real.landmarks.double()
        distance = landmark_distance(there[:, self.points], here[:, self.points])
        return torch.stack([distance, eye_distance(here)], 1)

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """Pixels; or, `normalised`, the ratio of the two means."""
        return mean[0] / mean[1] if self.normalised else mean[0]


@METRICS.register("lmd")
def lmd() -> VideoMetric:
    """Landmark distance of the mouth, pixels: the papers' LMD (Chen et al. 2018)."""
    return LandmarkDistance(MOUTH, "mouth", normalised=False, shown=Presentation(10, headline=True))


@METRICS.register("lmd_norm")
def lmd_norm() -> VideoMetric:
    """Landmark distance of the mouth over the distance between outer eye corners: free of the picture's size."""
    return LandmarkDistance(MOUTH, "mouth", normalised=True, shown=Presentation(11, headline=True))


@METRICS.register("lmd_face")
def lmd_face() -> VideoMetric:
    """Landmark distance of all 68 points, pixels (F-LMD elsewhere)."""
    return LandmarkDistance(ALL, "face", normalised=False)


@METRICS.register("lmd_norm_face")
def lmd_norm_face() -> VideoMetric:
    """Landmark distance of all 68 points over the distance between outer eye corners."""
    return LandmarkDistance(ALL, "face", normalised=True)
