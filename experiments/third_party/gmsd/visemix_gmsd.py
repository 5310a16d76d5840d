"""A metric in one file: `visemix evaluate` measures it as soon as the wheel is installed."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.metrics import METRICS, FrameBatch, VideoMetric
from visemix.metrics.image import grey_of

STEADY = 170.0  # the paper's T, for 8 bits
PREWITT = torch.tensor([[1.0, 0.0, -1.0]] * 3) / 3


@METRICS.register("gmsd")
class Gmsd(VideoMetric):
    """Gradient magnitude similarity deviation (Xue et al. 2014): how unevenly edges are lost over a picture."""

    unit = "1"
    higher_is_better = False
    variant = "grey (BT.601), halved by 2×2 means, Prewitt, T 170"

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T 1"]:
        made, true = gradient(grey_of(fake)), gradient(grey_of(real))
        alike = (2 * made * true + STEADY) / (made.square() + true.square() + STEADY)
        return alike.flatten(1).std(1, correction=0, keepdim=True)


def gradient(grey: UInt8[Tensor, "T H W"]) -> Float[Tensor, "T h w"]:
    """Magnitude of the gradient of pictures of half the size."""
    half = F.avg_pool2d(grey.float().unsqueeze(1), 2)
    both = torch.stack([PREWITT, PREWITT.T]).unsqueeze(1).to(half)
    return F.conv2d(half, both, padding=1).square().sum(1).sqrt()
