"""Clips whose truth is known: each picture shows its number in bits, a beep begins half a second into each second."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 192, 128, 12
BEEP = 0.01  # seconds, a burst of 2 kHz that begins at 0.5, 1.5, …


def picture(number, width=WIDTH, height=HEIGHT):
    """RGB (H, W, 3): the number's bits in the upper quarter, lowest first, grey below, brighter to the right."""
    shown = np.full((height, width, 3), 90, np.uint8)
    shown[..., 1] = np.linspace(40, 160, width, dtype=np.uint8)
    for bit in range(BITS):
        shown[: height // 4, bit * width // BITS : (bit + 1) * width // BITS] = 235 if number >> bit & 1 else 16
    return shown


def number(frame):
    """The number in a picture (3, H, W), of any size."""
    grey = frame.float().mean(0)
    height, width = grey.shape
    rows = grey[height // 16 : height * 3 // 16]
    cells = [rows[:, width * (4 * b + 1) // (4 * BITS) : width * (4 * b + 3) // (4 * BITS)] for b in range(BITS)]
    return sum(int(cell.mean() > 115) << b for b, cell in enumerate(cells))


def beeping(seconds, rate):
    """(n,) float32."""
    sound = np.zeros(round(seconds * rate), np.float32)
    time = np.arange(round(BEEP * rate)) / rate
    beep = 0.7 * np.sin(2 * np.pi * 2000 * time) * np.hanning(len(time))
    for begin in range(rate // 2, len(sound) - len(beep), rate):
        sound[begin : begin + len(beep)] += beep
    return sound


def beeps(wave, rate=16_000):
    """The seconds at which beeps begin in a wave (n,): where their energy is centred, less half a beep."""
    energy = np.square(np.asarray(wave, np.float64))
    loud = np.flatnonzero(energy > 0.05 * energy.max(initial=1e-9))
    found = []
    for group in np.split(loud, np.flatnonzero(np.diff(loud) > rate // 10) + 1):
        if len(group):
            around = np.arange(max(0, group[0] - rate // 200), min(len(energy), group[-1] + rate // 200))
            found.append((energy[around] @ around) / energy[around].sum() / rate - BEEP / 2)
    return found


def make_clip(
    path,
    *,
    seconds=2.2,
    fps=25,
    codec="libx264",
    pix_fmt="yuv420p",
    options=None,
    sound="aac",
    rate=48_000,
    layout="mono",
    sound_format=None,
    late=0.0,
    begin=0.0,
    shape=None,
    mux=None,
    kind=None,
):
    """A clip of `seconds` at `path`; beep n is heard at n + 0.5 after picture 0 is shown.

    Args:
        late: seconds by which the recording of sound begins after that of pictures (before, where negative).
        begin: time of the file's first picture.
        shape: width of a pixel by its height.
        mux, kind: options and name of the container.
    """
    fps, begin = Fraction(fps), Fraction(begin)
    with av.open(str(path), "w", format=kind, options=mux or {}) as container:
        video = container.add_stream(codec, rate=fps, options={"g": "12", **(options or {})})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if codec == "libx264":
            video.options = {"crf": "20", "preset": "veryfast", "g": "12", **(options or {})}
        else:
            video.bit_rate = 2_000_000
        if shape:
            video.codec_context.sample_aspect_ratio = Fraction(shape)
        audio = container.add_stream(sound, rate=rate, layout=layout) if sound else None
        packets = []
        for k in range(int(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(picture(k), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = k + round(begin * fps), 1 / fps
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio:
            packets += _encoded(audio, beeping(seconds, rate), rate, late, begin, sound_format)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return Path(path)


def _encoded(audio, wave, rate, late, begin, sound_format):
    wave = wave[round(late * rate) :] if late > 0 else np.pad(wave, (round(-late * rate), 0))
    channels = audio.codec_context.layout.nb_channels
    to_codec = av.AudioResampler(format=audio.codec_context.format, layout=audio.codec_context.layout, rate=rate)
    packets, size = [], 960
    for at in range(0, len(wave), size):
        block = np.repeat(wave[at : at + size, None], channels, 1).reshape(1, -1)  # packed: PyAV's planes end at seven
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "flt", audio.codec_context.layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = at + round((late + begin) * rate)
        for part in to_codec.resample(frame):
            packets += audio.encode(part)
    return packets + audio.encode(None)
