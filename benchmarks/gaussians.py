"""Who paints real people best? Each renderer, trained on each clip but its last two seconds, paints these two seconds.

    visemix prepare VIDEO… --face ict --size 256 --out CLIPS
    python benchmarks/gaussians.py CLIPS [--clips anna,ben] [--methods gaussians,taft,landmark_nerf,mesh] [--seeds 3]
                                   [--runs DIR] [--sheets DIR] [key=value …]

The recorded motion drives, so that only the renderer is judged; nothing of the held-out frames but their fitted
motion, pose and torso motion (and, for what is pasted, the footage around the face) is seen. Regions: `hull` of the
68 tracked landmarks, boxes around them, the mouth and the eyes; the labels' torso. PSNR, SSIM and a perceptual
distance (`_perceptual.py`, of the face's box); `sharp` is how strong edges are, as a part of the footage's; `flicker`
how strongly the hull's pixels accelerate over time, as a part of the footage's. `gaussians` is scored twice from the
same run: `whole` pictures, and the `face` pasted over the footage as it is used. `key=value` changes its experiment:
`data.seconds=3` trains on no more than the last three seconds before the held-out ones.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _perceptual import efflite_distance
from _report import report
from rich.console import Console
from scipy.ndimage import laplace
from skimage.draw import polygon2mask
from skimage.io import imsave
from skimage.metrics import structural_similarity
from skimage.morphology import convex_hull_image
from torch import Tensor

from visemix.config import compose
from visemix.data import ClipFolder, find_clips
from visemix.data.windows import Span, gallery_before
from visemix.face import layout
from visemix.pipeline import TalkingFace
from visemix.render.rays import box_of
from visemix.run import fit
from visemix.types import FPS, Motion, Space

EXPERIMENTS = {
    "gaussians": "experiments/gaussians/person.yaml",
    "taft": "experiments/gsmoothface/person.yaml",
    "landmark_nerf": "experiments/geneface/person.yaml",
}
HELD = 2 * FPS
ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips_root", type=Path)
    parser.add_argument("--clips", default="")
    parser.add_argument("--methods", default="gaussians,mesh")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--name", default="gaussians")
    parser.add_argument("overrides", nargs="*", help="key=value for the experiment of gaussians")
    args = parser.parse_intermixed_args()
    distance = efflite_distance()
    rows: list[dict[str, Any]] = []
    for path in find_clips(args.clips_root):
        if args.clips and path.name not in args.clips.split(","):
            continue
        pictures: dict[str, list[Tensor]] = {}
        for method in args.methods.split(","):
            for seed in range(args.seeds if method == "gaussians" else 1):
                model, minutes = learnt(method, path, seed, args.runs, args.overrides if method == "gaussians" else [])
                for paste in ("whole", "face") if method == "gaussians" else (None,):
                    if paste:
                        model.render.paste = paste  # type: ignore[assignment]
                    name = f"{method} {paste}" if paste else method
                    scores, made = judged(model, path, distance)
                    rows.append({"clip": path.name, "method": name, "seed": seed, "cpu_min": minutes, **scores})
                    pictures.setdefault(name, made)
                    Console(stderr=True).print(rows[-1])
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            write_sheet(args.sheets / f"{path.name}.png", pictures)
    means = [
        mean_of(rows, clip, method)
        for clip in {r["clip"]: 0 for r in rows}
        for method in {r["method"]: 0 for r in rows}
    ]
    report(args.name, [row for row in means if row], rows_by_seed=rows, overrides=args.overrides)


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
    landmarks, context = clip.tensor("landmarks"), model.render.context
    gallery = gallery_before(Span(clip, frames.start, frames.stop), model.render.gallery)
    scores: dict[str, list[float]] = {}
    made, true = [], []
    for t in frames:
        around = [min(max(k, 0), clip.frames - 1) for k in range(t - context, t + context + 1)]
        motion = Motion(clip.subject(around, footage=False).expression, Space.EXPRESSION)
        subject = replace(clip.subject([t], reference=0), gallery=gallery)
        near = clip.subject(around, footage=False)
        driving = model.face.convert(motion, model.render.space, near)
        made.append(model.render(driving, subject).frames[0, 0])
        assert subject.footage is not None
        true.append(subject.footage[0, 0])
        for name, value in compared(made[-1], true[-1], landmarks[t], clip, t, distance).items():
            scores.setdefault(name, []).append(value)
    hull = torch.stack([hull_of(landmarks[t], clip.size) for t in frames])
    still = hull[:-2] & hull[1:-1] & hull[2:]
    bend = [torch.stack(v).diff(n=2, dim=0).abs().mean(1)[still].mean() for v in (made, true)]
    mean = {name: round(float(np.mean(values)), 4) for name, values in scores.items()}
    sheet = [torch.cat([true[k], made[k]], 1) for k in range(0, HELD, 10)]
    return mean | {"flicker": round(float(bend[0] / bend[1]), 3)}, sheet


def hull_of(points: Tensor, size: int) -> Tensor:
    mask = polygon2mask((size, size), points.numpy()[:, ::-1])
    return torch.from_numpy(convex_hull_image(mask))


def compared(made: Tensor, true: Tensor, points: Tensor, clip: ClipFolder, t: int, distance: Any) -> dict[str, float]:
    size = (clip.size, clip.size)
    hull, box = hull_of(points, clip.size), box_of(points[None], size, 0.05)[0]
    mouth = box_of(points[None, layout.MOUTH], size, 0.25)[0]
    eyes = box_of(points[None, layout.LEFT_EYE], size, 0.4)[0] | box_of(points[None, layout.RIGHT_EYE], size, 0.4)[0]
    regions = {"frame": torch.ones_like(hull), "box": box, "hull": hull, "mouth": mouth, "eyes": eyes}
    regions["torso"] = clip.labels([t])[0] == 1
    error = (made - true).square().mean(0)
    a, b = (picture.permute(1, 2, 0).double().numpy() for picture in (made, true))
    _, similar = structural_similarity(a, b, channel_axis=-1, data_range=1, full=True)
    similar = torch.from_numpy(similar.mean(-1))
    found = {}
    for name, region in regions.items():
        if region.sum() > 20:
            found[name] = float(-10 * error[region].mean().clamp(min=1e-6).log10())
    for name in ("box", "hull", "mouth", "eyes"):
        found[f"ssim {name}"] = float(similar[regions[name]].mean())
    if distance is not None:
        rows, columns = (box.any(k).nonzero()[:, 0] for k in (1, 0))
        window = (slice(None), slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        found["efflite"] = distance(made[window], true[window])
    edges = [laplace(picture.mean(-1))[hull.numpy()].std() for picture in (a, b)]
    return found | {"sharp": float(edges[0] / edges[1])}


def mean_of(rows: list[dict[str, Any]], clip: str, method: str) -> dict[str, Any]:
    mine = [row for row in rows if row["clip"] == clip and row["method"] == method]
    numbers = [key for key in mine[0] if key not in ("clip", "method", "seed")]
    means = {key: round(float(np.mean([row[key] for row in mine])), 3) for key in numbers if mine[0][key] is not None}
    return {"clip": clip, "method": method, "seeds": len(mine), **means}


def write_sheet(path: Path, pictures: dict[str, list[Tensor]]) -> None:
    """Truth in the first row, a method in each further one."""
    first = next(iter(pictures.values()))
    half = first[0].shape[1] // 2
    strips = [torch.cat([p[:, :half] for p in first], -1)]
    strips += [torch.cat([p[:, half:] for p in some], -1) for some in pictures.values()]
    imsave(path, torch.cat(strips, 1).clamp(0, 1).mul(255).byte().permute(1, 2, 0).numpy(), check_contrast=False)


if __name__ == "__main__":
    main()
