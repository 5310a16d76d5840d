"""Does the mouth of a NeRF's video open as the landmarks say that drive it?

    python benchmarks/follow.py RUN CLIP [SOUND] [--start 0] [--seconds 4] [--size 256] [--sheet sheet.png]

Without SOUND the clip's own motion drives it. What is compared is the distance of the inner lips: of the driving
landmarks themselves, before any pose, and as a tracker finds it in the rendered frames. A tracker's answer hangs on the
pose, too: as a head bows by 0.1 rad, it sees an unmoved mouth open by an eighth of what speech does. So there are two
rows: with the head poses of the footage, and with that of its first frame held. The third is the shaded mesh, driven
alike and held still: what the instrument itself makes of the motion.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _report import report
from nerf import resized
from skimage.io import imsave
from torch import Tensor
from torch.nn import functional as F

from visemix.data import ClipFolder
from visemix.data.sound import read_sound
from visemix.generation import LoopedFootage
from visemix.metrics import mouth_opening
from visemix.pipeline import TalkingFace, whole_frames
from visemix.prepare.track import TRACKER
from visemix.render import RENDER
from visemix.render.conditions import pad_context
from visemix.types import FPS, SAMPLES_PER_FRAME, Motion, Space, Speech, Subject

TRACKED = 512  # pixels: what frames are magnified to before they are tracked
INNER = (slice(61, 64), slice(65, 68))  # the inner lips, above and below


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("sound", type=Path, nargs="?")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    model = TalkingFace.from_checkpoint(args.run)
    clip = ClipFolder(args.clip, model.face)
    count = round(args.seconds * FPS)
    footage = LoopedFootage(clip, count, start=round(args.start * FPS))
    subject = resized(replace(footage.subject(torch.arange(count)), footage=None, labels=None), args.size)
    motion = Motion(subject.expression, Space.EXPRESSION)
    if args.sound:
        speech = Speech(whole_frames(read_sound(args.sound))[None, : count * SAMPLES_PER_FRAME])
        motion = model.predict_motion(model.audio(speech), subject)
    driving = model.face.convert(motion, Space.LANDMARKS, subject)
    points = driving.values.unflatten(-1, (68, 3))[0, ..., 1]
    wanted = points[:, INNER[0]].mean(1) - points[:, INNER[1]].mean(1)
    calm = model.smooth_poses(subject)
    held = replace(subject, pose=subject.pose[:, :1].expand_as(subject.pose))
    made = {"its own poses": painted(model, driving, calm), "one pose held": painted(model, driving, held)}
    mesh = RENDER.build({"name": "mesh", "over": "black"}, model.face).eval()
    expression = model.face.convert(driving, Space.EXPRESSION, subject)
    made["the mesh, one pose held"] = mesh(expression, held).frames[0]
    rows = []
    for name, frames in made.items():
        seen = tracked(frames)
        there = ~seen.isnan()
        pair = torch.stack([wanted[there], seen[there]])
        row = {"head": name, "r": pair.corrcoef()[0, 1].item(), "spread": seen[there].std().item()}
        rows.append({**row, "frames": int(there.sum())})
    report("follow", rows, clip=clip.name, run=str(args.run), sound=args.sound.name if args.sound else "its own motion")
    if args.sheet:
        chosen = torch.linspace(0, count - 1, 8).long()
        sheet = torch.cat([torch.cat(list(frames[chosen]), -1) for frames in made.values()], 1)
        imsave(args.sheet, sheet.mul(255).byte().permute(1, 2, 0).numpy(), check_contrast=False)


def painted(model: TalkingFace, driving: Motion, subject: Subject) -> Tensor:
    """Frame after frame, each with its neighbours' landmarks."""
    context = model.render.context
    around = pad_context(driving.values, subject.frames, context)
    frames = []
    for k in range(subject.frames):
        window = Motion(around[:, k : k + 2 * context + 1], driving.space)
        frames.append(model.render(window, subject.at(torch.tensor([k]))).frames[0])
    return torch.cat(frames)


def tracked(frames: Tensor) -> Tensor:
    large = F.interpolate(frames, (TRACKED, TRACKED), mode="bilinear").clamp(0, 1).mul(255).byte()
    (track,) = TRACKER.build({"name": "mediapipe"})(np.ascontiguousarray(f.permute(1, 2, 0).numpy()) for f in large)
    return mouth_opening(torch.as_tensor(np.asarray(track.landmarks)).float())


if __name__ == "__main__":
    main()
