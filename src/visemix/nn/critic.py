"""An adversary that judges patches of a picture, and its hinge loss."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """Scores overlapping patches of a picture: high is real (Isola et al. 2017, with spectral norm).

    `levels` halvings, so that one score sees 22, 46 or 94 pixels at 2, 3 or 4.
    """

    def __init__(self, inputs: int = 3, base: int = 64, levels: int = 3) -> None:
        super().__init__()
        widths = [inputs, *(min(base * 2**k, base * 8) for k in range(levels))]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1)))

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B 1 h w"]:
        """A score for each patch of a picture in [0, 1]: high is real."""
        return self.layers(image * 2 - 1)


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: real scores above 1, made ones below -1.

    >>> import torch
    >>> hinge_critic(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 0.5]))
    tensor(1.2500)
    """
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """What the generator minimises: minus the critic's score."""
    return -fake.mean()


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises (LSGAN, Mao et al. 2017): real scores at 1, made ones at 0."""
    return (real - 1).square().mean() + fake.square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """What the generator minimises: its distance from a score of 1."""
    return (fake - 1).square().mean()
