"""Does training end to end lower the error around the mouth? Runs of experiments/mixed/joint.yaml beside their pair.

python benchmarks/joint.py [NAME=]RUN ... [--clips DIR]

Runs of one name are seeds: their mean and standard deviation are given. Every run is driven by the sound of what its
data holds out (the same stretches for all), and its pictures are compared with the recorded ones over a box around the
recorded mouth: mean absolute error of 8-bit values, and PSNR. `motion mm` is how far the opening of the inner lips is
from the recorded one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from _report import report
from torch import Tensor

from visemix.data.module import Span
from visemix.data.windows import gallery_before
from visemix.evaluation.heldout import held_out, read_config
from visemix.evaluation.spans import predict_motion, recorded_motion, render_motion
from visemix.face.layout import lips_apart
from visemix.generation import LoopedFootage
from visemix.metrics.region import landmark_box
from visemix.pipeline import TalkingFace
from visemix.types import Motion

MOUTH = slice(48, 68)
MARGIN = 0.25  # of the mouth's longer side, around it
MM = 100  # of a decimetre


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--clips", type=Path)
    args = parser.parse_args()
    found: dict[str, list[Tensor]] = {}
    for word in args.runs:
        name, _, path = word.rpartition("=")
        run = Path(path)
        model = TalkingFace.from_checkpoint(run)
        spans = held_out(read_config(run), model, True, args.clips)
        error, squared, lips = torch.stack([measured(model, span) for span in spans]).mean(0)
        psnr = 10 * torch.log10(255**2 / squared)
        found.setdefault(name or run.name, []).append(torch.stack([error, psnr, lips]))
    rows = []
    for name, seeds in found.items():
        values = torch.stack(seeds)
        row: dict[str, Any] = {"run": name, "seeds": len(seeds)}
        for k, column in enumerate(("mouth |Δ|", "PSNR", "motion mm")):
            spread = values[:, k].std().item() if len(seeds) > 1 else None
            row |= {column: values[:, k].mean().item(), f"{column} ±": spread}
        rows.append(row)
    frames = sum(len(span) for span in spans)
    report("joint", rows, clips=[span.clip.name for span in spans], frames=frames, margin=MARGIN)


def measured(model: TalkingFace, span: Span) -> Tensor:
    """Absolute and squared error of the pixels around the mouth, and the error of its opening, over one stretch."""
    footage = LoopedFootage(span.clip, len(span), start=span.start, gallery=gallery_before(span, model.render.gallery))
    spoken, true = predict_motion(model, span, footage), recorded_motion(span)
    points = span.clip.tensor("landmarks")[span.start : span.stop]
    pictures = torch.cat([video.frames[0] for video in render_motion(model, spoken, footage, 4)]).mul(255).round()
    errors = []
    for t, picture in enumerate(pictures):
        real = span.clip.footage([span.start + t])[0].mul(255).round()
        box = landmark_box(points[t, MOUTH], MARGIN, *picture.shape[-2:])
        assert box is not None
        left, top, right, bottom = box
        delta = (picture - real)[:, top:bottom, left:right]
        errors.append(torch.stack([delta.abs().mean(), delta.square().mean()]))
    person = footage.subject(torch.arange(len(span)), footage=False)

    def opening(motion: Motion) -> Tensor:
        return lips_apart(model.face.landmarks(motion, person)[0])

    lips = MM * (opening(spoken) - opening(true)).abs().mean()
    return torch.cat([torch.stack(errors).mean(0), lips[None]])


if __name__ == "__main__":
    main()
