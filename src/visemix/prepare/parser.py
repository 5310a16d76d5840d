"""Which pixels are head, torso and background: parsers of pictures, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import binary_fill_holes, label, maximum
from torch import Tensor

from visemix.face.layout import JAW, MOUTH
from visemix.options import Share
from visemix.prepare.detect import mediapipe_modules, silence_stderr
from visemix.registry import Registry
from visemix.types import Label

SHOULDER = 0.6  # of the way from the chin to the bridge of the nose: a piece that ends lower is a shoulder


class Parser(ABC):
    """Pictures of one person → labels, frame by frame; nothing is learned, nothing is random."""

    @abstractmethod
    def __call__(
        self, pictures: Iterable[UInt8[Tensor, "3 H W"]], landmarks: Float[Tensor, "T 68 2"]
    ) -> Iterator[UInt8[Tensor, "H W"]]:
        """Labels 0 background, 1 torso (neck, shoulders, clothes), 2 head (face, hair, inside of the mouth).

        `landmarks` are the tracked ones, in pixels: whatever a parser thinks, what they enclose is head.
        """


PARSER: Registry[Parser] = Registry("scene parser", Parser)  # type: ignore[type-abstract]


@PARSER.register("mediapipe")
class MediapipeParser(Parser):
    """mediapipe's person segmentation, cut in two along the fitted jaw line.

    Beside the jaw, hair counts as head down to the height of the chin, and a shoulder that is as high does not.
    `threshold`: how sure it must be that a pixel is the person.
    """

    def __init__(self, *, threshold: Share = 0.5) -> None:
        self.threshold = threshold
        (found,) = mediapipe_modules("scene parser", "selfie_segmentation")
        self.open = found.SelfieSegmentation

    def __call__(
        self, pictures: Iterable[UInt8[Tensor, "3 H W"]], landmarks: Float[Tensor, "T 68 2"]
    ) -> Iterator[UInt8[Tensor, "H W"]]:
        """Labels of each picture in turn; the person is the largest connected part, with its holes filled."""
        with silence_stderr():
            opened = self.open(model_selection=0)
            opened.process(np.zeros((64, 64, 3), np.uint8))  # it speaks up at its first picture
        with opened as graph:
            for picture, points in zip(pictures, landmarks, strict=True):
                image = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
                sure = graph.process(image).segmentation_mask
                person = binary_fill_holes(largest(sure > self.threshold))
                yield with_face(split(torch.from_numpy(person), points), points)


def split(person: Tensor, points: Float[Tensor, "68 2"]) -> UInt8[Tensor, "H W"]:
    """A person's pixels as head and torso: head is above the jaw line, and beside it above the chin, but no shoulder.

    Heights are measured along the face's own upright, from the chin to the bridge of the nose.
    """
    points = points.double()
    height, width = person.shape
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    up = points[27] - points[8]
    up = up / up.norm()
    across = torch.stack([-up[1], up[0]])
    jaw = points[JAW] - points[8]
    along, high = jaw @ across, jaw @ up
    if along[0] > along[-1]:
        along, high = along.flip(0), high.flip(0)
    spot = torch.stack([x, y], -1).double() - points[8]
    place, tall = (spot @ across).numpy(), (spot @ up).numpy()
    line = np.interp(place, np.maximum.accumulate(along.numpy()), high.numpy(), left=0.0, right=0.0)
    pieces, count = label(person.bool().numpy() & (tall >= line))
    tops = np.array([-np.inf, *maximum(tall, pieces, range(1, count + 1))])
    above = torch.from_numpy((tops > SHOULDER * float((points[27] - points[8]).norm()))[pieces])
    return torch.where(person.bool(), torch.where(above, Label.HEAD, Label.TORSO), Label.BACKGROUND).to(torch.uint8)


def with_face(labels: UInt8[Tensor, "H W"], points: Float[Tensor, "68 2"]) -> UInt8[Tensor, "H W"]:
    """The labels, with all that the 68 landmarks enclose as head: no parser may cut a mouth out of its face."""
    from skimage.draw import polygon

    outline = np.concatenate([points[JAW].numpy(), points[[26, 25, 24, 19, 18, 17]].numpy()])
    inside = np.zeros(labels.shape, bool)
    for loop in (outline, points[MOUTH].numpy()[:12]):
        rows, columns = polygon(loop[:, 1] - 0.5, loop[:, 0] - 0.5, labels.shape)
        inside[rows, columns] = True
    return torch.where(torch.from_numpy(inside), torch.tensor(Label.HEAD, dtype=torch.uint8), labels)


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask."""
    parts, count = label(mask)
    if count < 2:
        return mask
    return parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
