"""Which part of a face each pixel shows: BiSeNet (Yu et al. 2018) as it is known for parsing faces.

That form has no spatial path: the third stage of a ResNet-18 stands in for it. Names of weights are those of the
checkpoint `79999_iter.pth` (CelebAMask-HQ, 19 classes), 13.15 M parameters.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.nn.perceptual import IMAGENET_MEAN, IMAGENET_STD, read_weights
from visemix.types import VisemixError

CLASSES = (
    *("background", "skin", "left brow", "right brow", "left eye", "right eye", "glasses", "left ear", "right ear"),
    *("earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "cloth", "hair", "hat"),
)
WIDTHS = (64, 128, 256, 512)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Activations of the same height and width."""
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """ResNet-18's block of two convolutions (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        else:
            self.downsample = nn.Sequential()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Activations at 1 / `stride` of the height and width."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """A picture's features at an eighth, a sixteenth and a thirty-second of its size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = (64, *WIDTHS[:-1])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Residual(a, b, 1 if a == b else 2), Residual(b, b, 1))
            for a, b in zip(before, WIDTHS, strict=True)
        )

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
        """Features at an eighth (128 channels), a sixteenth (256) and a thirty-second (512)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Attention(nn.Module):
    """Attention refinement: features, each channel weighed by the means over the whole picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Unit(inputs, outputs, 3)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        """Features, each channel times a weight in (0, 1) from the means over the picture."""
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class ContextPath(nn.Module):
    """Context path: the two deepest stages of the ResNet and the mean over the picture, brought up to an eighth of its
    size."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16, self.arm32 = Attention(256, 128), Attention(512, 128)
        self.conv_head32, self.conv_head16 = Unit(128, 128, 3), Unit(128, 128, 3)
        self.conv_avg = Unit(512, 128, 1)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> tuple[Tensor, Tensor]:
        """Features of the ResNet, and of this path, at an eighth."""
        eighth, sixteenth, deepest = self.resnet(x)
        whole = self.conv_avg(deepest.mean((2, 3), keepdim=True))
        up = F.interpolate(self.arm32(deepest) + whole, sixteenth.shape[-2:])
        up = F.interpolate(self.arm16(sixteenth) + self.conv_head32(up), eighth.shape[-2:])
        return eighth, self.conv_head16(up)


class Fusion(nn.Module):
    """Feature fusion: detail and context in one map, its channels weighed by their means."""

    def __init__(self) -> None:
        super().__init__()
        self.convblk = Unit(256, 256, 1)
        self.conv1, self.conv2 = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, detail: Float[Tensor, "B C H W"], context: Float[Tensor, "B C H W"]) -> Tensor:
        """Features (B, 256, H, W) of both, each channel times a factor in (1, 2) from the means."""
        x = self.convblk(torch.cat([detail, context], 1))
        return x + x * self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True)))).sigmoid()


class Head(nn.Module):
    """Features → scores of the classes."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.conv = Unit(inputs, hidden, 3)
        self.conv_out = nn.Conv2d(hidden, len(CLASSES), 1, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K H W"]:
        """Scores (logits) of the K `CLASSES`, at the features' size."""
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Pictures, RGB in [0, 1] and best of 512², to the scores of `CLASSES` in each pixel."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.cp, self.ffm, self.conv_out = ContextPath(), Fusion(), Head(256, 256)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K H W"]:
        """Scores (logits) of the K `CLASSES`, interpolated to the pictures' size."""
        fused = self.ffm(*self.cp((pictures - self.mean) / self.std))
        return F.interpolate(self.conv_out(fused), pictures.shape[-2:], mode="bilinear", align_corners=True)

    @classmethod
    def from_file(cls, path: Path) -> BiSeNet:
        """The trained network, frozen. The file's two heads for training (`conv_out16`, `conv_out32`) are passed over.

        Raises:
            VisemixError: an unreadable file, or weights of another network.
        """
        found = read_weights(path)
        net = cls()
        wanted = net.state_dict()
        found = {name: w for name, w in found.items() if not name.startswith(("conv_out16.", "conv_out32."))}
        wrong = sorted(wanted.keys() ^ found.keys()) or [n for n, w in wanted.items() if w.shape != found[n].shape]
        if wrong:
            raise VisemixError(f"{path} is not BiSeNet's face parsing ('{wrong[0]}' does not fit): {ADVICE}")
        net.load_state_dict(found)
        return net.eval().requires_grad_(False)


ADVICE = "it is 79999_iter.pth, see the README of github.com/zllrunning/face-parsing.PyTorch"
