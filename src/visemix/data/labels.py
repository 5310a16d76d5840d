"""Label pictures on disk: which pixels are head, torso and background, exact and in any order."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from visemix.types import VisemixError


class Label(IntEnum):
    """What a pixel shows."""

    BACKGROUND = 0
    TORSO = 1  # neck, shoulders, clothes
    HEAD = 2  # face, hair, ears, inside of the mouth


class LabelFile:
    """Random access to the label pictures of a clip, as `write_labels` stored them; memory-mapped.

    Each picture is stored by itself: lengths and values of its runs of equal pixels, row after row, deflated. That is
    smaller than a lossless video, and read in a fraction of the time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width."""
        with self._open() as file:
            height, width = file.get_tensor("size").tolist()
            return len(file.get_tensor("ends")), height, width

    def frames(self, indices: Iterable[int]) -> UInt8[Tensor, "n H W"]:
        """The labels of the frames asked for, in that order."""
        with self._open() as file:
            ends, runs = file.get_tensor("ends").tolist(), file.get_slice("runs")
            height, width = file.get_tensor("size").tolist()
            starts = [0, *ends]
            packed = [runs[starts[k] : ends[k]].numpy() for k in indices]
            return torch.from_numpy(np.stack([_unpack(each, height, width) for each in packed]))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with safe_open(str(self.path), "pt") as file:
                yield file
        except (SafetensorError, OSError, zlib.error, ValueError) as error:
            raise VisemixError(f"{self.path} is damaged ({error}); make the clip again") from error


def write_labels(path: str | Path, labels: Iterable[UInt8[Tensor, "H W"]]) -> None:
    """Store label pictures of one size, whole or not at all."""
    packed, size = [], None
    for picture in labels:
        if size is not None and picture.shape != size:
            raise VisemixError(f"{path} began with labels of {tuple(size)}, the next ones are {tuple(picture.shape)}")
        size = picture.shape
        packed.append(_pack(picture.numpy()))
    if size is None:
        raise VisemixError(f"no labels were made for {path}, so nothing is written")
    runs = torch.frombuffer(bytearray(b"".join(packed)), dtype=torch.uint8)
    ends = torch.tensor([len(each) for each in packed]).cumsum(0)
    Path(path).write_bytes(save({"runs": runs, "ends": ends, "size": torch.tensor(size)}))


def _pack(picture: np.ndarray) -> bytes:
    flat = picture.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(starts, append=flat.size).astype("<u4")
    # high bytes are nearly all zero, and deflate better when they stand together
    return zlib.compress(lengths.view(np.uint8).reshape(-1, 4).T.tobytes() + flat[starts].tobytes(), 9)


def _unpack(packed: np.ndarray, height: int, width: int) -> np.ndarray:
    table = np.frombuffer(zlib.decompress(packed.tobytes()), np.uint8).reshape(5, -1)
    lengths = np.ascontiguousarray(table[:4].T).view("<u4").ravel()
    return np.repeat(table[4], lengths).reshape(height, width)
