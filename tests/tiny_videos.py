"""Videos that the tests make: every frame is a grey of its own, so that decoding tells which one it is."""

import struct
from fractions import Fraction

import av
import numpy as np
import torch

from visemix.types import SAMPLE_RATE, SAMPLES_PER_FRAME

ONE = 1 << 16  # in the fixed point of an mp4's display matrix
QUARTER, MIRRORED = (0, ONE, -ONE, 0), (-ONE, 0, 0, ONE)  # shown turned clockwise; left and right swapped

GREYS = 8  # step between the grey of one frame and the next, far above what coding loses


def grey(frames, size=32, start=16):
    """Frame k is flat grey `16 + 8k`: decoding tells which one it is."""
    level = start + GREYS * torch.arange(frames) % 224
    return level.view(-1, 1, 1, 1).expand(frames, 3, size, size).to(torch.uint8)


def numbers(frames, start=16):
    """Which of `grey`'s frames these are."""
    return [round((float(frame.float().mean()) - start) / GREYS) for frame in frames]


def beeps(frames, every=5):
    """A loud burst over every fifth frame, silence between."""
    time = torch.arange(frames * SAMPLES_PER_FRAME) / SAMPLE_RATE
    burst = (torch.arange(len(time)) // SAMPLES_PER_FRAME) % every == 0
    return 0.8 * torch.sin(2 * torch.pi * 1000 * time) * burst


def write_timed(path, times, rate=90_000, **options):
    """Grey frames at the given seconds: a video of any rate, or of none."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:  # an mp4's index comes first
        stream = container.add_stream("libx264", rate=30, options={"crf": "10", **options})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        for picture, time in zip(grey(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), "rgb24")
            frame.pts, frame.time_base = round(time * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write(path, frames):
    """A video of these pictures (H, W, 3) as they are, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv444p"
        stream.options = {"crf": "0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def turn(path, matrix):
    """The mp4, whose pictures are stored as they were and shown by this display matrix, as phones write it."""
    body = path.read_bytes()
    at = body.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    path.write_bytes(body[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + body[at + 36 :])
    return path
