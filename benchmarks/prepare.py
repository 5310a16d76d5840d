"""Faces found, cropped and fitted in the real clips under VISEMIX_ASSETS: how well, and how long each phase takes.

Targets (on WDA_KatieHill_000.mp4 at 512², two cores): reprojection ≤ 2.0 px without the jaw line, inner mouth ≤ 1.2 px,
mouth opening r ≥ 0.97, identity within ±3 σ, whole clip in at most 4 × its duration. `jumps` is the acceleration
of the fitted mouth over the detected one's: above 1 the fit would add jitter, far below 1 it would swallow speech.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from _report import report
from skimage.io import imsave

from visemix.data.crop import crop_picture, head_box
from visemix.data.framefile import FrameFile
from visemix.data.media import VideoReader
from visemix.data.writer import VideoWriter
from visemix.face import FACE, FaceModel, draw
from visemix.face.layout import MOUTH
from visemix.prepare.fit import STEPS, Fit, FromLandmarks, TrackedFace, landmarks_of, opening
from visemix.prepare.geometry import Geometry
from visemix.prepare.track import TRACKER, Tracker
from visemix.types import FPS, Subject


def measure_clip(video: Path, face: FaceModel, tracker: Tracker, size: int, sheet: Path | None) -> dict[str, Any]:
    clock, cpu = [time.perf_counter()], time.process_time()
    reader = VideoReader(video)
    track = tracker(frame.permute(1, 2, 0).numpy() for frame in reader)[0]
    clock.append(time.perf_counter())
    box = head_box(track.landmarks[track.present], reader.height, reader.width)
    points, present = torch.from_numpy(box.to_crop(track.landmarks, size)), torch.from_numpy(track.present)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "frames.mp4"
        with VideoWriter(path, seekable=True, crf=15) as pictures:
            for frame in reader.between(track.start, track.stop):
                pictures.write(crop_picture(frame, box, size))
        clock.append(time.perf_counter())
        thirds = []
        file = FrameFile(path)

        def tell(done: int, steps: int) -> None:
            if done >= (len(thirds) + 1) * STEPS // 3 and len(thirds) < 2:
                thirds.append(time.perf_counter())

        fit = FromLandmarks(face)(TrackedFace(points, present, size, file.frames), tell)
        clock += [*thirds, time.perf_counter()]
        cpu = time.process_time() - cpu
        if sheet:
            draw_sheet(sheet / f"{video.stem}.png", face, fit, points, file, size)
    spent = dict(zip(("track", "crop", "geometry", "refine", "appearance"), np.diff(clock).tolist(), strict=True))
    fitted = landmarks_of(face, Geometry(fit.identity, fit.expression, fit.pose), size)
    return {
        "clip": video.name,
        "seconds": len(present) / FPS,
        "all_px": fit.reprojection_px,
        "inner_px": fit.inner_mouth_px,
        "opening_r": fit.mouth_opening_r,
        "identity": float(fit.identity.abs().max()),
        "jumps": jumps(fitted) / jumps(points),
        **spent,
        "× duration": sum(spent.values()) / (len(present) / FPS),
        "cpu × duration": cpu / (len(present) / FPS),  # what it would be near on two cores of one's own, or better
    }


def jumps(landmarks: torch.Tensor) -> float:
    """Mean acceleration of the mouth, px per frame²."""
    return float(landmarks[:, MOUTH].diff(n=2, dim=0).norm(dim=-1).mean())


def draw_sheet(path: Path, face: FaceModel, fit: Fit, detected: torch.Tensor, file: FrameFile, size: int) -> None:
    """First frame, widest mouth, furthest turns; real with detected (green) and fitted (red) points, render, paste."""
    chosen = [0, *(int(k) for k in (opening(detected).argmax(), fit.pose[:, 1].argmax(), fit.pose[:, 1].argmin()))]
    alone = {name: getattr(fit, name)[None] for name in ("identity", "camera", "albedo")}
    timed = {name: getattr(fit, name)[chosen][None] for name in ("expression", "pose", "light")}
    subject = Subject(speaker=("clip",), **alone, **timed)
    drawn = draw(face, subject.expression, subject, (size, size))
    real = file.frames(chosen).float() / 255
    pasted = torch.where(drawn.skin[0] > 0, drawn.image[0], real)
    marked = real.clone()
    fitted = landmarks_of(face, Geometry(fit.identity, fit.expression, fit.pose), size)
    for points, colour in ((detected, (0.0, 1.0, 0.0)), (fitted, (1.0, 0.0, 0.0))):
        for row, k in enumerate(chosen):
            x, y = points[k].floor().long().clamp(1, size - 2).unbind(-1)
            for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
                marked[row, :, y + dy, x + dx] = torch.tensor(colour)[:, None]
    rows = torch.cat([marked, drawn.image[0], pasted], -1)  # (4, 3, size, 3 · size)
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, (torch.cat(list(rows), 1).permute(1, 2, 0) * 255).byte().numpy(), check_contrast=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", default=["WDA_KatieHill_000", "may_5s", "retalk_2", "fullbody_1080x1920"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--face", default="ict")
    parser.add_argument("--sheet", type=Path, help="a folder for contact sheets, outside the repository")
    options = parser.parse_args()
    folder = Path(os.environ["VISEMIX_ASSETS"]) / "clips"
    face, tracker = FACE.build({"name": options.face}), TRACKER.build({"name": "mediapipe"})
    tracker(np.zeros((2, 64, 64, 3), np.uint8))  # imports
    clips = [folder / f"{name}.mp4" for name in options.clips]
    rows = [measure_clip(clip, face, tracker, options.size, options.sheet) for clip in clips]
    report("prepare", rows, size=options.size, face=options.face)


if __name__ == "__main__":
    main()
