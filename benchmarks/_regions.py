"""Where in a frame a head is judged: masks (H, W) from its 68 tracked landmarks and the labels."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.draw import line, polygon2mask
from skimage.morphology import convex_hull_image
from torch import Tensor

from visemix.face import layout
from visemix.render.rays import box_mask

BAND = 0.06  # of the face's height: half the width of the band along the jaw


def hull_of(points: Tensor, size: int) -> Tensor:
    mask = polygon2mask((size, size), points.numpy()[:, ::-1])
    return torch.from_numpy(convex_hull_image(mask))


def neck_of(points: Tensor, size: int) -> Tensor:
    """The band around the jaw's outline, from brows to chin the face's height, below the lower lip: where skin of the
    head meets the neck, and pictures tear as a head turns."""
    outline = np.ones((size, size), bool)
    corners = points[layout.JAW].numpy().astype(int).clip(0, size - 1)
    for (x, y), (to_x, to_y) in pairwise(corners):
        outline[line(y, x, to_y, to_x)] = False
    height = float(points[:, 1].max() - points[:, 1].min())
    below = np.arange(size)[:, None] + 0.5 > float(points[layout.MOUTH][:, 1].max())
    return torch.from_numpy((distance_transform_edt(outline) <= BAND * height) & below)


def regions(points: Tensor, labels: Tensor) -> dict[str, Tensor]:
    size = labels.shape[-1]
    eyes = [box_mask(points[None, eye], (size, size), 0.4)[0] for eye in (layout.LEFT_EYE, layout.RIGHT_EYE)]
    return {
        "frame": torch.ones(size, size, dtype=torch.bool),
        "box": box_mask(points[None], (size, size), 0.05)[0],
        "hull": hull_of(points, size),
        "mouth": box_mask(points[None, layout.MOUTH], (size, size), 0.25)[0],
        "eyes": eyes[0] | eyes[1],
        "neck": neck_of(points, size),
        "torso": labels == 1,
    }
