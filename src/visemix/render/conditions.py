"""Condition vectors of a field: landmarks and their neighbours in time, one vector a frame (GeneFace, appendix A)."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.types import VisemixError

LEAK = 0.02
FAINT = 1e-3  # decimetres: what varies less is noise
BEYOND = 3.0  # standard deviations


class RunningStats(nn.Module):
    """Mean and spread of each channel over all that training has shown, and its range; saved with the model."""

    mean: Tensor
    square: Tensor
    count: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("square", torch.zeros(channels))
        self.register_buffer("low", torch.zeros(channels))
        self.register_buffer("high", torch.zeros(channels))

    @torch.no_grad()
    def update(self, values: Float[Tensor, "*b C"]) -> None:
        """Take in more rows; all that were ever seen weigh alike."""
        rows = values.reshape(-1, values.shape[-1]).float()
        low, high = rows.amin(0), rows.amax(0)
        if self.count:
            low, high = torch.minimum(low, self.low), torch.maximum(high, self.high)
        self.low.copy_(low)
        self.high.copy_(high)
        self.count += len(rows)
        share = len(rows) / self.count
        self.mean.lerp_(rows.mean(0), share)
        self.square.lerp_(rows.square().mean(0), share)

    def clamp_to_range(self, values: Float[Tensor, "*b C"], leeway: float = 0.0) -> Float[Tensor, "*b C"]:
        """Values clamped to the range that was seen, or to `leeway` beyond it; unchanged before anything was."""
        return values.clamp(self.low - leeway, self.high + leeway) if self.count else values

    @property
    def spread(self) -> Float[Tensor, " C"]:
        """Standard deviation; 1 before anything was seen."""
        if not self.count:
            return torch.ones_like(self.mean)
        return (self.square - self.mean.square()).clamp(min=0).sqrt()


class RunningPCA(RunningStats):
    """Running statistics and the `count` principal components of the channels over all of training.

    The components are followed by one step of orthogonal iteration whenever something new is seen. What has no
    share in them is no part of how this person's face moves: noise of the fit, or somebody else's idea of a mouth.
    """

    product: Tensor
    basis: Tensor

    def __init__(self, channels: int, count: int) -> None:
        super().__init__(channels)
        self.register_buffer("product", torch.zeros(channels, channels))
        self.register_buffer("basis", torch.eye(channels, count))

    @torch.no_grad()
    def update(self, values: Float[Tensor, "*b C"]) -> None:
        """Take in more rows, and turn the basis by one step of orthogonal iteration."""
        super().update(values)
        rows = values.reshape(-1, values.shape[-1]).float()
        self.product.lerp_(rows.mT @ rows / len(rows), len(rows) / self.count)
        basis, lengths = torch.linalg.qr(self._covariance @ self.basis)
        self.basis.copy_(torch.where(lengths.diagonal() < 0, -basis, basis))  # a direction keeps its sign

    def project(self, values: Float[Tensor, "*b C"]) -> Float[Tensor, "*b K"]:
        """Coordinates along each component, clamped at BEYOND standard deviations; 1 is the deviation along the
        first."""
        spread = self._spreads
        far = BEYOND * spread
        return ((values - self.mean) @ self.basis).clamp(-far, far) / spread[0]

    def clamp_to_range(self, values: Float[Tensor, "*b C"], leeway: float = 0.0) -> Float[Tensor, "*b C"]:
        """Values rebuilt from their clamped coordinates along the components; unchanged before anything was seen."""
        return self.mean + self.project(values) * self._spreads[0] @ self.basis.mT if self.count else values

    @property
    def _spreads(self) -> Float[Tensor, " K"]:
        return (self.basis * (self._covariance @ self.basis)).sum(0).clamp(min=0).sqrt() + FAINT

    @property
    def _covariance(self) -> Float[Tensor, "C C"]:
        return self.product - torch.outer(self.mean, self.mean)


class LandmarkEncoder(nn.Module):
    """Encoder of a frame: the coordinates of 68 landmarks → 64 numbers.

    `convolutions` is the official stack, whose kernels of three see a sequence of length one: 49 600 parameters, two
    thirds of its convolutions' idle. Else three plain layers of 128, as the paper's table says.
    """

    def __init__(self, inputs: int = 204, dim: int = 64, *, convolutions: bool = False) -> None:
        super().__init__()
        self.convolutions = convolutions
        if convolutions:
            widths = (inputs, 32, 32, 64, 64)
            self.first = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
            self.last = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(LEAK), nn.Linear(64, dim))
        else:
            self.first = nn.ModuleList([nn.Linear(inputs, 128), nn.Linear(128, 128)])
            self.last = nn.Sequential(nn.Linear(128, dim))

    def forward(self, values: Float[Tensor, "B T C"]) -> Float[Tensor, "B T D"]:
        """A code for each frame, which depends on no other frame."""
        x = values.flatten(0, 1)
        if self.convolutions:
            x = x.unsqueeze(-1)
        for layer in self.first:
            x = F.leaky_relu(layer(x), LEAK)
        return self.last(x.squeeze(-1) if self.convolutions else x).unflatten(0, values.shape[:2])


class TemporalAttention(nn.Module):
    """A frame's vector as a weighted mean over `window` frames around it; the weights look at all of them.

    3 643 parameters for 64 numbers and five frames. Nobody asks it before step `learns_from` of its training.
    """

    def __init__(self, dim: int, window: int, learns_from: int = 0) -> None:
        super().__init__()
        self.window, self.learns_from = window, learns_from
        widths = (dim, 16, 8, 4, 2, 1)
        self.look = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.weigh = nn.Linear(window, window)

    def forward(self, values: Float[Tensor, "B N D"]) -> Float[Tensor, "B T D"]:
        """N = T + window − 1 frames, of which the outer ones are surroundings."""
        around = values.unfold(1, self.window, 1)  # B, T, D, window
        x = around.flatten(0, 1)
        for layer in self.look:
            x = F.leaky_relu(layer(x), LEAK)
        weights = self.weigh(x.squeeze(1)).softmax(-1).unflatten(0, around.shape[:2])
        return (around * weights[:, :, None]).sum(-1)


class ConditionEncoder(nn.Module):
    """Condition vector of each frame, from landmarks or audio features over time.

    With `directions`, a linear map of how far they lie along as many: little that a few seconds of a person could teach
    wrongly. The neighbours have a say from step `attention_from` of the training on; before, a frame speaks alone.

    Raises:
        VisemixError: more `directions` than there are channels.
    """

    steps: Tensor | None

    def __init__(
        self,
        inputs: int,
        dim: int,
        window: int,
        convolutions: bool,
        directions: int | None = None,
        attention_from: int = 0,
    ) -> None:
        super().__init__()
        if directions is not None and not 1 <= directions <= inputs:
            raise VisemixError(
                f"render.directions={directions} of {inputs} landmark coordinates: give 1 to {inputs}, or null"
            )
        self.window, self.context = window, window // 2
        self.moments = RunningPCA(inputs, directions) if directions else RunningStats(inputs)
        self.encoder: nn.Module = (
            nn.Linear(directions, dim) if directions else LandmarkEncoder(inputs, dim, convolutions=convolutions)
        )
        self.neighbours = TemporalAttention(dim, window, attention_from) if window > 1 else None
        self.register_buffer("steps", torch.zeros((), dtype=torch.long) if attention_from else None)

    def update(self, values: Float[Tensor, "B N C"]) -> None:
        """Take in what another step of the training shows."""
        self.moments.update(values)
        if self.steps is not None:
            self.steps += 1

    def forward(self, values: Float[Tensor, "B N C"], frames: int) -> Float[Tensor, "B T D"]:
        """`frames` T, and N = T or as many as the window needs around them. Normalised point by point."""
        if isinstance(self.moments, RunningPCA):
            normed = self.moments.project(values)
        else:
            normed = (values - self.moments.mean) / (self.moments.spread + FAINT)
        codes = self.encoder(pad_context(normed, frames, self.context))
        if self.neighbours is None or (self.steps is not None and self.steps < self.neighbours.learns_from):
            return codes[:, self.context : self.context + frames]
        return self.neighbours(codes)


def pad_context(values: Float[Tensor, "B T C"], frames: int, context: int) -> Float[Tensor, "B N C"]:
    """Rows of `frames` frames and `context` more on either side: those that are there, or the first and last ones
    repeated."""
    if values.shape[1] == frames + 2 * context:
        return values
    return F.pad(values.mT, (context, context), mode="replicate").mT
