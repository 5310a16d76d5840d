"""Pictures and sound into an mp4 that is either whole or not there."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
import soxr
import torch
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from visemix.data.sound import sound_blocks
from visemix.data.upright import EXACT
from visemix.ops.locks import scratch
from visemix.ops.store import NOTHING, NotWritten, refuse_existing, settle
from visemix.types import FPS, SAMPLE_RATE, VisemixError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

H264 = "libx264"
SMALL = 64  # pixels: of smaller pictures x264's look-ahead reads memory that nobody wrote, and the bytes change with it
KEYFRAMES = 10  # of a seekable video, one in so many stands alone

log = logging.getLogger(__name__)


class VideoWriter:
    """Streams 25 pictures a second into an mp4: H.264 (yuv420p) and, where there is sound, AAC in step to the frame.

    The file's index comes first, so that it plays while it loads. H.264 has even sides only: `write` adds to odd ones.

    A context manager. The file is written beside its place and moved there when everything is in it; whatever goes
    wrong before leaves nothing behind. Sound is cut, or padded with silence, to the length of the pictures.

    Args:
        path: where to; must end in `.mp4`.
        sound: a 16 kHz mono waveform, or a file whose own sound is taken over at its own rate, decoded as it is needed.
        crf: quality of H.264, lower is better (18 looks lossless, 23 is the usual).
        preset: speed of H.264, `ultrafast` to `veryslow`.
        seekable: every tenth picture stands alone, so that `FrameFile` can fetch any of them in a few steps; larger.
            The same pictures give the same bytes, on any number of cores.
        causal: how well a picture is kept does not depend on those after it, which an encoder looks at otherwise: what
            is held out of a clip's end leaves no trace in its beginning.
        overwrite: replace a file that exists.

    Raises:
        VisemixError: the path exists or is no mp4, pictures change size or hold NaN, or the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sound: Float[Tensor, " S"] | str | Path | None = None,
        crf: int = 18,
        preset: str = "veryfast",
        seekable: bool = False,
        causal: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise VisemixError(f"{self.path} should end in .mp4, which is what is written")
        refuse_existing(self.path, overwrite)
        self.frames = 0
        self._options = {"crf": str(crf), "preset": preset}
        self._seekable, self._causal = seekable, causal
        self._to_yuv = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._video: Any = None
        self._audio: Any = None
        self._samples: _SoundReader | None = None
        self._sound = sound
        self._place = ExitStack()

    def __enter__(self) -> VideoWriter:
        if self._sound is not None:
            self._samples = _SoundReader(self._sound)  # what is wrong with the sound is said before anything is written
        try:
            # absolute: FFmpeg would take "10:" at a name's beginning for a protocol
            self._part = self._place.enter_context(scratch(self.path.absolute().parent)) / self.path.name
            # Writing through Python's file tells of a full disk at once; FFmpeg's own would only at the end.
            self._file = _Sink(self._part, "wb")
        except OSError as error:
            self._place.close()
            raise VisemixError(f"cannot write {self.path}: {error.strerror}") from error
        # `faststart` moves the index to the front, so that a browser plays while it loads
        self._container = av.open(self._file, "w", format="mp4", options={"movflags": "faststart"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
                settle(self._part, self.path)
        except (OSError, av.FFmpegError) as full:
            raise self._cannot(full) from full
        finally:
            self._abandon()

    def write(self, frames: UInt8[Tensor, "*n 3 H W"] | Float[Tensor, "*n 3 H W"]) -> None:
        """Append one picture or several: RGB, bytes or floats in [0, 1]. Odd sizes gain a row or column.

        Raises:
            VisemixError: pictures that change size or hold NaN, or a full disk.
        """
        if frames.is_floating_point():
            if frames.isnan().any():
                raise VisemixError(
                    f"{self.path} is not written: from its picture {self.frames} on there are values that are no "
                    "numbers (NaN); what painted them has diverged, train it again with a smaller lr"
                )
            frames = frames.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
        for picture in frames.reshape(-1, *frames.shape[-3:]):
            try:
                self._write(picture)
            except (OSError, av.FFmpegError) as full:
                raise self._cannot(full) from full

    def _write(self, picture: UInt8[Tensor, "3 H W"]) -> None:
        size = (picture.shape[1], picture.shape[2])
        if self._size is None:
            self._size = size
            self._begin(size[0] + size[0] % 2, size[1] + size[1] % 2)
        if size != self._size:
            raise VisemixError(f"{self.path} began with pictures of {self._size}, the next one is {size}")
        if size[0] % 2 or size[1] % 2:
            picture = F.pad(picture[None].float(), (0, size[1] % 2, 0, size[0] % 2), "replicate")[0].to(torch.uint8)
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()), "rgb24")
        yuv = self._to_yuv.reformat(rgb, format="yuv420p", dst_colorspace=Colorspace.ITU709, **EXACT)
        yuv.pts, yuv.time_base = self.frames, Fraction(1, FPS)
        self._container.mux(self._video.encode(yuv))
        self.frames += 1
        if self._samples is not None:
            self._add_sound(self._samples)

    def _begin(self, height: int, width: int) -> None:
        # A stream that is added before its size is known would be written with none.
        try:
            self._video = self._container.add_stream(H264, rate=FPS)
        except (av.codec.codec.UnknownCodecError, ValueError):
            log.warning("this PyAV has no libx264: %s is written as MPEG-4 Part 2, larger or coarser", self.path)
            self._video = self._container.add_stream("mpeg4", rate=FPS)
            self._video.bit_rate = FPS * height * width
            self._options = {"qmax": "6"}
        self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        context = self._video.codec_context
        # 1 is BT.709 in all three of H.264's colour tags, and limited range: what players expect.
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        if self._seekable:
            context.gop_size, context.thread_count = KEYFRAMES, 1
            self._options |= {"g": str(KEYFRAMES), "bf": "0", "sc_threshold": "0"}
        if self._video.codec.name == H264 and (self._causal or min(height, width) < SMALL):
            self._options |= {"rc-lookahead": "0", "bf": "0"}
        self._video.options = self._options
        if self._samples is not None:
            self._audio = self._container.add_stream("aac", rate=self._samples.rate)
            self._audio.layout = "mono" if self._samples.channels == 1 else "stereo"

    def _add_sound(self, samples: _SoundReader) -> None:
        start = samples.given
        block = av.AudioFrame.from_ndarray(samples.read(samples.rate // FPS), "fltp", self._audio.layout.name)
        block.sample_rate, block.pts, block.time_base = samples.rate, start, Fraction(1, samples.rate)
        self._container.mux(self._audio.encode(block))

    def _finish(self) -> None:
        if self._video is None:
            raise VisemixError(f"no picture was made for {self.path}, so nothing is written")
        self._container.mux(self._video.encode(None))
        if self._audio is not None:
            self._container.mux(self._audio.encode(None))
        self._container.close()
        self._file.close()

    def _abandon(self) -> None:
        """Remove what was written, whatever state the container is in."""
        for part in (self._container, self._file):
            try:
                part.close()
            except (OSError, av.FFmpegError):
                log.debug("closing the unfinished %s", self._part, exc_info=True)
        self._place.close()

    def _cannot(self, error: OSError | av.FFmpegError) -> VisemixError:
        return NotWritten(self.path, error, NOTHING)


class _Sink(io.FileIO):
    """A file for FFmpeg to write: all of what it is given, where FFmpeg overlooks that an unbuffered file took a part.
    It is unbuffered as FFmpeg reads it back by its name, to move the index. What fails is raised once: what FFmpeg
    still writes to tidy up goes nowhere, since an error that comes then would be printed, traceback and all, and could
    not be caught."""

    _lost = False

    def write(self, data: Any) -> int:
        view, done = memoryview(data), 0
        while done < len(view) and not self._lost:
            done += self._tried(super().write, view[done:]) or 0
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0 if self._lost else self._tried(super().seek, offset, whence)

    def tell(self) -> int:
        return 0 if self._lost else super().tell()

    def _tried(self, call: Callable[..., int], *given: Any) -> int:
        try:
            return call(*given)
        except OSError:
            self._lost = True
            raise


class _SoundReader:
    """A sound that is asked for in exact amounts; silence after its end."""

    def __init__(self, sound: Tensor | str | Path) -> None:
        self.given = 0
        self._rest = np.zeros((1, 0), np.float32)
        if isinstance(sound, Tensor):
            self.rate, self.channels = SAMPLE_RATE, 1
            self._blocks: Iterator[np.ndarray] = iter([sound.detach().cpu().numpy()[None]])
        else:
            rate, channels, blocks = sound_blocks(sound)
            self.rate = rate if rate in AAC_RATES else 48_000
            self.channels = min(channels, 2)
            self._blocks = _resampled(blocks, rate, self.rate, channels)
        self._rest = np.zeros((self.channels, 0), np.float32)

    def read(self, n: int) -> np.ndarray:
        parts, have = [self._rest], self._rest.shape[1]
        while have < n and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            have += block.shape[1]
        joined = np.concatenate([*parts, np.zeros((self.channels, max(0, n - have)), np.float32)], 1)
        self._rest = joined[:, n:]
        self.given += n
        return np.ascontiguousarray(joined[:, :n])


def _resampled(blocks: Iterator[np.ndarray], rate: int, new: int, channels: int) -> Iterator[np.ndarray]:
    """The sound at a rate that AAC knows, in one or two channels."""
    resampler = soxr.ResampleStream(rate, new, min(channels, 2), dtype="float32")
    for block in blocks:
        few = block if channels <= 2 else block.mean(0, keepdims=True).repeat(2, 0)
        yield few if rate == new else _resample(resampler, few)
    if rate != new:
        yield _resample(resampler, np.zeros((min(channels, 2), 0), np.float32), last=True)


def _resample(resampler: soxr.ResampleStream, block: np.ndarray, last: bool = False) -> np.ndarray:
    out = resampler.resample_chunk(np.ascontiguousarray(block.T), last=last)  # soxr wants (n, channels)
    return out.reshape(-1, len(block)).T
