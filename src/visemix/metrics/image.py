"""How close two pictures are, pixel by pixel: PSNR and SSIM, both on 8-bit RGB as decoded."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.metrics.base import METRICS, FrameBatch, VideoMetric
from visemix.metrics.region import FaceRegion
from visemix.metrics.shown import Presentation
from visemix.ops.ssim import ssim

RANGE = 255.0
EXACT = 256  # squares of 8-bit differences whose sum float32 holds exactly
LUMA = (19595.0, 38470.0, 7471.0)  # BT.601 in 1/65536, as PIL's mode 'L'


def squared_error(fake: UInt8[Tensor, "*b 3 H W"], real: UInt8[Tensor, "*b 3 H W"]) -> Float[Tensor, "*b"]:
    """Mean squared difference over pixels and channels, exact: 8-bit subtraction would wrap around at 256.

    >>> squared_error(torch.zeros(3, 2, 2, dtype=torch.uint8), torch.full((3, 2, 2), 255, dtype=torch.uint8))
    tensor(65025., dtype=torch.float64)
    """
    difference = (fake.float() - real.float()).flatten(-3)
    count = difference.shape[-1]
    few = F.pad(difference, (0, -count % EXACT)).unflatten(-1, (-1, EXACT))
    return torch.linalg.vecdot(few, few).sum(-1, dtype=torch.float64) / count


def decibels(mean_squared_error: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """Peak signal-to-noise ratio of 8-bit pictures; infinite where they are equal.

    >>> decibels(torch.tensor([1.0, 65025.0, 0.0]))
    tensor([48.1308,  0.0000,     inf])
    """
    return 10 * (RANGE**2 / mean_squared_error).log10()


def psnr(fake: UInt8[Tensor, "*b 3 H W"], real: UInt8[Tensor, "*b 3 H W"]) -> Float[Tensor, "*b"]:
    """Peak signal-to-noise ratio of each picture, decibels, equal to `skimage.metrics.peak_signal_noise_ratio`.

    torchmetrics gives the same in float64, but not the squared error that pooling wants.

    >>> black = torch.zeros(3, 2, 2, dtype=torch.uint8)
    >>> psnr(black + 1, black), psnr(black, black)  # 10·log10(255² / 1)
    (tensor(48.1308, dtype=torch.float64), tensor(inf, dtype=torch.float64))
    """
    return decibels(squared_error(fake, real))


def grey(frames: UInt8[Tensor, "*b 3 H W"]) -> UInt8[Tensor, "*b H W"]:
    """BT.601 luma rounded to 8 bits, to the bit what PIL's mode 'L' gives.

    >>> grey(torch.tensor([255, 0, 0], dtype=torch.uint8).reshape(3, 1, 1))
    tensor([[76]], dtype=torch.uint8)
    """
    red, green, blue = frames.float().unbind(-3)  # every product and sum here is below 2²⁴, so exact in float32
    return ((red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 32768) / 65536).to(torch.uint8)


def grey_of(batch: FrameBatch) -> UInt8[Tensor, "T H W"]:
    """The grey pictures of a `FrameBatch`, made once."""
    return batch.memoised("grey", lambda: grey(batch.frames))


@METRICS.register("psnr")
class Psnr(VideoMetric):
    """Peak signal-to-noise ratio: decibels of each frame, averaged. Infinite as soon as one frame is copied exactly."""

    unit = "dB"
    higher_is_better = True
    variant = "RGB, 8 bits, mean of the frames' decibels"
    shown = Presentation(21, headline=True, over_time="PSNR (dB)")

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Decibels of each frame; infinite where it is copied exactly."""
        return psnr(fake.frames, real.frames).unsqueeze(1)


@METRICS.register("psnr_pooled")
class PsnrPooled(VideoMetric):
    """Peak signal-to-noise ratio of the mean squared error of all frames: no near-perfect frame can dominate it."""

    unit = "dB"
    higher_is_better = True
    variant = "RGB, 8 bits, decibels of the mean squared error over all frames"

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Mean squared error of each frame, in levels² (0 to 255)."""
        return squared_error(fake.frames, real.frames).unsqueeze(1)

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """Decibels of the mean squared error."""
        return decibels(mean[0])


@METRICS.register("ssim")
class Ssim(VideoMetric):
    """Structural similarity (Wang et al. 2004) of the grey pictures."""

    unit = "1"
    higher_is_better = True
    variant = "grey (BT.601), Gaussian 11×11 σ 1.5, population covariance, 5 px border left out"
    shown = Presentation(20, headline=True)

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Similarity of each frame's grey pictures."""
        return ssim(grey_of(fake), grey_of(real)).unsqueeze(1)


@METRICS.register("ssim_rgb")
class SsimRgb(VideoMetric):
    """Structural similarity (Wang et al. 2004) of the three colour planes, averaged."""

    unit = "1"
    higher_is_better = True
    variant = "mean of R, G and B, Gaussian 11×11 σ 1.5, population covariance, 5 px border left out"

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """Similarity of each frame, mean of its three planes."""
        return ssim(fake.frames, real.frames).mean(-1, keepdim=True)


@METRICS.register("psnr_face")
def psnr_face() -> VideoMetric:
    """Peak signal-to-noise ratio of the face region, mean of the frames' decibels."""
    return FaceRegion(Psnr(), Presentation(22, headline=True, over_time="PSNR over the face (dB)"))


@METRICS.register("psnr_pooled_face")
def psnr_pooled_face() -> VideoMetric:
    """Peak signal-to-noise ratio of the face regions' mean squared error."""
    return FaceRegion(PsnrPooled())


@METRICS.register("ssim_face")
def ssim_face() -> VideoMetric:
    """Structural similarity of the grey face region."""
    return FaceRegion(Ssim())


@METRICS.register("ssim_rgb_face")
def ssim_rgb_face() -> VideoMetric:
    """Structural similarity of the face region's three colour planes, averaged."""
    return FaceRegion(SsimRgb())
