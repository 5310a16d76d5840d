"""Face identity as 512 numbers: the residual network of ArcFace (Deng et al. 2019).

The names of the weights are those of insightface's `arcface_torch` (`iresnet18` … `iresnet100`).
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

Depth = Literal["r18", "r34", "r50", "r100"]
BLOCKS = {"r18": (2, 2, 2, 2), "r34": (3, 4, 6, 3), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3)}
SIDE = 112  # pixels of an aligned face


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-5)


class Block(nn.Module):
    """Residual block of ArcFace: norm, 3×3, norm, PReLU, 3×3 with the stride, norm; nothing after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = _norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = _norm(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = _norm(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`x`, projected where stride or width differ, plus what the convolutions make of it."""
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (x if self.downsample is None else self.downsample(x))


class ArcFace(nn.Module):
    """An aligned face → its embedding; the cosine of two embeddings says how alike two people are."""

    def __init__(self, depth: Depth) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn1 = _norm(64)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for layer, (outputs, count) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth], strict=True), start=1):
            blocks = [Block(inputs if i == 0 else outputs, outputs, 2 if i == 0 else 1) for i in range(count)]
            setattr(self, f"layer{layer}", nn.Sequential(*blocks))
            inputs = outputs
        self.bn2 = _norm(512)
        self.fc = nn.Linear(512 * 7 * 7, 512)
        self.features = nn.BatchNorm1d(512, eps=1e-5)

    def forward(self, face: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B 512"]:
        """RGB, (levels − 127.5) / 127.5."""
        x = self.prelu(self.bn1(self.conv1(face)))
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))
