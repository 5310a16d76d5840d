"""What the demo shows at its end: videos, numbers, mouths, curves, and how they came about."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from jaxtyping import Float, UInt8
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from visemix import __version__
from visemix.demo.scores import Openings, Score, mouths, pictures
from visemix.ops.store import write_text
from visemix.pipeline import read_checkpoint
from visemix.report import Points, chart, heading, page, paragraph, picture, row, smooth, table, video
from visemix.training.logs import read_table
from visemix.types import FPS

COLUMNS, ZOOM = 8, 2  # pictures in a strip; how much larger mouths are shown
GOAL = 0.8


@dataclass(frozen=True)
class Told:
    """Everything the page is about."""

    videos: Mapping[str, Path]  # recorded, generated, still, other
    names: tuple[str, str]  # whose sentence it is, and who else says it
    landmarks: Float[Tensor, "T 68 2"]  # of the recorded sentence, pixels
    scores: Mapping[str, Score]  # generated, still
    openings: Mapping[str, Openings]  # by speaker
    runs: Mapping[str, Path]  # A2EP, TAFT
    seconds: Mapping[str, float]  # by phase
    config: DictConfig


def write_page(path: Path, told: Told) -> Path:
    """Write it as one file that needs no other."""
    hero, other = told.names
    blocks = [
        paragraph(
            f"A face was taught to speak, from nothing, in {sum(told.seconds.values()) / 60:.1f} minutes. "
            f"A2EP learned to move it by sound, TAFT to paint it into footage. Then {hero} said something that was "
            "held out of the training."
        ),
        paragraph(
            "Everything here is synthetic: the faces are the procedural `toy` head, the voices a synthesiser's. "
            "The pictures to learn from were drawn with the same mesh that TAFT is given, so "
            "these numbers show that the library works, not how well it does on real video.",
            note=True,
        ),
        row(
            [
                video(told.videos["generated"], f"Generated: {hero}, from sound (demo.mp4)"),
                video(told.videos["recorded"], f"Recorded: {hero}, the truth"),
                video(told.videos["other"], f"Generated: {other} with {hero}'s words"),
            ]
        ),
        heading("Numbers"),
        numbers(told),
        heading("Frames"),
        *strips(told),
        heading(f"How far {hero}'s mouth opens"),
        chart(curves(told.openings[hero]), "seconds", "between the inner lips (mm)"),
        table(
            ["speaker, held-out speech", "correlation r", "mean error (mm)"],
            [[name, o.correlation, o.error] for name, o in told.openings.items()],
        ),
        heading("Training"),
        *losses(told.runs),
        heading("What took how long"),
        table(["phase", "seconds"], [(n, round(s, 1)) for n, s in [*told.seconds.items(), ("all", total(told))]]),
        heading("What was trained, and where"),
        table(["", ""], facts(told)),
    ]
    return write_text(path, page("Visemix demo", blocks))


def numbers(told: Told) -> str:
    """The table of scores, beside those of a mouth that does not move."""
    made, still, (name, _) = told.scores["generated"], told.scores["still"], told.names
    opening = told.openings[name]
    rest = float(np.abs(opening.true - opening.true[0]).mean())
    rows: list[tuple[str | float | None, ...]] = [
        ("mouth opening, correlation with the truth", opening.correlation, None, "1", "higher"),
        ("mouth opening, mean error", opening.error, rest, "mm", "lower"),
        ("PSNR, mouth", made["psnr_mouth"], still["psnr_mouth"], "dB", "higher"),
        ("SSIM, mouth", made["ssim_mouth"], still["ssim_mouth"], "1", "higher"),
        ("PSNR, frame", made["psnr"], still["psnr"], "dB", "higher"),
        ("SSIM, frame", made["ssim"], still["ssim"], "1", "higher"),
    ]
    return table(["metric", "generated", "still mouth", "unit", "better"], rows)


def strips(told: Told) -> list[str]:
    """Frames of all four videos, then mouths of the first two, at the same moments."""
    hero, other = told.names
    captions = {
        "recorded": f"Recorded: {hero}",
        "generated": f"Generated from the sound: {hero}",
        "still": "The baseline: the same painter, the mouth of the clip's first frame",
        "other": f"Generated: {other} with {hero}'s words",
    }
    shown = [picture(strip(pictures(told.videos[name])), caption) for name, caption in captions.items()]
    for name, caption in (("recorded", "Recorded mouths"), ("generated", "Generated mouths")):
        cut = mouths(told.videos[name], told.landmarks)
        large = F.interpolate(cut.float(), scale_factor=ZOOM, mode="bicubic", antialias=True)
        shown.append(picture(strip(large.clamp(0, 255).to(torch.uint8)), caption))
    return shown


def strip(frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[np.ndarray, "H L 3"]:
    """Some of the frames side by side, evenly spread over time."""
    places = np.linspace(0, len(frames) - 1, COLUMNS + 2)[1:-1].round().astype(int)
    return torch.cat([frames[int(k)] for k in places], 2).permute(1, 2, 0).contiguous().numpy()


def curves(opening: Openings) -> dict[str, Points]:
    both = {"recorded": opening.true, "generated": opening.predicted}
    return {name: [(k / FPS, float(y)) for k, y in enumerate(values)] for name, values in both.items()}


def losses(runs: Mapping[str, Path]) -> list[str]:
    """The loss of each stage over its steps, in training (smoothed) and on what was held out."""
    charts = []
    for name, run in runs.items():
        rows = read_table(run / "metrics.csv")
        seen = {
            split: [(float(r["step"]), float(r["value"])) for r in rows if r["name"] == f"{key}/total"]
            for split, key in (("training", "train"), ("held out", "val"))
        }
        charts.append(
            chart(
                {"training": smooth(seen["training"], 5), "held out": seen["held out"]},
                "step",
                f"{name}, loss",
                log=True,
            )
        )
    return charts


def facts(told: Told) -> list[list[str]]:
    weights, notes = read_checkpoint(told.runs["TAFT"])
    count = {
        stage: sum(w.numel() for name, w in weights.items() if name.startswith(f"{stage}."))
        for stage in ("audio", "motion", "render")
    }
    cfg, parts = told.config, notes["config"]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    versions = {"visemix": __version__, "torch": torch.__version__, "lightning": lightning.__version__}
    versions["Python"] = platform.python_version()
    return [
        ["audio", f"{parts['audio']['name']}, {count['audio']:,} weights"],
        ["motion", f"{parts['motion']['name']}, {count['motion']:,} weights, {cfg.train.motion.steps} steps"],
        ["render", f"{parts['render']['name']}, {count['render']:,} weights, {cfg.train.render.steps} steps"],
        ["seed", str(cfg.seed)],
        ["runs", ", ".join(str(run) for run in told.runs.values())],
        ["machine", machine],
        ["versions", ", ".join(f"{name} {number}" for name, number in versions.items())],
    ]


def total(told: Told) -> float:
    return round(sum(told.seconds.values()), 1)
