"""Who paints real people best? Each renderer, trained on each clip but its last two seconds, paints these two seconds.

    visemix prepare VIDEO… --face ict --size 256 --out CLIPS
    python benchmarks/gaussians.py CLIPS [--clips anna,ben] [--methods gaussians,taft,landmark_nerf,mesh] [--seeds 3]
                                   [--runs DIR] [--sheets DIR [--motion CLIP] [--audio WAV --speaks RUN]] [key=value …]

The recorded motion drives, so that only the renderer is judged; nothing of the held-out frames but their fitted
motion, pose and torso motion (and, for what is pasted, the footage around the face) is seen. Regions: `hull` of the 68
tracked landmarks, boxes around them, the mouth and the eyes; the `neck`, a band along the jaw, also over the quarter of
the frames in which the head is turned furthest from its mean in training (`neck far`); the labels' torso. PSNR, SSIM
and a perceptual distance (`_perceptual.py`, of the face's box); `sharp` is how strong edges are, as a part of the
footage's; `flicker` how strongly the hull's pixels accelerate over time, as a part of the footage's. `gaussians` is
scored twice from the same run: `whole` pictures, and the `face` pasted over the footage as it is used. `key=value`
changes its experiment: `data.seconds=3` trains on no more than the last three seconds before the held-out ones.

A sheet for each person has the truth and every method in rows, 2.5 pictures a second; with `--motion` another
one, of everybody driven by what another clip's person did in its last two seconds, and with `--audio` one of everybody
driven by the motion model of the run `--speaks` that hears a sound; eyes stay the footage's in both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _driving import painted, recorded_of, spoken, with_own_eyes, write_sheet
from _perceptual import efflite_distance
from _regions import regions
from _report import report
from rich.console import Console
from scipy.ndimage import laplace
from skimage.metrics import structural_similarity
from torch import Tensor

from visemix.config import compose
from visemix.data import ClipFolder, find_clips
from visemix.ops.device import keep_memory
from visemix.pipeline import TalkingFace
from visemix.run import fit
from visemix.types import FPS

EXPERIMENTS = {
    "gaussians": "experiments/gaussians/person.yaml",
    "taft": "experiments/gsmoothface/person.yaml",
    "taft_gan": "experiments/gsmoothface/gan.yaml",
    "landmark_nerf": "experiments/geneface/person.yaml",
}
HELD = 2 * FPS
EVERY = 10  # frames from picture to picture of a sheet
ROOT = Path(__file__).parents[1]


def main() -> None:
    keep_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips_root", type=Path)
    parser.add_argument("--clips", default="")
    parser.add_argument("--methods", default="gaussians,mesh")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--speaks", type=Path)
    parser.add_argument("--name", default="gaussians")
    parser.add_argument("overrides", nargs="*", help="key=value for the experiment of gaussians")
    args = parser.parse_intermixed_args()
    if (args.audio is None) != (args.speaks is None) or ((args.motion or args.audio) and not args.sheets):
        parser.error("--audio and --speaks go together, and they and --motion want --sheets")
    distance = efflite_distance()
    rows: list[dict[str, Any]] = []
    for path in find_clips(args.clips_root):
        if args.clips and path.name not in args.clips.split(","):
            continue
        sheets: dict[str, dict[str, list[Tensor]]] = {}
        for method in args.methods.split(","):
            for seed in range(args.seeds if method == "gaussians" else 1):
                model, minutes = learnt(method, path, seed, args.runs, args.overrides if method == "gaussians" else [])
                for paste in ("whole", "face") if method == "gaussians" else (None,):
                    if paste:
                        model.render.paste = paste  # type: ignore[assignment]
                    name = f"{method} {paste}" if paste else method
                    scores, made = judged(model, path, distance)
                    rows.append({"clip": path.name, "method": name, "seed": seed, "cpu_min": minutes, **scores})
                    Console(stderr=True).print(rows[-1])
                    if args.sheets and seed == 0:
                        sheets.setdefault("", {})[name] = made
                        for way, pictures in otherwise(model, path, args).items():
                            sheets.setdefault(way, {})[name] = pictures
        for way, of in sheets.items():
            first = {"footage": held_out(path)} if not args.motion or "_by_" not in way else driver(args.motion)
            write_sheet(args.sheets / f"{path.name}{way}.png", first | of, EVERY)
    means = [
        mean_of(rows, clip, method)
        for clip in {r["clip"]: 0 for r in rows}
        for method in {r["method"]: 0 for r in rows}
    ]
    report(args.name, [row for row in means if row], rows_by_seed=rows, overrides=args.overrides)


def held_out(path: Path) -> list[Tensor]:
    clip = ClipFolder(path)
    return list(clip.footage(range(clip.frames - HELD, clip.frames)))


def driver(path: Path) -> dict[str, list[Tensor]]:
    """What is to be seen in a sheet of those whom a clip drives."""
    return {f"driven by {path.name}": recorded_of(ClipFolder(path), HELD)[1]}


def otherwise(model: TalkingFace, path: Path, args: argparse.Namespace) -> dict[str, list[Tensor]]:
    """A head driven by others, by the end of the sheet's name."""
    clip = ClipFolder(path, model.face)
    frames = range(clip.frames - HELD, clip.frames)
    motions = {}
    if args.motion:
        motions[f"_by_{args.motion.name}"] = recorded_of(ClipFolder(args.motion, model.face), HELD)[0]
    if args.audio:
        motions[f"_says_{args.audio.stem}"] = spoken(args.speaks, args.audio, clip, frames)
    ways = {way: with_own_eyes(model.face, motion, clip, frames) for way, motion in motions.items()}
    return {way: painted(model, clip, frames, motion) for way, motion in ways.items()}


def learnt(method: str, path: Path, seed: int, runs: Path, overrides: list[str]) -> tuple[TalkingFace, float | None]:
    """The trained model, and the processor minutes that its training took; None where it was trained before."""
    if method == "mesh":
        cfg = compose(ROOT / EXPERIMENTS["gaussians"], ["use.render=mesh"])
        return TalkingFace.from_config(cfg).eval(), 0.0
    where = [f"data.root={path.parent}", f"data.clips=[{path.name}]", f"seed={seed}", f"out={runs}"]
    cfg = compose(ROOT / EXPERIMENTS[method], [*where, *overrides])
    started, before = time.process_time(), time.time()
    run = fit(cfg)
    fresh = (run / "model.safetensors").stat().st_mtime > before
    return TalkingFace.from_checkpoint(run), (time.process_time() - started) / 60 if fresh else None


@torch.inference_mode()
def judged(model: TalkingFace, path: Path, distance: Any) -> tuple[dict[str, float], list[Tensor]]:
    clip = ClipFolder(path, model.face)
    frames = range(clip.frames - HELD, clip.frames)
    landmarks, labels, true = clip.tensor("landmarks"), clip.labels(frames), list(clip.footage(frames))
    made = painted(model, clip, frames)
    scores: dict[str, list[float]] = {}
    where = [regions(landmarks[t], labels[k]) for k, t in enumerate(frames)]
    far = furthest(clip.tensor("pose")[:, 1], frames)
    for k, masks in enumerate(where):
        found = compared(made[k], true[k], masks, distance)
        found |= {"neck far": found["neck"]} if k in far and "neck" in found else {}
        for name, value in found.items():
            scores.setdefault(name, []).append(value)
    hull = torch.stack([masks["hull"] for masks in where])
    still = hull[:-2] & hull[1:-1] & hull[2:]
    bend = [torch.stack(v).diff(n=2, dim=0).abs().mean(1)[still].mean() for v in (made, true)]
    mean = {name: round(float(np.mean(values)), 4) for name, values in scores.items()}
    return mean | {"flicker": round(float(bend[0] / bend[1]), 3)}, made


def furthest(yaw: Tensor, frames: range) -> set[int]:
    """The quarter of the frames, counted from 0, whose yaw is furthest from the mean before them."""
    apart = (yaw[frames.start : frames.stop] - yaw[: frames.start].mean()).abs()
    return {int(k) for k in apart.argsort(descending=True)[: len(frames) // 4]}


def compared(made: Tensor, true: Tensor, masks: dict[str, Tensor], distance: Any) -> dict[str, float]:
    error = (made - true).square().mean(0)
    a, b = (picture.permute(1, 2, 0).double().numpy() for picture in (made, true))
    _, similar = structural_similarity(a, b, channel_axis=-1, data_range=1, full=True)
    similar = torch.from_numpy(similar.mean(-1))
    found = {}
    for name, region in masks.items():
        if region.sum() > 20:
            found[name] = float(-10 * error[region].mean().clamp(min=1e-6).log10())
    for name in ("box", "hull", "mouth", "eyes"):
        found[f"ssim {name}"] = float(similar[masks[name]].mean())
    if distance is not None:
        rows, columns = (masks["box"].any(k).nonzero()[:, 0] for k in (1, 0))
        window = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        found["efflite"] = distance(made[window], true[window])
    edges = [laplace(picture.mean(-1))[masks["hull"].numpy()].std() for picture in (a, b)]
    return found | {"sharp": float(edges[0] / edges[1])}


def mean_of(rows: list[dict[str, Any]], clip: str, method: str) -> dict[str, Any]:
    mine = [row for row in rows if row["clip"] == clip and row["method"] == method]
    numbers = [key for key in mine[0] if key not in ("clip", "method", "seed")]
    means = {key: round(float(np.mean([row[key] for row in mine])), 3) for key in numbers if mine[0][key] is not None}
    return {"clip": clip, "method": method, "seeds": len(mine), **means}


if __name__ == "__main__":
    main()
