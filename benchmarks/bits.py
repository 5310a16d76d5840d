"""Are preparations the same to the bit? One clip's face is tracked once and fitted over and over, memory filled with
rubbish of another size before each time; and how far the identity moves when the landmarks do by so little.

`nice python benchmarks/bits.py [--fits 200] [--frames 40] [--clip may_5s]`, on a clip of `VISEMIX_ASSETS`, with ict.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from _report import report

from visemix.data import VideoReader
from visemix.face import FACE
from visemix.ops.device import torch_threads
from visemix.prepare.geometry import Geometry, fit_geometry
from visemix.prepare.track import TRACKER

SIZE, MOVED = 512, (1e-12, 1e-9, 1e-6)  # pixels: of the crop, and by which landmarks are moved


def digest(fit: Geometry) -> str:
    parts = (fit.identity, fit.expression, fit.pose)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--clip", default="may_5s")
    options = parser.parse_args()
    video = Path(os.environ["VISEMIX_ASSETS"]) / "clips" / f"{options.clip}.mp4"
    frames = (picture.permute(1, 2, 0).numpy() for picture in VideoReader(video))
    track = TRACKER.build({"name": "mediapipe"})(
        frame for frame, _ in zip(frames, range(options.frames), strict=False)
    )[0]
    scale = SIZE / 2 / np.ptp(track.landmarks, (0, 1)).max()
    low = track.landmarks.min((0, 1))
    face, chance = FACE.build({"name": "ict"}), np.random.default_rng()

    def fitted(moved: float = 0.0) -> Geometry:
        held = [torch.full((int(n),), float("nan")) for n in chance.integers(1, 200_000, 8)]
        noise = torch.Generator().manual_seed(1)
        points, mesh = (
            torch.from_numpy((of - low) * scale + SIZE / 4).double() for of in (track.landmarks, track.points)
        )
        points = points + moved * torch.randn(points.shape, generator=noise, dtype=torch.double)
        del held[::2]  # holes of many sizes
        with torch_threads(1):
            return fit_geometry(face, points, torch.from_numpy(track.present), SIZE, points=mesh, identity_frames=24)

    first = fitted()
    seen = Counter(digest(fitted()) for _ in range(options.fits))
    rows: list[dict[str, object]] = [{"what": f"{options.fits} fits", "hashes": len(seen), "load": os.getloadavg()[0]}]
    for moved in MOVED:
        off = (fitted(moved).identity - first.identity).abs().max().item()
        rows.append({"what": f"landmarks moved by {moved:g} px", "identity moves (σ)": off})
    report("bits", rows, clip=options.clip, frames=options.frames)


if __name__ == "__main__":
    main()
