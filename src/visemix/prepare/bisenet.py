"""A scene parser for those who have BiSeNet's weights: hair, ears, neck and clothes seen as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.nn.bisenet import ADVICE, CLASSES, BiSeNet
from visemix.prepare.parser import PARSER, Parser, with_face
from visemix.types import Label, VisemixError

FILE = "79999_iter.pth"
SIDE = 512  # pixels: what it was trained on
TORSO = {"neck", "necklace", "cloth"}
LABELS = [
    Label.BACKGROUND if name == "background" else Label.TORSO if name in TORSO else Label.HEAD for name in CLASSES
]


@PARSER.register("bisenet")
class BiSeNetParser(Parser):
    """BiSeNet's 19 parts of a face as background, torso (neck, necklace, cloth) and head (all else).

    `weights`: the file, or a folder with `79999_iter.pth`; by default the folder that the environment variable
    VISEMIX_WEIGHTS names, else `weights`.

    Raises:
        VisemixError: there is no such file, or it holds other weights.
    """

    def __init__(self, *, weights: str | None = None) -> None:
        place = Path(weights or os.environ.get("VISEMIX_WEIGHTS") or "weights")
        path = place / FILE if weights is None or place.is_dir() else place
        if not path.is_file():
            raise VisemixError(f"the scene parser bisenet needs its weights at {path}: {ADVICE}; or --scene mediapipe")
        self.net = BiSeNet.from_file(path)
        self.labels = torch.tensor(LABELS, dtype=torch.uint8)

    @torch.inference_mode()
    def __call__(
        self, pictures: Iterable[UInt8[Tensor, "3 H W"]], landmarks: Float[Tensor, "T 68 2"]
    ) -> Iterator[UInt8[Tensor, "H W"]]:
        """Labels of each picture in turn, seen at 512² and scaled back to its size."""
        for picture, points in zip(pictures, landmarks, strict=True):
            image = F.interpolate(picture[None].float() / 255, (SIDE, SIDE), mode="bilinear", antialias=True)
            scores = F.interpolate(self.net(image), picture.shape[-2:], mode="bilinear")
            yield with_face(self.labels[scores[0].argmax(0)], points)
