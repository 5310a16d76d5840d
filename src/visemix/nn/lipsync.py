"""SyncNet (Chung and Zisserman, ACCV workshops 2016): embeddings of mouths and sounds, near each other where these
belong together.

The names of the weights are those of the released `syncnet_v2.model`.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

WINDOW = 5  # frames under one embedding
ROWS = 20  # MFCC rows under one embedding: 0.2 s
SIDE = 224  # pixels of a crop
CHUNK = 16  # embeddings at a time: the first layer alone makes 4.6 MB of each


def _conv2d(inputs: int, outputs: int, kernel: int | tuple[int, int], padding: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()]


def _conv3d(
    inputs: int, outputs: int, kernel: int, time: int = 1, stride: int = 1, padding: int = 1
) -> list[nn.Module]:
    conv = nn.Conv3d(inputs, outputs, (time, kernel, kernel), (1, stride, stride), (0, padding, padding))
    return [conv, nn.BatchNorm3d(outputs), nn.ReLU()]


def _pool3d(padding: int = 0) -> nn.Module:
    return nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, padding, padding))


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Two towers into one space of 1024 dimensions, where the distance of what belongs together is small."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, 3),
            nn.MaxPool2d(1, 1),
            *_conv2d(64, 192, 3),
            nn.MaxPool2d(3, (1, 2)),
            *_conv2d(192, 384, 3),
            *_conv2d(384, 256, 3),
            *_conv2d(256, 256, 3),
            nn.MaxPool2d(3, 2),
            *_conv2d(256, 512, (5, 4), 0),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, 7, time=WINDOW, stride=2, padding=0),
            _pool3d(),
            *_conv3d(96, 256, 5, stride=2),
            _pool3d(1),
            *_conv3d(256, 256, 3),
            *_conv3d(256, 256, 3),
            *_conv3d(256, 256, 3),
            _pool3d(),
            *_conv3d(256, 512, 6, padding=0),
        )

    def embed_audio(self, rows: Float[Tensor, "N 1 13 20"]) -> Float[Tensor, "N 1024"]:
        """MFCC windows of 20 rows (0.2 s), on the scale of 16-bit samples."""
        return self.netfcaud(self.netcnnaud(rows).flatten(1))

    def lips(self, frames: Float[Tensor, "3 T 224 224"]) -> Float[Tensor, "n 512"]:
        """Features of every window of five frames: one pass over time, for only the first layer looks along it."""
        return self.netcnnlip(frames.unsqueeze(0))[0, :, :, 0, 0].mT

    def embed_video(self, frames: Float[Tensor, "3 T 224 224"]) -> Float[Tensor, "n 1024"]:
        """Crops of a face, **BGR**, 0 to 255 → T − 4 embeddings."""
        return self.netfclip(self.lips(frames))
