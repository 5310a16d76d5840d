"""How well a clip's fit says which point of the face is where: a training frame, moved by the mesh, on a held-out one.

python benchmarks/registration.py CLIP … [--json OUT]     (made by visemix prepare, with --refine none and dense)

Every third held-out frame meets the training frame whose landmarks are nearest to its own. `left px` is what optical
flow (DIS) still finds between the two on skin that does not talk, median, in pixels of a 512² picture; `pattern px` the
same after taking off the light, on the half of that skin with the more pattern: on plain and shiny skin flow follows
the light. The PSNRs are of the moved frame on that skin, on its part between the detected landmarks (whatever the mesh
covers), and in the mouth. Target: 1.0 px or less. `before px` pairs each held-out frame with the frame before it
instead: what flow finds where next to nothing has changed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import numpy as np
import torch
from _report import report
from torch import Tensor
from torch.nn import functional as F

from visemix.data import ClipFolder
from visemix.face import FACE, FaceModel, layout
from visemix.face.shading import landmarks_2d, posed
from visemix.ops.camera import project
from visemix.ops.raster import rasterise
from visemix.types import FPS

STANDARD = 512  # pixels a side in which distances are stated
EYES = (slice(36, 42), slice(42, 48))


@torch.inference_mode()
def measure_clip(path: Path, held: int) -> dict[str, Any]:
    plain = ClipFolder(path)
    face = FACE.build({"name": plain.meta["face"]["name"]})
    clip = ClipFolder(path, face)
    subject = clip.subject(range(clip.frames), footage=False)
    seen = torch.zeros(clip.frames, dtype=torch.bool)
    for part in clip.visible_ranges:
        seen[part.start : part.stop] = True
    points = project(posed(face, subject.expression, subject), subject.camera[:, None].expand(1, clip.frames, 3))[0]
    spots = landmarks_2d(face, subject.expression, subject)[0]
    train = seen[: clip.frames - held].nonzero()[:, 0]
    rows, before = [], []
    for t in range(clip.frames - held, clip.frames, 3):
        if seen[t]:
            near = int(train[(spots[train] - spots[t]).norm(dim=-1).mean(-1).argmin()])
            rows.append(compare(face, clip, points[near], points[t], near, t))
            before.append(compare(face, clip, points[t - 1], points[t], t - 1, t)["left px"])
    fit = clip.meta["fit"]
    row = {name: mean(row[name] for row in rows) for name in rows[0]}
    names = {"opening_r": "mouth_opening_r", "inner_px": "inner_mouth_px", "all_px": "reprojection_px"}
    rest = {short: fit[name] for short, name in names.items()}
    jumps = subject.pose[0].diff(n=2, dim=0).square().mean(0).sqrt()
    rest |= {"before px": mean(before), "turn jumps mrad": 1e3 * float(jumps[:3].mean()), "pairs": len(rows)}
    return {"clip": clip.name, "refined": "flow_px" in fit, **row, **rest}


def compare(face: FaceModel, clip: ClipFolder, source: Tensor, target: Tensor, near: int, t: int) -> dict[str, float]:
    """What is left between frame `near`, moved by the mesh, and frame `t`."""
    size = clip.size
    real, moved_from = clip.footage([t])[0], clip.footage([near])
    drawn = rasterise(target[None], face.closed_skin, source[None, :, :2].contiguous(), (size, size))
    grid = (drawn.attributes / size * 2 - 1).permute(0, 2, 3, 1)
    moved = F.grid_sample(moved_from, grid, align_corners=False, padding_mode="border")[0]
    inside = cv2.erode(drawn.coverage[0, 0].numpy(), np.ones((9, 9))) > 0
    marks = clip.tensor("landmarks")[t]
    mouth = _hull(marks[layout.MOUTH], size, 15)
    still = inside & ~mouth & ~_hull(marks[EYES[0]], size, 9) & ~_hull(marks[EYES[1]], size, 9)
    between = still & ~cv2.dilate((~_hull(marks, size, 1)).astype(np.uint8), np.ones((15, 15))).astype(bool)
    a, b = _grey(moved), _grey(real)
    far = _flow(a, np.where(inside, b, a)) * STANDARD / size
    a, b = (_level(picture, inside, size) for picture in (a, b))
    across, down = (cv2.Sobel(b, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    detail = cv2.GaussianBlur(np.hypot(across, down), (0, 0), size / 128)
    pattern = still & (detail > np.median(detail[still]))
    error = (moved - real).square().mean(0).numpy()
    return {
        "left px": float(np.median(far[still])),
        "95 % px": float(np.quantile(far[still], 0.95)),
        "pattern px": float(np.median(_flow(a, b)[pattern])) * STANDARD / size,
        "mouth px": float(np.median(far[mouth & inside])),
        "still dB": float(-10 * np.log10(error[still].mean())),
        "between dB": float(-10 * np.log10(error[between].mean())),
        "mouth dB": float(-10 * np.log10(error[mouth & inside].mean())),
    }


def _flow(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Length of the flow, pixels."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(target, source, None)
    return np.hypot(flow[..., 0], flow[..., 1])


def _level(picture: np.ndarray, inside: np.ndarray, size: int) -> np.ndarray:
    """Brightness in per cent of that of the surroundings."""
    grey, mask = picture.astype(np.float32), inside.astype(np.float32)
    whole, part = (cv2.GaussianBlur(x, (0, 0), size / 36) for x in (grey * mask, mask))
    level = 100 * grey / np.maximum(whole / np.maximum(part, 1e-3), 4)
    return np.where(inside, level.clip(0, 255), 0).astype(np.uint8)


def _hull(points: Tensor, size: int, wider: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.numpy().astype(np.int32)), 1)
    return cv2.dilate(mask, np.ones((wider, wider))) > 0


def _grey(picture: Tensor) -> np.ndarray:
    return (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None] * 255).sum(0).numpy().astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--holdout", type=float, default=2.0, help="seconds at the end that are not trained on")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    options = parser.parse_args()
    rows = [measure_clip(path, round(options.holdout * FPS)) for path in options.clips]
    path = report("registration", rows, holdout=options.holdout)
    if options.json:
        options.json.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
