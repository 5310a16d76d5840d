"""What a frame of a Gaussian head costs on a processor: mesh, Gaussians, picture, and the seam.

    OMP_NUM_THREADS=1 python benchmarks/frames.py CLIP [--counts 20000,50000] [--rounds 15]

The renderer is begun from the clip and not trained: its Gaussians are as many and as large as in use, though less
opaque, so that nothing ends early, and a trained head is a little faster.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from _report import measure, report
from torch.nn import functional as F

from visemix.data import ClipFolder
from visemix.data.windows import Span, ValidationWindows
from visemix.face import FACE, FaceModel
from visemix.render import RENDER, Gaussians
from visemix.render.base import Paste
from visemix.types import Motion, Space, Subject

PARTS: tuple[Paste, ...] = ("whole", "head", "face")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--counts", type=lambda said: [int(n) for n in said.split(",")], default=[20_000, 50_000])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    clip = ClipFolder(args.clip)
    face = FACE.build({"name": clip.meta["face"]["name"]})
    rows = []
    for count in args.counts:
        head = begun(face, clip, count)
        for size in (256, 512):
            subject = at_size(clip.subject([0]), size)
            motion = Motion(subject.expression, Space.EXPRESSION)
            calls = {part: partial(painted, head, part, motion, subject) for part in PARTS}
            samples = measure(calls, rounds=args.rounds)
            for part, sample in samples.items():
                row = sample.row()
                rows.append({"size": size, "count": count, "painted": part, "frames/s": 1 / sample.median, **row})
    report("frames", rows, clip=clip.name)


def begun(face: FaceModel, clip: ClipFolder, count: int) -> Gaussians:
    head = RENDER.build({"name": "gaussians", "count": count}, face)
    assert isinstance(head, Gaussians)
    head.init_from_data(
        [clip.clip(range(clip.frames), footage=False)], ValidationWindows([Span(clip, 0, clip.frames)], 1, frames=True)
    )
    return head.eval()


@torch.inference_mode()
def painted(head: Gaussians, part: Paste, motion: Motion, subject: Subject) -> None:
    head.paste = part
    head(motion, subject)


def at_size(subject: Subject, size: int) -> Subject:
    assert subject.footage is not None and subject.background is not None
    factor = size / subject.footage.shape[-1]
    pictures = (subject.footage[0], subject.background)
    footage, background = (F.interpolate(p, (size, size), mode="bilinear", antialias=True) for p in pictures)
    seen = replace(subject, footage=footage[None], background=background, labels=None, reference=None)
    return replace(seen, camera=subject.camera * factor)


if __name__ == "__main__":
    main()
