"""The landmark NeRF: how well a run shows its clip's held-out end, how fast, and how much faster than the paper's.

    python benchmarks/nerf.py [RUN CLIP] [--without RUN] [--minutes 1.5] [--vanilla 6] [--rounds 3] [--share 1024]
                              [--sheet DIR]

Without RUN and CLIP a person of the corpus is made (20 s, 128²), and the grid trained. Minutes are of processor time.

quality: PSNR and SSIM of the last two seconds, which training did not see: of the frame, of a box around the 68
landmarks (`face`), of the head, and of the band of `BAND` of the picture's side around the edge between head and torso
(`seam`), the latter also in the quarter of the frames whose head pose is farthest from the mean (`seam, large pose`).
`--without` names a run with `head_aware: false`; else one is trained for `--minutes`, and one with it as long.
race: the grid, trained for `--minutes`, and the paper's vanilla networks, for `--vanilla` minutes; PSNR of both, and of
the empty background, which is all that a field shows that learns nothing, on every `PIXELS`-th held-out pixel.
speed: frames at 128² and 512² through the run's own grid; the vanilla networks at the paper's sizes on every `share`-th
ray of the same 512² frame, times `share`: a whole frame of theirs takes ten minutes.
memory: the largest resident set of a process that paints a few 512² frames, and of one that paints many.

`--sheet` writes held-out frames under their originals, and the neck at the largest pose with and without.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _report import measure, report
from skimage.io import imsave
from torch import Tensor
from torch.nn import functional as F

from visemix.corpus.make import corpus
from visemix.data import ClipFolder, find_clips
from visemix.data.windows import Span, TrainingWindows
from visemix.face import FACE, FaceModel
from visemix.generation import LoopedFootage
from visemix.metrics.base import FrameBatch
from visemix.metrics.image import Ssim
from visemix.ops.device import keep_memory
from visemix.ops.image import dilate
from visemix.pipeline import TalkingFace
from visemix.render import RENDER
from visemix.render.landmark_nerf import LandmarkNeRF
from visemix.render.rays import box_mask
from visemix.training.optim import StageOptions, optimiser, parameter_groups
from visemix.types import FPS, Motion, Space, Subject

BAND = 0.03
HELD = 2 * FPS  # frames at the clip's end
PIXELS = 37
OPTIONS: dict[str, dict[str, Any]] = {
    "grid": {"rays": 1024},
    "without": {"rays": 1024, "head_aware": False},
    "vanilla": {"rays": 64, "compat": "paper"},
}
RATES = {"grid": 2e-3, "without": 2e-3, "vanilla": 5e-4}
LENGTHS = (12, 48)  # frames


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--without", type=Path)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--vanilla", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=int, default=1024)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        sys.stdout.write(str(paint(args.run, args.clip, args.peak)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run, clip = args.run or Path(folder), args.clip
        if clip is None:
            corpus(Path(folder) / "clips", speakers=1, minutes=1 / 3)
            (clip,) = find_clips(Path(folder) / "clips")
        face = FACE.build({"name": ClipFolder(clip).meta["face"]["name"]})
        footage = ClipFolder(clip, face)
        minutes = {"grid": args.minutes, "vanilla": args.vanilla}
        made = {name: train(face, footage, name, limit) for name, limit in minutes.items()}
        if args.without is None:
            made["without"] = train(face, footage, "without", args.minutes)
        if args.run is None:
            whole(face, made["grid"][0]).save(run / "model.safetensors")
        model = TalkingFace.from_checkpoint(run)
        compared = {} if args.run is None else {"run": own(model)}
        if args.without is None:  # only equally long trainings say anything
            compared |= {"head-aware": made["grid"][0], "without": made["without"][0]}
        else:
            compared["without"] = own(TalkingFace.from_checkpoint(args.without))
        rows = race(face, footage, {name: (*made[name], limit) for name, limit in minutes.items()})
        rows += quality(face, compared, footage, args.sheet)
        rows += speed(model, footage, args.rounds, args.share)
        rows += memory(run, clip)
    notes: dict[str, Any] = {"clip": footage.name, "size": footage.size, "minutes": args.minutes, "share": args.share}
    notes |= {"vanilla": args.vanilla}
    report("nerf", rows, **notes, run=args.run.name if args.run else "made here")


def train(face: FaceModel, clip: ClipFolder, name: str, minutes: float) -> tuple[LandmarkNeRF, int]:
    """A renderer trained on all but the clip's end for so long, and in how many steps; the rate falls as a cosine."""
    torch.manual_seed(0)
    render = RENDER.build({"name": "landmark_nerf", **OPTIONS[name]}, face).train()
    assert isinstance(render, LandmarkNeRF)
    options = StageOptions(lr=RATES[name], betas=(0.9, 0.99), eps=1e-12)
    optim = optimiser(parameter_groups(render, options), options)
    rates = [group["lr"] for group in optim.param_groups]
    windows = TrainingWindows([Span(clip, 0, clip.frames - HELD)], 3, 10, frames=True)
    steps, began = 0, time.process_time()
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        example = windows[steps % len(windows)]
        assert example.video is not None
        motion = face.convert(example.motion, Space.LANDMARKS, example.subject)
        for group, rate in zip(optim.param_groups, rates, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))
        optim.zero_grad()
        torch.stack(list(render.loss(motion, example.subject, example.video).values())).sum().backward()
        optim.step()
        steps += 1
    return render.eval(), steps


def whole(face: FaceModel, render: LandmarkNeRF) -> TalkingFace:
    """The renderer in a pipeline that can be saved."""
    aware = getattr(render.torso, "colours", None) is not None
    parts: dict[str, Any] = {"audio": {"name": "mel"}, "motion": {"name": "regression"}}
    model = TalkingFace.from_config(
        parts | {"face": {"name": face.name}, "render": {"name": "landmark_nerf", "head_aware": aware}}
    )
    model.render.load_state_dict(render.state_dict())
    return model.eval()


def own(model: TalkingFace) -> LandmarkNeRF:
    assert isinstance(model.render, LandmarkNeRF)
    return model.render


def scene(
    render: LandmarkNeRF, face: FaceModel, clip: ClipFolder, frame: int, size: int | None = None
) -> tuple[Motion, Subject]:
    """A frame of the footage and the recorded motion around it, in a picture of another size where asked."""
    around = [min(max(k, 0), clip.frames - 1) for k in range(frame - render.context, frame + render.context + 1)]
    near, subject = clip.subject(around, footage=False), clip.subject([frame])
    motion = face.convert(Motion(near.expression, Space.EXPRESSION), Space.LANDMARKS, near)
    return motion, subject if size is None else resized(subject, size)


def resized(subject: Subject, size: int) -> Subject:
    assert subject.background is not None
    factor = size / subject.background.shape[-1]
    plate = F.interpolate(subject.background, (size, size), mode="bilinear", antialias=True)
    return replace(subject, camera=subject.camera * factor, background=plate, labels=None, footage=None)


@torch.inference_mode()
def race(face: FaceModel, clip: ClipFolder, made: dict[str, tuple[LandmarkNeRF, int, float]]) -> list[dict[str, Any]]:
    at = torch.arange(PIXELS // 2, clip.size**2, PIXELS * (clip.size // 128) ** 2)
    rows: list[dict[str, Any]] = []
    bare = []
    for name, (render, steps, minutes) in made.items():
        errors = []
        for frame in range(clip.frames - HELD, clip.frames, HELD // 5):
            motion, subject = scene(render, face, clip, frame)
            assert subject.footage is not None and subject.background is not None
            truth = subject.footage[0, 0].flatten(1)[:, at].mT
            errors.append((render.render_pixels(motion, subject, at)[0] - truth).square())
            bare.append((subject.background[0].flatten(1)[:, at].mT - truth).square())
        error = torch.stack(errors).mean()
        rows.append({"what": f"{name}, {minutes:g} min of training", "steps": steps, "psnr": decibels(error)})
    return [*rows, {"what": "the empty background", "psnr": decibels(torch.stack(bare).mean())}]


def decibels(error: Tensor) -> float:
    return float(-10 * error.log10())


@torch.inference_mode()
def quality(
    face: FaceModel, renders: dict[str, LandmarkNeRF], clip: ClipFolder, sheet: Path | None
) -> list[dict[str, Any]]:
    last = list(range(clip.frames - HELD, clip.frames, max(1, clip.size // 128)))
    subject = clip.subject(last)
    assert subject.footage is not None and subject.labels is not None
    truth, labels, size = subject.footage[0], subject.labels[0], (clip.size, clip.size)
    box, seam = box_mask(clip.tensor("landmarks")[last], size, 0.05), seams(labels, clip.size)
    away = (subject.pose[0] - subject.pose[0].mean(0))[:, :3].norm(dim=-1)
    far = away >= away.quantile(0.75)
    regions = {
        "frame": torch.ones_like(box),
        "face": box,
        "head": labels == 2,
        "seam": seam,
        "seam, large pose": seam & far[:, None, None],
    }
    rows: list[dict[str, Any]] = []
    drawn = {}
    for name, render in renders.items():
        drawn[name] = made = torch.cat([render(*scene(render, face, clip, frame)).frames[0] for frame in last])
        error = (made - truth).square().mean(1)
        rows += [{"what": name, "region": region, "psnr": psnr(error, where)} for region, where in regions.items()]
        rows[-len(regions)]["ssim"] = ssim(made, truth)
    if sheet:
        sheet.mkdir(parents=True, exist_ok=True)
        columns = torch.linspace(0, len(last) - 1, 5).long()
        picture(sheet / "frames.png", [truth[columns], *(made[columns] for made in drawn.values())])
        at = int(away.argmax())
        y = int(seam[at].nonzero()[:, 0].float().mean()) if seam[at].any() else clip.size // 2
        top = min(max(0, y - clip.size // 6), clip.size - clip.size // 3)
        necks = [frames[at : at + 1, :, top : top + clip.size // 3] for frames in (truth, *drawn.values())]
        picture(sheet / "neck.png", [F.interpolate(neck, scale_factor=4) for neck in necks])
    return rows


def picture(path: Path, rows: list[Tensor]) -> None:
    sheet = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
    imsave(path, sheet.mul(255).round().byte().permute(1, 2, 0).numpy(), check_contrast=False)


def ssim(made: Tensor, truth: Tensor) -> float:
    metric = Ssim()
    for a, b in zip(made, truth, strict=True):
        metric.update(*(FrameBatch(x[None].mul(255).round().to(torch.uint8)) for x in (a, b)))
    return float(metric.compute())


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


@torch.inference_mode()
def speed(model: TalkingFace, clip: ClipFolder, rounds: int, share: int) -> list[dict[str, Any]]:
    keep_memory()
    grid, vanilla = own(model), LandmarkNeRF(model.face, compat="paper").eval()
    small, large = (scene(grid, model.face, clip, clip.frames - 1, size) for size in (128, 512))
    at = torch.arange(share // 2, 512**2, share)
    work = {
        "small": lambda: grid(*small),
        "large": lambda: grid(*large),
        "vanilla": lambda: vanilla.render_pixels(*large, at),
    }
    samples = measure(work, rounds=rounds, warmup=1)
    return [
        {"what": "grid, a frame of 128²", **samples["small"].row(), "frames/s": 1 / samples["small"].median},
        {"what": "grid, a frame of 512²", **samples["large"].row(), "frames/s": 1 / samples["large"].median},
        {"what": f"vanilla, {len(at)} rays of 512²", **samples["vanilla"].row()},
        {"what": "vanilla frame / grid frame, 512²", "ratio": samples["vanilla"].over(samples["large"]) * share},
    ]


def memory(run: Path, clip: Path) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, str(run), str(clip), "--peak"]
    peaks = {n: int(subprocess.run([*command, str(n)], capture_output=True, check=True).stdout) for n in LENGTHS}
    return [{"what": f"peak memory, {n} frames of 512²", "MiB": peak / 1024} for n, peak in peaks.items()]


class Large(LoopedFootage):
    """The clip's footage, in pictures of 512²."""

    def subject(self, frames: Tensor, *, footage: bool = True) -> Subject:
        subject = super().subject(frames, footage=footage)
        return resized(subject, 512) if footage else subject


@torch.inference_mode()
def paint(run: Path, path: Path, frames: int) -> int:
    """Paint so many frames as `generate` does, and answer this process's largest resident set, in KiB."""
    model = TalkingFace.from_checkpoint(run)
    clip = ClipFolder(path, model.face)
    keep_memory()
    target = Large(clip, frames)
    still = target.subject(torch.arange(frames), footage=False)
    for _ in model.stream_video([still.expression], Space.EXPRESSION, still, target):
        pass
    status = Path("/proc/self/status").read_text("utf-8")  # getrusage would answer for who began this process, too
    return int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
