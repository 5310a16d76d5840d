"""Losses that look at pictures through VGG-19: perceptual distance and style (Johnson et al. 2016)."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.types import VisemixError

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)  # 0 halves
TAPS = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FrozenConv(nn.Module):
    """A 3×3 convolution that never learns: its weights are buffers, and no part of a checkpoint."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(outputs, inputs, 3, 3), persistent=False)
        self.register_buffer("bias", torch.zeros(outputs), persistent=False)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same height and width."""
        return F.conv2d(x, self.weight, self.bias, padding=1)


class VGG19(nn.Module):
    """The 16 convolutions of VGG-19, frozen; the names of its weights are torchvision's (`features.0.weight` …).

    `weights` is the path of a state dict with ImageNet weights (`.safetensors`, else `torch.save`), or "random", which
    is good for tests only. A file that lacks a weight, or has it in another shape, is refused.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            layers += [FrozenConv(channels, width), nn.ReLU()] if width else [nn.MaxPool2d(2)]
            channels = width or channels
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        if weights != "random":
            self._load(Path(weights))

    def _load(self, path: Path) -> None:
        found = {name: w for name, w in read_weights(path).items() if not name.startswith("classifier.")}
        wanted = dict(self.features.named_buffers(prefix="features"))
        for name in sorted(wanted.keys() | found.keys()):
            have, want = found.get(name), wanted.get(name)
            if have is None or want is None or have.shape != want.shape:
                state = "lacks" if have is None else "has another" if want is not None else "has an unknown"
                raise VisemixError(
                    f"{path} {state} '{name}', so it is not torchvision's VGG-19; save its `state_dict()`"
                )
            want.copy_(have)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """RGB in [0, 1] → the activations relu1_1, 2_1, 3_1, 4_1 and 5_1. Gradients reach the picture only."""
        x = (image - cast(Tensor, self.mean)) / cast(Tensor, self.std)
        taps = []
        for index, layer in enumerate(list(self.features)[: TAPS[-1] + 1]):
            x = layer(x)
            if index in TAPS:
                taps.append(x)
        return taps


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a `.safetensors` file, or from one that `torch.save` wrote; nothing in it is executed.

    Raises:
        VisemixError: no such file, a damaged one, or one that holds no state dict of tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise VisemixError(f"there are no weights at {path}; give the path of a state dict") from None
    except UnpicklingError as error:  # torch would advise to run whatever is in it
        raise VisemixError(
            f"{path} cannot be read as weights: it is damaged, or holds more than tensors; save `model.state_dict()`"
        ) from error
    except (OSError, RuntimeError, SafetensorError, ValueError, EOFError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)  # torch adds a page of advice
        raise VisemixError(f"{path} cannot be read as weights: {why}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise VisemixError(f"{path} holds no state dict of tensors; save `model.state_dict()`")
    return state


def gram(features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C C"]:
    """Gram matrices of the channels: F·Fᵀ / (C·H·W)."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat[0].numel()


class PerceptualLoss(nn.Module):
    """How far two pictures are apart in VGG-19's activations, and in the style that their Gram matrices catch.

    All five layers weigh the same. The perceptual term is summed over `scales` halvings of the picture, the style term
    belongs to the full size. GSmoothFace gives the first the weight 4 and the second 1000.
    """

    def __init__(self, weights: str, scales: int = 4) -> None:
        super().__init__()
        self.vgg = VGG19(weights)
        self.scales = scales

    def forward(self, image: Float[Tensor, "B 3 H W"], target: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
        """RGB in [0, 1] → (perceptual, style), both scalars without weight."""
        perceptual, style = image.new_zeros(()), image.new_zeros(())
        for scale in range(self.scales):
            if min(image.shape[-2:]) < 16:  # relu5_1 has no pixel left
                break
            with torch.no_grad():
                theirs = self.vgg(target)
            ours = self.vgg(image)
            for a, b in zip(ours, theirs, strict=True):
                perceptual = perceptual + F.l1_loss(a, b)
                if scale == 0:
                    style = style + F.l1_loss(gram(a), gram(b))
            image, target = (F.interpolate(x, scale_factor=0.5, mode="bilinear") for x in (image, target))
        return perceptual, style
