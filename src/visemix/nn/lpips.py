"""Learned perceptual distance between pictures (LPIPS, Zhang et al. 2018, version 0.1).

The backbones' weights have torchvision's names and are the user's; the few thousand weights of the linear heads are
those that torchmetrics carries (© Richard Zhang et al., BSD 2-clause).
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visemix.nn.perceptual import read_weights

Backbone = Literal["alex", "vgg"]
TAPS = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}  # the ReLUs that are compared
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)  # 0 halves
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's mean and deviation, for RGB in [-1, 1]


class Features(nn.Module):
    """The convolutions of AlexNet or VGG-16, named as torchvision's `features`."""

    def __init__(self, net: Backbone) -> None:
        super().__init__()
        self.taps = TAPS[net]
        self.features = nn.Sequential(*(_alexnet() if net == "alex" else _vgg16()))

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Activations of the five ReLUs that are compared, the shallowest first."""
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


def _alexnet() -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return layers


def _vgg16() -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2)]
        channels = width or channels
    return layers


def heads(net: Backbone) -> list[Tensor]:
    """Weights (C,) of the channels of each layer that is compared."""
    with as_file(files("torchmetrics") / "functional" / "image" / "lpips_models" / f"{net}.pth") as path:
        found = read_weights(path)
    return [found[f"lin{layer}.model.1.weight"].flatten() for layer in range(len(TAPS[net]))]


def perceptual_distance(a: list[Tensor], b: list[Tensor], weights: list[Tensor]) -> Float[Tensor, " B"]:
    """Σ over layers of the mean over the picture of Σ w_c (a_c − b_c)², of features of unit length over the channels.

    >>> one, other = torch.eye(2).reshape(2, 1, 2, 1, 1)  # a layer of two channels and one pixel
    >>> perceptual_distance([one], [other], [torch.tensor([0.2, 0.3])])
    tensor([0.5000])
    """
    layers = [
        (one - other).square().mul(weight.view(-1, 1, 1)).sum(1).mean((1, 2))
        for one, other, weight in zip(a, b, weights, strict=True)
    ]
    return torch.stack(layers).sum(0)


class Lpips(nn.Module):
    """`perceptual_distance` of what a network sees in two pictures."""

    def __init__(self, features: Features, weights: list[Tensor]) -> None:
        super().__init__()
        self.net = features
        for layer, weight in enumerate(weights):
            self.register_buffer(f"head{layer}", weight)
        self.register_buffer("shift", torch.tensor(SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(3, 1, 1))

    def embed(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """RGB in [-1, 1] → unit features of each layer."""
        taps = self.net((image - cast(Tensor, self.shift)) / cast(Tensor, self.scale))
        return [tap / (tap.square().sum(1, keepdim=True).sqrt() + 1e-10) for tap in taps]

    def compare(self, a: list[Tensor], b: list[Tensor]) -> Float[Tensor, " B"]:
        """Distances of pictures whose features `embed` gave."""
        return perceptual_distance(a, b, [getattr(self, f"head{layer}") for layer in range(len(a))])

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """Distance of each pair of pictures, RGB in [-1, 1]."""
        return self.compare(self.embed(a), self.embed(b))
