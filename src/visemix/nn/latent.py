"""Encoder and decoder of a variational autoencoder over time, and its noise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visemix.nn.wavenet import CONDITION, WaveNet

STRIDE = 4  # frames to a latent: 6.25 of them a second
MEMORY = 0.98  # of a running mean, from step to step
CHUNK = 64  # latents whose noise is drawn at once


class Posterior(nn.Module):
    """True motion and condition → a sampled latent every four frames, the mean of its posterior, and its log-density
    under that."""

    def __init__(
        self, width: int, channels: int, latent: int, layers: int, *, kernel: int, growth: int, norm: bool
    ) -> None:
        super().__init__()
        self.before = nn.Conv1d(width, channels, 2 * STRIDE, STRIDE, STRIDE // 2)
        self.norm = Normed(channels) if norm else nn.Identity()
        self.net = WaveNet(channels, CONDITION, layers, kernel, growth)
        self.after = nn.Conv1d(channels, 2 * latent, 1)

    def forward(
        self, rows: Float[Tensor, "B T C"], condition: Float[Tensor, "B G R"]
    ) -> tuple[Float[Tensor, "B L R"], Float[Tensor, "B L R"], Float[Tensor, "B L R"]]:
        """Latents, drawn from torch's global generator, their means and log-densities, entry by entry; T = 4 R."""
        mean, log_std = self.after(self.net(self.norm(self.before(rows.mT)), condition)).chunk(2, 1)
        noise = torch.randn_like(mean)
        return mean + noise * log_std.exp(), mean, log_normal(noise) - log_std


class Decoder(nn.Module):
    """Latents and condition → rows of motion.

    `overlap` blends the four frames of a latent into those of its neighbours (`causal`: of those before it); without,
    they are glued (k4 s4).
    """

    def __init__(
        self,
        width: int,
        channels: int,
        latent: int,
        layers: int,
        *,
        kernel: int,
        growth: int,
        norm: bool,
        overlap: bool,
        causal: bool = False,
    ) -> None:
        super().__init__()
        size = (2 * STRIDE, STRIDE) if overlap else (STRIDE, STRIDE)
        self.before = nn.ConvTranspose1d(latent, channels, *size, padding=STRIDE // 2 if overlap and not causal else 0)
        self.norm = Normed(channels) if norm else nn.Identity()
        self.net = WaveNet(channels, CONDITION, layers, kernel, growth, causal=causal)
        self.after = nn.Conv1d(channels, width, 1)

    def forward(self, z: Float[Tensor, "B L R"], condition: Float[Tensor, "B G T"]) -> Float[Tensor, "B T C"]:
        """Rows of motion, one for each of the condition's T."""
        rows = self.before(z)[:, :, : condition.shape[-1]]
        return self.after(self.net(self.norm(rows), condition)).mT


class Normed(nn.Module):
    """ReLU, then layer norm over the channels of each row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Float[Tensor, "B C R"]) -> Float[Tensor, "B C R"]:
        """The normalised rows, max(x, 0) first."""
        return self.norm(x.relu().mT).mT


class RunningMean(nn.Module):
    """Mean of what was seen in training, the latest counting most. Checkpoints keep it."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(torch.nan))

    def forward(self, seen: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The mean, with `seen` in it in training; `seen` itself where there was nothing before."""
        before = torch.where(self.mean.isnan(), seen, self.mean)
        if not self.training:
            return before
        self.mean.copy_(MEMORY * before + (1 - MEMORY) * seen)
        return self.mean.clone()


def log_normal(x: Tensor) -> Tensor:
    """Log-density of the standard normal, entry by entry.

    >>> log_normal(torch.zeros(1))
    tensor([-0.9189])
    """
    return -0.5 * (x.square() + math.log(2 * math.pi))


def noise(seed: int, first: int, count: int, latent: int) -> Float[Tensor, "1 L R"]:
    """Standard normal noise of the latents `first` … `first + count − 1`, the same whatever else is asked for."""
    chunks = range(first // CHUNK, (first + count - 1) // CHUNK + 1)
    drawn = [
        torch.randn(latent, CHUNK, generator=torch.Generator().manual_seed((seed << 24) + chunk)) for chunk in chunks
    ]
    start = first - chunks.start * CHUNK
    return torch.cat(drawn, 1)[None, :, start : start + count]
