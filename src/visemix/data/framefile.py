"""Random access to the frames of a prepared clip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import torch
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from visemix.data.containers import open_media, picture_stream
from visemix.data.upright import EXACT
from visemix.types import FPS, VisemixError


class FrameFile:
    """Random access to the frames of an mp4 at 25 frames a second, as `VideoWriter(seekable=True)` writes it.

    It opens in each process when first read, so it can be handed to data-loader workers. Up to `keep` bytes of decoded
    frames stay in memory, so that training on a short clip does not decode it over and over; none by default.
    """

    def __init__(self, path: str | Path, keep: int = 0) -> None:
        self.path, self.keep = Path(path), keep
        self._kept: dict[int, Tensor] = {}
        self._open: tuple[int, Any, Any] | None = None
        self._next = -1
        self._to_rgb = VideoReformatter()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "keep": self.keep}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def frames(self, indices: Iterable[int]) -> UInt8[Tensor, "n 3 H W"]:
        """The frames asked for, in that order; each by its timestamp, so none is ever off by one."""
        return torch.stack([self._remembered(int(k)) for k in indices])

    def __len__(self) -> int:
        return int(self._stream().frames)

    def _stream(self) -> Any:
        if self._open is None or self._open[0] != os.getpid():  # a forked worker must not share a file position
            container = open_media(self.path)
            if picture_stream(container) is None:
                raise VisemixError(f"{self.path} holds no picture; prepare the clip again with --overwrite")
            self._open, self._next = (os.getpid(), container, picture_stream(container)), 0
            self._open[2].codec_context.thread_count = 1
        return self._open[2]

    def _remembered(self, k: int) -> UInt8[Tensor, "3 H W"]:
        if k not in self._kept:
            frame = self._frame(k)
            if (len(self._kept) + 1) * frame.numel() > self.keep:
                return frame
            self._kept[k] = frame.contiguous()
        return self._kept[k]

    def _frame(self, k: int) -> UInt8[Tensor, "3 H W"]:
        stream = self._stream()
        if not 0 <= k < stream.frames:
            raise VisemixError(f"{self.path} has frames 0 to {stream.frames - 1}, not {k}")
        pts = round(k / FPS / stream.time_base) + (stream.start_time or 0)
        container = self._open[1]  # type: ignore[index]
        with suppress(av.FFmpegError):  # then it cannot be read
            if k != self._next:
                container.seek(pts, stream=stream)
            for frame in container.decode(stream):
                if frame.pts == pts:
                    self._next = k + 1
                    picture = self._to_rgb.reformat(frame, format="rgb24", **EXACT).to_ndarray()
                    return torch.from_numpy(picture).permute(2, 0, 1)
                if frame.pts is None or frame.pts > pts:
                    break
        self._next = -1
        raise VisemixError(f"frame {k} of {self.path} cannot be read; prepare the clip again with --overwrite")
