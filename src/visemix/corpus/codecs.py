"""Speech through audio codecs and telephones, with their delay taken out."""

from __future__ import annotations

from functools import cache
from io import BytesIO

import av
import numpy as np
import soxr
from jaxtyping import Float
from scipy.signal import correlate

from visemix.types import SAMPLE_RATE

FILES = {"aac": ("adts", "aac"), "mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}  # container and encoder
RATES = {"aac": (12, 48), "mp3": (16, 48), "opus": (8, 32), "telephone": (64, 64)}  # kbit/s, fewest and most
MU = 255.0  # of G.711
REACH = 4000  # samples by which a codec may be late or early: a quarter of a second


def apply_codec(wave: Float[np.ndarray, " S"], codec: str, kilobits: int) -> Float[np.ndarray, " S"]:
    """A wave in [-1, 1] at 16 kHz, encoded and decoded; what a codec is late by is taken out.

    Args:
        codec: one of `RATES`; "telephone" is G.711's µ-law at 8 kHz.
        kilobits: a second.
    """
    if codec == "telephone":
        return _telephone(wave)
    back = _round_trip(wave, codec, kilobits)
    late = codec_delay(codec, kilobits)
    back = back[late:] if late >= 0 else np.pad(back, (-late, 0))
    return np.pad(back, (0, max(0, len(wave) - len(back))))[: len(wave)]


@cache
def codec_delay(codec: str, kilobits: int) -> int:
    """Samples at 16 kHz by which the codec, as it is built here, is late."""
    rng = np.random.default_rng(0)
    probe = np.zeros(2 * SAMPLE_RATE)
    loud = rng.standard_normal(SAMPLE_RATE)
    probe[8000:24000] = 0.2 * np.convolve(loud, np.hanning(24), "same") / 3  # low sounds, which every codec keeps
    back = np.pad(_round_trip(probe, codec, kilobits), (0, REACH))[: len(probe) + REACH]
    similar = correlate(back, probe, "full")[len(probe) - 1 - REACH : len(probe) + REACH]
    return int(similar.argmax()) - REACH


def _telephone(wave: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    narrow = soxr.resample(wave, SAMPLE_RATE, SAMPLE_RATE // 2).clip(-1, 1)
    steps = np.round(np.sign(narrow) * np.log1p(MU * np.abs(narrow)) / np.log1p(MU) * 127) / 127
    back = soxr.resample(np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(MU)) / MU, SAMPLE_RATE // 2, SAMPLE_RATE)
    return np.pad(back, (0, max(0, len(wave) - len(back))))[: len(wave)]


def _round_trip(wave: Float[np.ndarray, " S"], codec: str, kilobits: int) -> Float[np.ndarray, " R"]:
    form, encoder = FILES[codec]
    file = BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(encoder, rate=SAMPLE_RATE, layout="mono", options={"threads": "1"})
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 1000 * kilobits
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        to_encoder = av.AudioResampler(stream.format, stream.layout, SAMPLE_RATE, stream.frame_size)
        for piece in [*to_encoder.resample(frame), *to_encoder.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as opened:
        rate = opened.streams.audio[0].rate
        to_float = av.AudioResampler("fltp", "mono", rate)
        pieces = [part.to_ndarray()[0] for frame in opened.decode(audio=0) for part in to_float.resample(frame)]
    return soxr.resample(np.concatenate(pieces).astype(np.float64), rate, SAMPLE_RATE)
