"""The sound of any file: decoded in pieces, mono at 16 kHz where a model listens, as recorded where people do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visemix.data.media import VideoReader, open_media, packets, picture_stream
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VisemixError

LOUDEST = 2.0  # floating-point files may overshoot ±1 a little; beyond this their scale is another one
QUIET = 1e-4  # −80 dB: AAC turns digital silence into a few units of noise
GAP = 0.04  # seconds missing in the file's own timestamps before silence is put in


def read_sound(path: str | Path) -> Float[Tensor, " S"]:
    """The sound of a video or sound file: mono (channels averaged), 16 kHz, in [-1, 1].

    Sample 0 belongs to the first picture where the file has pictures.

    Raises:
        VisemixError: no sound track, shorter than a video frame (640 samples), or samples that are no numbers.
    """
    rate, _, blocks = sound_blocks(path)
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    parts = [resampler.resample_chunk(block.mean(0)) for block in blocks]
    parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    wave = torch.from_numpy(np.concatenate(parts)).clamp_(-1, 1)
    if len(wave) < SAMPLES_PER_FRAME:
        raise VisemixError(
            f"{path} holds {len(wave) / SAMPLE_RATE:.3f} s of sound, less than one video frame "
            f"({1 / FPS:.2f} s); give a longer recording"
        )
    return wave


def whole_frames(wave: Float[Tensor, " S"], frames: int | None = None) -> Float[Tensor, " S2"]:
    """The sound over whole video frames: padded with silence or cut to `frames`, by default to the nearest number."""
    if frames is None:
        frames = max(1, round(len(wave) * FPS / SAMPLE_RATE))
    samples = frames * SAMPLES_PER_FRAME
    return F.pad(wave[:samples], (0, max(0, samples - len(wave))))


def is_silent(wave: Float[Tensor, "*S"]) -> bool:
    """Whether a wave is digital silence, from which no motion can be learnt."""
    return bool(wave.abs().max() < QUIET)


def sound_blocks(path: str | Path) -> tuple[int, int, Iterator[np.ndarray]]:
    """(sample rate, channels, blocks of float32 (channels, n)): the file's own sound, decoded as it is asked for.

    Raises:
        VisemixError: no sound track, or an unreadable one.
    """
    start = None
    with open_media(path) as container:
        if not container.streams.audio:
            raise VisemixError(f"{path} has no sound track; give a file that has one")
        stream = container.streams.audio[0]
        rate, channels = stream.rate, stream.channels
        has_picture = picture_stream(container) is not None
    if not rate or not channels:
        raise VisemixError(f"the sound track of {path} is unreadable; convert it again from its source")
    if has_picture:
        start = VideoReader(path).start
    return rate, channels, _blocks(Path(path), rate, channels, start)


def _blocks(path: Path, rate: int, channels: int, start: float | None) -> Iterator[np.ndarray]:
    done = 0  # samples given out; negative while what lies before the first picture is being dropped
    placed = False
    with open_media(path) as container:
        for frame in _decoded(container, path):
            samples = frame.to_ndarray().astype(np.float32, copy=False)
            _check(samples, path)
            if start is None:
                start = frame.time or 0.0
            late = 0 if frame.time is None else round((frame.time - start) * rate) - done
            if not placed or late > GAP * rate:
                if late > 0:
                    yield np.zeros((channels, late), np.float32)
                done += late
                placed = True
            skip = max(0, -done)
            done += samples.shape[1]
            if samples.shape[1] > skip:
                yield samples[:, skip:]


def _decoded(container: Any, path: Path) -> Iterator[Any]:
    """Decoded frames of the sound, planar floats whatever the codec works in."""
    to_float = av.AudioResampler(format="fltp")
    for frames in packets(container, container.streams.audio[0]):
        for frame in frames or ():  # a damaged packet leaves a gap, which the next one's timestamp shows
            try:
                yield from to_float.resample(frame)
            except (av.FFmpegError, ValueError) as error:
                raise VisemixError(f"the sound of {path} changes its format midway; convert it to WAV") from error


def _check(samples: np.ndarray, path: Path) -> None:
    peak = np.abs(samples).max(initial=0.0)
    if not np.isfinite(peak):
        raise VisemixError(f"{path} holds samples that are no numbers (NaN or infinite); export the sound again")
    if peak > LOUDEST:
        raise VisemixError(f"{path} holds samples up to {peak:.4g}, far outside [-1, 1]; export it at a normal level")
