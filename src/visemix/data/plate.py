"""The clean plate: the background without the person, seen where they have ever moved out of the way."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.io import imread, imsave
from torch import Tensor

from visemix.ops.store import atomic_write
from visemix.types import VisemixError

MARGIN = 0.01  # of the picture's side: how near to the person a pixel is not trusted
BLUR = 0.02  # of the side: what nobody has seen is filled in out of focus


def clean_plate(
    pictures: Iterable[UInt8[Tensor, "3 H W"]], labels: Iterable[UInt8[Tensor, "H W"]]
) -> UInt8[Tensor, "3 H W"]:
    """Each pixel's mean over the pictures in which it is background (label 0), well away from the person.

    A pixel that always shows the person takes the value of the nearest one that does not, out of focus. One picture
    at a time is in memory.

    Raises:
        ValueError: no pictures.
    """
    total: np.ndarray | None = None
    for picture, label in zip(pictures, labels, strict=True):
        image = picture.permute(1, 2, 0).numpy().astype(np.float64)
        if total is None:
            total, count = np.zeros(image.shape), np.zeros(image.shape[:2])
        free = distance_transform_edt(label.numpy() == 0)
        weight = free * (free > MARGIN * len(image))
        total += weight[..., None] * image
        count += weight
    if total is None:
        raise ValueError("a plate of no pictures")
    known = count > 0
    if not known.any():
        return torch.full(total.shape, 128, dtype=torch.uint8).permute(2, 0, 1)
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = (total / np.maximum(count, 1e-9)[..., None])[rows, columns]
    soft = np.stack([gaussian_filter(channel, BLUR * len(filled)) for channel in filled.transpose(2, 0, 1)], -1)
    plate = np.where(known[..., None], filled, soft)
    return torch.from_numpy(np.clip(plate.round(), 0, 255).astype(np.uint8)).permute(2, 0, 1)


def write_plate(path: str | Path, plate: UInt8[Tensor, "3 H W"]) -> None:
    """Write a plate as PNG."""
    with atomic_write(Path(path)) as part:
        imsave(part, plate.permute(1, 2, 0).numpy(), check_contrast=False)


def read_plate(path: str | Path) -> Float[Tensor, "3 H W"]:
    """The plate of a PNG file, RGB in [0, 1].

    Raises:
        VisemixError: the file is damaged.
    """
    try:
        picture = imread(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise VisemixError(f"{path} is damaged ({error}); prepare the clip again") from error
    return torch.from_numpy(picture[..., :3].copy()).permute(2, 0, 1).float() / 255
