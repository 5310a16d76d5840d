"""Films whose truth is known: a frame's number in the picture, twice, and a beep at every half second."""

from fractions import Fraction

import av
import numpy as np

SIDE, BITS, CELL = 128, 8, 8
FACE = slice(40, 72), slice(48, 80)  # rows, columns of a square that `fake_parts` finds
CORNER, BROW = (0, 0), (48, 22)  # x, y of the two numbers: far from the face, and within its crop
RATE = 48_000


def picture(number):
    frame = np.full((SIDE, SIDE, 3), 60, np.uint8)
    frame[FACE] = 250
    for bit in range(BITS):
        for x, y in (CORNER, BROW):
            x, y = x + CELL * (bit % 4), y + CELL * (bit // 4)
            frame[y : y + CELL, x : x + CELL] = 190 if number >> bit & 1 else 16
    return frame


def number(frame, at=CORNER, crop=(0, 0, SIDE)):
    """The number in a picture (3, H, W), of which `crop` is the left, top and side in pixels of the whole one."""
    left, top, side = crop
    scale, found = frame.shape[-1] / side, 0
    for bit in range(BITS):
        x, y = (at[0] + CELL * (bit % 4 + 0.5) - left) * scale, (at[1] + CELL * (bit // 4 + 0.5) - top) * scale
        middle = frame[:, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].float().mean()
        found |= int(middle > 103) << bit
    return found


def wave(seconds):
    """Beeps of 10 ms, 2 kHz, that begin at 0.5, 1.5, … s."""
    sound = np.zeros(int(seconds * RATE), np.float32)
    beep = 0.7 * np.sin(2 * np.pi * 2000 * np.arange(RATE // 100) / RATE) * np.hanning(RATE // 100)
    for at in np.arange(0.5, seconds - 0.1, 1.0):
        sound[round(at * RATE) : round(at * RATE) + len(beep)] = beep
    return sound


def beeps(sound, rate=16_000):
    """Seconds at which beeps begin, by the middle of their energy."""
    energy = np.asarray(sound, float) ** 2
    loud = np.flatnonzero(energy > 0.02 * energy.max())
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > rate // 10) + 1)
    return [float((group * energy[group]).sum() / energy[group].sum() / rate - 0.005) for group in groups]


def film(path, rate="25", seconds=3, codec="libx264", sound="aac", start=0.0):
    """A film of numbered frames at `rate` a second with beeps, whose times begin at `start` seconds."""
    rate = Fraction(rate)
    blocks = wave(seconds)[: seconds * RATE // 1024 * 1024].reshape(-1, 1, 1024)
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream(codec, rate=rate), out.add_stream(sound, rate=RATE, layout="mono")
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        timed = [(k / rate, picture(k)) for k in range(int(seconds * rate))]
        timed += [(Fraction(1024 * k, RATE), block) for k, block in enumerate(blocks)]
        for time, content in sorted(timed, key=lambda each: each[0]):
            at = time + Fraction(start)
            if content.ndim == 3:
                frame, stream, base = av.VideoFrame.from_ndarray(content, "rgb24"), video, 1 / rate
            else:
                samples = content if sound != "pcm_s16le" else (32767 * content).astype(np.int16)
                kind = "s16" if sound == "pcm_s16le" else "fltp"
                frame, stream, base = av.AudioFrame.from_ndarray(samples, kind, "mono"), audio, Fraction(1, RATE)
                frame.sample_rate = RATE
            frame.pts, frame.time_base = round(at / base), base
            out.mux(stream.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path
