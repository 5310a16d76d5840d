"""How far the fitted 3D face is from the real one's, pose taken out: GeneFace's Table 5, and lip vertex error.

Both videos' faces must have been fitted by the same model: give the clips that `visemix prepare` writes.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.multimodal import lip_vertex_error as torchmetrics_lve

from visemix.metrics.base import METRICS, NoScore, SequenceMetric, VideoSequence
from visemix.metrics.region import MOUTH

CM_PER_DM, MM_PER_DM = 10.0, 100.0


def mean_squared_error(fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
    """Mean over frames, points and axes of the squared difference: what GeneFace's code calls the L2 error.

    >>> mean_squared_error(torch.ones(2, 68, 3), torch.zeros(2, 68, 3))
    tensor(1.)
    """
    return (fake - real).square().mean()


def point_distance(fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
    """Mean distance between corresponding points.

    >>> point_distance(torch.ones(2, 68, 3), torch.zeros(2, 68, 3))
    tensor(1.7321)
    """
    return (fake - real).norm(dim=-1).mean()


def lip_vertex_error(fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"], lips: list[int]) -> Float[Tensor, ""]:
    """Mean over frames of the largest squared distance of a lip point (Richard et al. 2021, MeshTalk).

    >>> lip_vertex_error(torch.ones(2, 68, 3), torch.zeros(2, 68, 3), [48, 49])
    tensor(3.)
    """
    return torchmetrics_lve(fake, real, lips, validate_args=False)


class FitMetric(SequenceMetric):
    """Base of distances between the points of two fitted faces."""

    higher_is_better = False
    needs = frozenset({"fit"})

    def measure(self, fake: VideoSequence, real: VideoSequence) -> Float[Tensor, "T K"]:
        """One row a frame, as far as both videos go. Raises `NoScore` where a fit holds NaN or infinity."""
        if fake.fit is None or real.fit is None:
            raise ValueError("3D landmarks of both videos are needed")
        frames = min(len(fake.fit), len(real.fit))
        there, here = fake.fit[:frames].double(), real.fit[:frames].double()
        if not (there.isfinite().all() and here.isfinite().all()):
            raise NoScore("a fitted face holds values that are no numbers; prepare the clip again")
        return torch.stack([self.distance(there[t : t + 1], here[t : t + 1]) for t in range(frames)]).unsqueeze(1)

    @abstractmethod
    def distance(self, fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
        """The distance, in the unit of the metric, of points in decimetres."""


@METRICS.register("lm3d_mse")
class LandmarkMse(FitMetric):
    """Mean squared error of the 68 points in 3D, without pose: most likely the "L2 error" (GeneFace, Table 5)."""

    unit = "cm²"
    region = "face"
    variant = "68 points of identity and expression, no pose; mean over frames, points and axes of the squared error"

    def distance(self, fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
        """Mean squared error, cm²."""
        return mean_squared_error(CM_PER_DM * fake, CM_PER_DM * real)


@METRICS.register("lm3d_l2")
class LandmarkL2(FitMetric):
    """Mean distance of the 68 points in 3D, identity and expression only."""

    unit = "mm"
    region = "face"
    variant = "68 points of identity and expression, no pose; mean distance"

    def distance(self, fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
        """Mean distance of the points, mm."""
        return point_distance(MM_PER_DM * fake, MM_PER_DM * real)


@METRICS.register("lve")
class LipVertexError(FitMetric):
    """Mean over frames of the worst lip point's squared distance in 3D (Richard et al. 2021)."""

    unit = "mm²"
    region = "mouth"
    variant = "20 mouth points (48 to 67) of the fitted 68, largest squared distance of a frame, mean over frames"

    def distance(self, fake: Float[Tensor, "T P 3"], real: Float[Tensor, "T P 3"]) -> Float[Tensor, ""]:
        """Largest squared distance of a mouth point, mean over frames, mm²."""
        return lip_vertex_error(MM_PER_DM * fake, MM_PER_DM * real, list(range(MOUTH.start, MOUTH.stop)))
