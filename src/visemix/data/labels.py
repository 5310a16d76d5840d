"""Label pictures on disk: which pixels are head, torso and background, exact and in any order."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from visemix.ops.store import write_bytes
from visemix.types import VisemixError

SIDE = 8192  # pixels that a picture may have a side


class LabelFile:
    """Random access to the label pictures of a clip, as `LabelWriter` stored them; memory-mapped.

    Each picture is stored by itself: lengths and values of its runs of equal pixels, row after row, deflated. That is
    smaller than a lossless video, and read in a fraction of the time.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width."""
        with self._open() as file:
            return len(file.get_tensor("ends")), *_size(file)

    def frames(self, indices: Iterable[int]) -> UInt8[Tensor, "n H W"]:
        """The labels of the frames asked for, in that order."""
        with self._open() as file:
            ends, runs = file.get_tensor("ends").tolist(), file.get_slice("runs")
            height, width = _size(file)
            starts, wanted = [0, *ends], list(indices)
            if not all(0 <= k < len(ends) for k in wanted):
                raise ValueError(f"it holds {len(ends)} pictures")
            packed = [runs[starts[k] : ends[k]].numpy() for k in wanted]
            return torch.from_numpy(np.stack([_unpack(each, height, width) for each in packed]))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with safe_open(str(self.path), "pt") as file:
                yield file
        except (SafetensorError, OSError, zlib.error, ValueError, TypeError, RuntimeError) as error:
            raise VisemixError(f"{self.path} is damaged ({error}); make the clip again") from error


class LabelWriter:
    """Stores label pictures of one size, one after another; a context manager. What is not finished is not there."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._packed: list[bytes] = []
        self._size: tuple[int, ...] = ()

    def __enter__(self) -> LabelWriter:
        return self

    def write(self, picture: UInt8[Tensor, "h w"]) -> None:
        """Add the next picture. Raises `VisemixError` where its size is not the first one's."""
        if self._packed and picture.shape != self._size:
            raise VisemixError(f"{self.path} began with labels of {self._size}, the next are {tuple(picture.shape)}")
        self._size = tuple(picture.shape)
        self._packed.append(_pack(picture.numpy()))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        if not self._packed:
            raise VisemixError(f"no labels were made for {self.path}, so nothing is written")
        runs = torch.frombuffer(bytearray(b"".join(self._packed)), dtype=torch.uint8)
        ends = torch.tensor([len(each) for each in self._packed]).cumsum(0)
        write_bytes(self.path, save({"runs": runs, "ends": ends, "size": torch.tensor(self._size)}))


def _pack(picture: np.ndarray) -> bytes:
    flat = picture.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    lengths = np.diff(starts, append=flat.size).astype("<u4")
    # high bytes are nearly all zero, and deflate better when they stand together
    return zlib.compress(lengths.view(np.uint8).reshape(-1, 4).T.tobytes() + flat[starts].tobytes(), 9)


def _size(file: Any) -> tuple[int, int]:
    """Height and width of the pictures. Raises `ValueError` where no picture has these."""
    height, width = file.get_tensor("size").tolist()
    if not (isinstance(height, int) and isinstance(width, int) and 0 < height <= SIDE and 0 < width <= SIDE):
        raise ValueError(f"a picture of {height}×{width}")
    return height, width


def _unpack(packed: np.ndarray, height: int, width: int) -> np.ndarray:
    most = 5 * height * width  # a run is a pixel or more
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(packed.tobytes(), most + 1)
    if len(content) > most or not unpacker.eof:
        raise ValueError("a picture has more runs than pixels, or breaks off")
    table = np.frombuffer(content, np.uint8).reshape(5, -1)
    lengths = np.ascontiguousarray(table[:4].T).view("<u4").ravel()
    if int(lengths.sum(dtype=np.int64)) != height * width:
        raise ValueError(f"the runs of a picture are not its {height}×{width} pixels")
    return np.repeat(table[4], lengths).reshape(height, width)
