"""How well a run repaints a clip's own held-out end, over a box around the mouth, against doing less.

python benchmarks/quality.py RUN CLIP [--seconds 2] [--sheet sheet.png]

Every method is given the clip's own expression and pose in the last seconds, which training did not see:

- `taft`: the run's renderer;
- `blend`: the rendered face laid over the footage, which is what the renderer starts from;
- `frozen`: the true frame with the mouth of the reference frame (frame 0) moved over its mouth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from _report import report
from skimage.io import imsave
from torch import Tensor

from visemix.data import ClipFolder
from visemix.metrics.base import FrameBatch
from visemix.metrics.image import Psnr, Ssim, SsimRgb
from visemix.metrics.region import crop, landmark_box
from visemix.pipeline import TalkingFace
from visemix.types import FPS, Motion, Space

MOUTH = slice(48, 68)
MARGIN = 0.25  # of the mouth's longer side, around it
CHUNK = 5


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    model = TalkingFace.from_checkpoint(args.run)
    clip = ClipFolder(args.clip, model.face)
    last = torch.arange(clip.frames - round(args.seconds * FPS), clip.frames)
    points = clip.tensor("landmarks")
    videos: dict[str, list[Tensor]] = {"true": [], "taft": [], "blend": [], "frozen": []}
    reference = clip.footage([0])[0]
    for frames in last.split(CHUNK):
        subject = clip.subject(frames.tolist(), reference=0)
        assert subject.footage is not None
        motion = Motion(subject.expression, Space.EXPRESSION)
        videos["true"].append(subject.footage[0])
        videos["taft"].append(model.draw(motion, subject).frames[0])
        blending = model.render.blending  # type: ignore[union-attr]
        videos["blend"].append(blending(motion.values, subject, subject.footage).image[0])
        videos["frozen"] += [
            frozen(subject.footage[0, i], points[f], reference, points[0]) for i, f in enumerate(frames)
        ]
    made = {
        name: torch.cat([f if f.ndim == 4 else f[None] for f in parts]).mul(255).round().to(torch.uint8)
        for name, parts in videos.items()
    }
    rows = [
        {
            "method": name,
            "region": region,
            **score(made[name], made["true"], points[last] if region == "mouth" else None),
        }
        for region in ("mouth", "frame")
        for name in ("taft", "blend", "frozen")
    ]
    report("quality", rows, clip=clip.name, frames=len(last), size=clip.size, margin=MARGIN, run=args.run.parent.name)
    if args.sheet:
        chosen = torch.linspace(0, len(last) - 1, 6).long()
        rows_of = [torch.cat(list(made[name][chosen]), -1) for name in made]
        imsave(args.sheet, torch.cat(rows_of, 1).permute(1, 2, 0).numpy(), check_contrast=False)


def frozen(picture: Tensor, mouth: Tensor, reference: Tensor, reference_mouth: Tensor) -> Tensor:
    """The picture with the reference's mouth box laid over its own mouth, centre on centre."""
    height, width = picture.shape[-2:]
    shift = (mouth[MOUTH].mean(0) - reference_mouth[MOUTH].mean(0)).round().int()
    box = landmark_box(torch.cat([mouth[MOUTH], reference_mouth[MOUTH] + shift]), MARGIN, height, width)
    assert box is not None
    left, top, right, bottom = box
    rows = (torch.arange(top, bottom) - shift[1]).clamp(0, height - 1)
    columns = (torch.arange(left, right) - shift[0]).clamp(0, width - 1)
    out = picture.clone()
    out[:, top:bottom, left:right] = reference[:, rows][:, :, columns]
    return out


def score(fake: Tensor, real: Tensor, points: Tensor | None) -> dict[str, float]:
    metrics = {"psnr": Psnr(), "ssim": Ssim(), "ssim_rgb": SsimRgb()}
    for t in range(len(real)):
        pair = [FrameBatch(fake[t : t + 1]), FrameBatch(real[t : t + 1])]
        if points is not None:
            box = landmark_box(points[t, MOUTH], MARGIN, *real.shape[-2:])
            assert box is not None
            pair = [crop(batch, box) for batch in pair]
        for metric in metrics.values():
            metric.update(*pair)
    return {name: float(metric.compute()) for name, metric in metrics.items()}


if __name__ == "__main__":
    main()
