"""The sound of any file: decoded in pieces, mono at 16 kHz where a model listens, as recorded where people do."""

from __future__ import annotations

import logging
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

from visemix.data.containers import counted_twice, decode, open_media, packets, picture_stream, sound_stream
from visemix.data.soundclock import in_time
from visemix.data.timeline import pictures
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VisemixError

LOUDEST = 2.0  # floating-point files may overshoot ±1 a little; beyond this their scale is another one
QUIET = 1e-4  # −80 dB: AAC turns digital silence into a few units of noise
RATES = 1_000, 400_000  # Hz; at less nothing can be heard of speech, and no recorder goes beyond
CANCELLED = 0.05  # of the energy that the mean of unrelated channels has; two then correlate by less than −0.95

log = logging.getLogger(__name__)


def read_sound(path: str | Path) -> Float[Tensor, " S"]:
    """The sound of a video or sound file: mono (channels averaged), 16 kHz, in [-1, 1].

    Sample 0 belongs to the first picture where the file has pictures. Of several tracks it is the file's default one.
    Channels that cancel each other out, as where one is the other upside down, are not averaged: the loudest one is
    heard, and a warning says so.

    Raises:
        VisemixError: no sound track, shorter than a video frame (640 samples), or samples that are no numbers.
    """
    wave, loudest = _mono(path, None)
    if loudest is not None:
        log.warning("the channels of %s cancel each other out; only the loudest one is heard (%d)", path, loudest + 1)
        wave, _ = _mono(path, loudest)
    if len(wave) < SAMPLES_PER_FRAME:
        raise VisemixError(
            f"{path} holds {len(wave) / SAMPLE_RATE:.3f} s of sound, less than one video frame "
            f"({1 / FPS:.2f} s); give a longer recording"
        )
    return wave


def _mono(path: str | Path, channel: int | None) -> tuple[Float[Tensor, " S"], int | None]:
    """The mean of all channels, or one of them, at 16 kHz; and the loudest where a mean leaves nearly nothing."""
    rate, channels, blocks = sound_blocks(path)
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    parts, of_mean, of_each = [], 0.0, np.zeros(channels)
    for block in blocks:
        mono = block.mean(0) if channel is None else np.ascontiguousarray(block[channel])
        of_mean += float(np.square(mono, dtype=np.float64).sum())
        of_each += np.square(block, dtype=np.float64).sum(1)
        parts.append(resampler.resample_chunk(mono))
    parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    wave = torch.from_numpy(np.concatenate(parts)).clamp_(-1, 1)
    gone = channel is None and of_mean < CANCELLED * of_each.sum() / channels**2
    return wave, int(of_each.argmax()) if gone else None


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
        VisemixError: no sound track, or an unreadable one; also while the blocks are read, with damage further on.
    """
    path = Path(path)
    with open_media(path) as container:
        stream = sound_stream(container)
        if stream is None:
            raise VisemixError(f"{path} has no sound track; give a file that has one")
        first = next((frame for frame in _decoded(container, stream)), None)
        if first is None:
            raise VisemixError(f"the sound track of {path} is unreadable; convert it again from its source")
        rate, channels = first.sample_rate, first.layout.nb_channels
    if not RATES[0] <= rate <= RATES[1]:
        raise VisemixError(f"the sound of {path} has {rate} samples a second; speech needs 8000, better 16000 or more")
    return rate, channels, _blocks(path, rate, channels, _first_picture(path))


def _first_picture(path: Path) -> float | None:
    """When the first picture is shown, in seconds on the file's clock; None where there is none."""
    with open_media(path) as container:
        stream = picture_stream(container)
        shown = () if stream is None else pictures(container, stream)
        return next((float(ticks * stream.time_base) for frame, ticks in shown if frame is not None), None)  # type: ignore[union-attr]


def _blocks(path: Path, rate: int, channels: int, start: float | None) -> Iterator[np.ndarray]:
    with open_media(path) as container:
        try:
            stream = sound_stream(container)
            late = counted_twice(container, stream)
            timed = _floats(_decoded(container, stream), rate, channels, late)
            for block in in_time(timed, rate, start):
                _check(block, path)
                yield block
        except VisemixError as error:
            raise VisemixError(f"the sound of {path} cannot be used: {error}") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in packets(container, stream):
        yield from decode(packet) or ()  # a damaged packet leaves a hole, which the next one's timestamp shows


def _floats(frames: Iterator[Any], rate: int, channels: int, late: float) -> Iterator[tuple[np.ndarray, float | None]]:
    """(channels, n) and its seconds plus `late`, whatever the codec works in."""
    # not planar: PyAV reads beyond the planes of a frame that has eight or more
    to_float = av.AudioResampler(format="flt")
    for frame in frames:
        try:
            if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
                raise ValueError("another rate or other channels")
            time = None if frame.time is None else frame.time + late
            for part in to_float.resample(frame):
                yield part.to_ndarray().reshape(-1, channels).T, time
                time = None
        except (av.FFmpegError, ValueError) as error:
            raise VisemixError(f"it changes its format midway ({error}); convert it to WAV") from error


def _check(samples: np.ndarray, path: Path) -> None:
    peak = np.abs(samples).max(initial=0.0)
    if not np.isfinite(peak):
        raise VisemixError(f"{path} holds samples that are no numbers (NaN or infinite); export the sound again")
    if peak > LOUDEST:
        raise VisemixError(f"{path} holds samples up to {peak:.4g}, far outside [-1, 1]; export it at a normal level")
