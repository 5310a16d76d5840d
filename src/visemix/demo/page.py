"""The page of the demo: videos, numbers, mouths, curves, and how they came about."""

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
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from visemix import __version__
from visemix.data import read_video
from visemix.demo.scores import Openings, Score, mouths
from visemix.ops.store import write_text
from visemix.pipeline import TalkingFace
from visemix.report import Points, chart, heading, page, paragraph, picture, row, smooth, table, video
from visemix.training.logs import read_table
from visemix.types import FPS

COLUMNS, ZOOM = 8, 2  # pictures in a strip; how much larger mouths are shown


@dataclass(frozen=True)
class DemoResults:
    """Videos, scores, curves and facts that the page shows."""

    videos: Mapping[str, Path]  # recorded, gaussians, taft, still, other
    names: tuple[str, str]  # whose sentence it is, and who else says it
    landmarks: Float[Tensor, "T 68 2"]  # of the recorded sentence, pixels
    scores: Mapping[str, Score]  # gaussians, taft, still
    openings: Mapping[str, Openings]  # by speaker
    runs: Mapping[str, Path]  # A2EP, TAFT, Gaussians
    seconds: Mapping[str, float]  # by phase
    resumed: bool  # whether some of it was there already, so that the seconds are not those of all


def write_page(path: Path, results: DemoResults) -> Path:
    """Write it as one file that needs no other."""
    hero, other = results.names
    took = "" if results.resumed else f", in {sum(results.seconds.values()) / 60:.1f} minutes"
    blocks = [
        paragraph(
            f"A face was taught to speak, from nothing{took}. "
            f"A2EP learned from {len(results.openings)} speakers to move it by sound. Gaussians on the triangles of "
            f"{hero}'s face learned to paint {hero}, and TAFT to paint any of the speakers. Then {hero} said something "
            "that was held out of all training, painted by both over the pictures that were recorded with it."
        ),
        paragraph(
            "Everything here is synthetic: the faces are the procedural `toy` head, the voices a synthesiser's. "
            "The pictures to learn from were drawn with the same mesh that both painters are given, so "
            "these numbers show that the library works, not how well it does on real video.",
            note=True,
        ),
        row(
            [
                video(results.videos["gaussians"], f"Gaussians: {hero}, from sound (demo.mp4)"),
                video(results.videos["recorded"], f"Recorded: {hero}, the truth"),
                video(results.videos["taft"], f"TAFT: {hero}, from sound"),
                video(results.videos["other"], f"TAFT: {other} with {hero}'s words"),
            ]
        ),
        heading("Numbers"),
        numbers(results),
        heading("Frames"),
        *strips(results),
        heading(f"How far {hero}'s mouth opens"),
        chart(curves(results.openings[hero]), "seconds", "between the inner lips (mm)"),
        table(
            ["speaker, held-out speech", "correlation r", "mean error (mm)"],
            [[name, o.correlation, o.error] for name, o in results.openings.items()],
        ),
        heading("Training"),
        *losses(results.runs),
        heading("What took how long"),
        *([paragraph("Some of it was there already and took no time.", note=True)] if results.resumed else []),
        table(["phase", "seconds"], [(n, round(s, 1)) for n, s in [*results.seconds.items(), ("all", total(results))]]),
        heading("What was trained, and where"),
        table(["", ""], facts(results)),
    ]
    return write_text(path, page("Visemix demo", blocks))


def numbers(results: DemoResults) -> str:
    """The table of scores, beside those of a mouth that does not move."""
    opening = results.openings[results.names[0]]
    rest = float(np.abs(opening.true - opening.true[0]).mean())
    rows: list[tuple[str | float | None, ...]] = [
        ("mouth opening, correlation with the truth", opening.correlation, opening.correlation, None, "1", "higher"),
        ("mouth opening, mean error", opening.error, opening.error, rest, "mm", "lower"),
    ]
    for key, name, unit in (
        ("psnr_mouth", "PSNR, mouth", "dB"),
        ("ssim_mouth", "SSIM, mouth", "1"),
        ("psnr", "PSNR, frame", "dB"),
        ("ssim", "SSIM, frame", "1"),
    ):
        rows.append((name, *(results.scores[video][key] for video in ("gaussians", "taft", "still")), unit, "higher"))
    return table(["metric", "Gaussians", "TAFT", "still mouth", "unit", "better"], rows)


def strips(results: DemoResults) -> list[str]:
    """Frames of all five videos, then mouths of the first three, at the same moments."""
    hero, other = results.names
    captions = {
        "recorded": f"Recorded: {hero}",
        "gaussians": f"Gaussians, from the sound: {hero}",
        "taft": f"TAFT, from the sound: {hero}",
        "still": "The baseline: the Gaussians again, the mouth of the clip's first frame",
        "other": f"TAFT: {other} with {hero}'s words",
    }
    shown = [picture(strip(read_video(results.videos[name])), caption) for name, caption in captions.items()]
    for name, caption in (("recorded", "Recorded"), ("gaussians", "The Gaussians'"), ("taft", "TAFT's")):
        cut = mouths(results.videos[name], results.landmarks)
        large = F.interpolate(cut.float(), scale_factor=ZOOM, mode="bicubic", antialias=True)
        shown.append(picture(strip(large.clamp(0, 255).to(torch.uint8)), f"{caption} mouths"))
    return shown


def strip(frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[np.ndarray, "H L 3"]:
    """Some of the frames side by side, evenly spread over time."""
    places = np.linspace(0, len(frames) - 1, COLUMNS + 2)[1:-1].round().astype(int)
    return torch.cat([frames[int(k)] for k in places], 2).permute(1, 2, 0).contiguous().numpy()


def curves(opening: Openings) -> dict[str, Points]:
    """How far the mouth opens (millimetres) over seconds, recorded and generated."""
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


def facts(results: DemoResults) -> list[list[str]]:
    """Rows of name and value: what was trained and for how long, its size, seed, folders, machine and versions."""
    trained = []
    for name, run in results.runs.items():
        cfg, model = OmegaConf.load(run / "config.yaml"), TalkingFace.from_checkpoint(run)
        (stage,) = cfg.fit
        trained.append([stage, f"{name}, {weights(model.stages()[stage])}, {cfg.train[stage].steps} steps"])
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    versions = {"visemix": __version__, "torch": torch.__version__, "lightning": lightning.__version__}
    versions["Python"] = platform.python_version()
    return [
        ["audio", f"{cfg.audio.name}, {weights(model.audio)}"],
        *trained,
        ["seed", str(cfg.seed)],
        ["runs", ", ".join(str(run) for run in results.runs.values())],
        ["machine", machine],
        ["versions", ", ".join(f"{name} {number}" for name, number in versions.items())],
    ]


def weights(part: nn.Module) -> str:
    """How many weights a part has, in words."""
    return f"{sum(weight.numel() for weight in part.parameters()):,} weights"


def total(results: DemoResults) -> float:
    """Seconds of all phases together, to a tenth."""
    return round(sum(results.seconds.values()), 1)
