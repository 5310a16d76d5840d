"""The landmark NeRF: how well a run shows its clip's held-out end, how fast, and how much faster than the paper's.

    python benchmarks/nerf.py RUN CLIP [--without RUN] [--seconds 2] [--rounds 5] [--share 1024] [--sheet sheet.png]

Quality: PSNR and SSIM of the last seconds, which training did not see, of the frame, of a box around the 68 landmarks
(`face`) and of the band of `BAND` of the picture's side around the edge between head and torso (`seam`), the latter
also in the quarter of the frames whose head pose is farthest from the mean (`seam, large pose`). `--without` names a
run with `head_aware: false` to compare.

Speed: one whole frame, head and torso, of the run's own grid; the vanilla networks at the paper's sizes on every
`share`-th ray of the same frame, times `share`: a whole frame of theirs takes ten minutes.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from _report import measure, report
from skimage.io import imsave
from torch import Tensor

from visemix.data import ClipFolder
from visemix.metrics.base import View
from visemix.metrics.image import Ssim
from visemix.ops.image import dilate
from visemix.ops.volume import camera_rays
from visemix.pipeline import TalkingFace
from visemix.render.heads import Seen
from visemix.render.landmark_nerf import LandmarkNeRF
from visemix.render.rays import box_of, pixel_centres
from visemix.types import FPS, Motion, Space, Subject

BAND = 0.03


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--without", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=int, default=1024)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    model = TalkingFace.from_checkpoint(args.run)
    clip = ClipFolder(args.clip, model.face)
    last = list(range(clip.frames - round(args.seconds * FPS), clip.frames))
    subject = clip.subject(last)
    rows = quality("head-aware" if args.without else "run", model, subject, clip, last, args.sheet)
    if args.without:
        rows += quality("without", TalkingFace.from_checkpoint(args.without), subject, clip, last, None)
    rows += speed(model, subject.at(torch.tensor([0])), args.rounds, args.share)
    notes = {"clip": clip.name, "size": clip.size, "frames": len(last), "share": args.share}
    report("nerf", rows, **notes, run=args.run.parent.name)


def quality(
    name: str, model: TalkingFace, subject: Subject, clip: ClipFolder, last: list[int], sheet: Path | None
) -> list[dict[str, object]]:
    assert subject.footage is not None and subject.labels is not None
    made = torch.cat(
        [
            model.draw(Motion(subject.expression[:, at], Space.EXPRESSION), subject.at(at)).frames[0]
            for at in torch.arange(len(last)).split(4)
        ]
    )
    truth, labels = subject.footage[0], subject.labels[0]
    error = (made - truth).square().mean(1)
    size = (clip.size, clip.size)
    face = box_of(clip.tensor("landmarks")[last], size, 0.05)
    seam = seams(labels, clip.size)
    away = (subject.pose[0] - subject.pose[0].mean(0))[:, :3].norm(dim=-1)
    far = away >= away.quantile(0.75)
    ssim = Ssim()
    for a, b in zip(made, truth, strict=True):
        ssim.update(*(View(x[None].mul(255).round().to(torch.uint8)) for x in (a, b)))
    if sheet:
        chosen = torch.linspace(0, len(last) - 1, 5).long()
        both = torch.cat([torch.cat(list(x[chosen]), -1) for x in (truth, made)], -2)
        imsave(sheet, both.mul(255).round().byte().permute(1, 2, 0).numpy(), check_contrast=False)
    everywhere = torch.ones_like(face)
    regions = {
        "frame": everywhere,
        "face": face,
        "head": labels == 2,
        "seam": seam,
        "seam, large pose": seam & far[:, None, None],
    }
    rows: list[dict[str, object]] = [
        {"what": name, "region": region, "psnr": psnr(error, where)} for region, where in regions.items()
    ]
    rows[0]["ssim"] = float(ssim.compute())
    return rows


def psnr(error: Tensor, where: Tensor) -> float:
    """Mean over frames."""
    per_frame = (error * where).flatten(1).sum(1) / where.flatten(1).sum(1).clamp(min=1)
    some = where.flatten(1).any(1)
    return float((-10 * per_frame[some].log10()).mean()) if some.any() else math.nan


def seams(labels: Tensor, size: int) -> Tensor:
    """The band in which head and torso meet."""
    reach = 2 * max(1, round(BAND * size / 2)) + 1
    head, torso = (dilate((labels == k).float()[:, None], reach, reach)[:, 0] > 0 for k in (2, 1))
    return head & torso


def speed(model: TalkingFace, subject: Subject, rounds: int, share: int) -> list[dict[str, object]]:
    own = model.render
    assert isinstance(own, LandmarkNeRF) and subject.background is not None
    motion = model.face.convert(Motion(subject.expression, Space.EXPRESSION), Space.LANDMARKS, subject)
    vanilla = LandmarkNeRF(model.face, compat="paper").eval()
    height, width = subject.background.shape[-2:]
    pixels = pixel_centres(height, width, subject.pose.device)[None, share // 2 :: share]
    plate = subject.background.flatten(2).mT[:, share // 2 :: share]
    code, pose = torch.zeros(1, 64), subject.pose[0]

    def few_rays() -> Seen:
        head = vanilla.head(*camera_rays(pixels, pose, subject.camera), code)[-1]
        return vanilla._torso(pixels, code, pose, subject.camera, plate, head, (height, width))[-1]

    samples = measure({"grid": lambda: own(motion, subject), "vanilla": few_rays}, rounds=rounds, warmup=1)
    factor = samples["vanilla"].over(samples["grid"]) * height * width / pixels.shape[1]
    return [
        {"what": "grid, one frame", **samples["grid"].row()},
        {"what": f"vanilla, {pixels.shape[1]} rays", **samples["vanilla"].row()},
        {"what": "vanilla frame / grid frame", "ratio": factor},
    ]


if __name__ == "__main__":
    main()
