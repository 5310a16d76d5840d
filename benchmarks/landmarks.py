"""How good trained landmark models are on what they did not train on: GeneFace's Table 5, its expert and its post-net.

python benchmarks/landmarks.py RUN … [key=value …] [--window 150] [--draws 16] [--name prior]
    (key=value as in data.root=…; every run reads its own data otherwise)

Beside one draw's L2: that of the draws' mean, the best of all draws and the energy score, all of one window; the bound
on the evidence, in nats a frame; how far draws lie from their mean, over how far the truth does (1: draws differ among
each other as people do); and how like themselves both still are, half a second, one and two seconds later.

Beside the table it draws `results/landmarks.png`: for each run the mouth's opening in the held-out speech, true (grey),
in one motion of the model (red) and the middle of all of its draws (blue): a mean face has small waves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from _report import report
from omegaconf import OmegaConf
from torch import Tensor

from visemix.data import DATA
from visemix.face.layout import INNER_MOUTH
from visemix.metrics.draws import autocorrelation, best_of, energy_score, spread
from visemix.motion import FlowVAE
from visemix.motion.guide import REACH, SyncGuide
from visemix.motion.lm3d import LM3D
from visemix.motion.postnet import PostNet
from visemix.nn.syncnet import FRAMES, draw_pairs
from visemix.pipeline import TalkingFace
from visemix.training.pictures import BLUE, GREY, RED, plot, write_picture
from visemix.types import SAMPLES_PER_FRAME, Clip, Motion, Space, collate

LAGS = {"0.5": 12, "1": 25, "2": 50}  # seconds in frames
SHOWN = 300  # frames of a curve
PAIRS = 8192  # of windows that the expert is asked about
QUIET = 0.01  # of the loudest window: one that has no sound in it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--window", type=int, default=50, help="frames")
    parser.add_argument("--draws", type=int, default=5, help="motions drawn for one sound")
    parser.add_argument("--name", default="landmarks", help="of the results")
    given = parser.parse_args()
    words, count = given.runs, given.draws
    changes = OmegaConf.to_container(OmegaConf.from_dotlist([word for word in words if "=" in word])).get("data", {})
    rows: list[dict[str, Any]] = []
    strips: list[Tensor] = []
    for run in (word for word in words if "=" not in word):
        model = TalkingFace.from_checkpoint(run)
        config = OmegaConf.to_container(OmegaConf.load(f"{run}/config.yaml"))
        many, person = windows(model, config["data"] | changes, given.window)
        seed = config["seed"]
        post = [m for m in model.motion.modules() if isinstance(m, PostNet)]
        generator = post[0].base if post else model.motion
        row = scores(model, generator, many, count) | evidence(model, generator, many) | expert(model, many)
        rows.append({"model": named(config["motion"]), "seed": seed, "of": "many", **row})
        strips.append(curves(model, generator, many[: SHOWN // given.window], count))
        for name, motion in (("without", post[0].base), ("with", post[0])) if post and person else ():
            row = scores(model, motion, person, count)
            rows.append({"model": f"{name} post-net", "seed": seed, "of": "person", **row})
    write_picture(Path(__file__).parent / "results" / f"{given.name}.png", torch.cat(strips, 1))
    report(given.name, rows, draws=count, window=given.window)


def named(motion: dict[str, Any]) -> str:
    inner = motion.get("base") or motion
    weight = inner.get("kl_weight")
    flow = "" if inner.get("flow", True) else " without flow"
    return f"{inner['name']}{flow}{'' if weight is None else f', KL weight {weight:g}'}"


def windows(model: TalkingFace, options: dict[str, Any], frames: int) -> tuple[list[Clip], list[Clip]]:
    """Held-out windows of many speakers, and of the person."""
    data: Any = DATA.build(options, model.face)
    data.window, data.frames, data.paired = frames, False, data.target is not None
    data.setup("fit")
    loader = data.val_dataloader().dataset
    if not data.paired:
        return [loader[k] for k in range(len(loader))], []
    return [[part[k] for k in range(len(part))] for part in (loader.many, loader.person)]  # type: ignore[return-value]


@torch.inference_mode()
def scores(model: TalkingFace, motion: Any, clips: list[Clip], count: int) -> dict[str, float]:
    """Landmarks in centimetres less the subject's shape; every number over all held-out windows together."""
    lm3d = LM3D(model.face, "subject")
    truth, made, off, found = [], [], [], []
    guides = [m for m in model.motion.modules() if isinstance(m, SyncGuide)]
    judged = []
    for clip in clips:
        features = model.audio(clip.speech)
        draws = [motion.draw(features, clip.subject, seed) for seed in range(count)]
        truth.append(lm3d.pack(clip.motion, clip.subject)[0])
        made.append(torch.stack([lm3d.pack(draw, clip.subject)[0] for draw in draws]))
        off.append(conversion_error(model, draws[0], clip))
        if guides:
            curves = [guides[0].offset_curves(features, clip.subject, m)[0] for m in (clip.motion, draws[0])]
            found.append([float(curve.argmax() == REACH) for curve in curves])
            judged.append([float(curve[REACH]) for curve in curves])
    true, drawn = torch.cat(truth), torch.cat(made, 1)
    error = (drawn - true).square().mean((1, 2))
    row = {
        "L2 cm²": float(error.mean()),
        "RMS mm": 10 * float(error.mean().sqrt()),
        "diversity": float(drawn.std(0).mean() / true.std(0).mean()),
        "spread": float(drawn.std(1).mean() / true.std(0).mean()),
        "opening": float(opening(drawn).std(1).mean() / opening(true[None]).std(1).mean()),
        "opening r": mean(
            float(torch.corrcoef(torch.stack([o, opening(true[None])[0]]))[0, 1]) for o in opening(drawn)
        ),
        "to expression and back, mm": mean(off),
    }
    row |= together(made, truth)
    if guides:
        row |= {"score": mean(j[1] for j in judged), "of truth": mean(j[0] for j in judged)}
        row |= {"offset found": mean(f[1] for f in found), "in truth": mean(f[0] for f in found)}
    return row


def together(made: list[Tensor], truth: list[Tensor]) -> dict[str, float]:
    """What all draws are together, window by window."""
    pairs = list(zip(made, truth, strict=True))
    middle = [draws.mean(0) for draws in made]
    missed = torch.stack([true - mid for true, mid in zip(truth, middle, strict=True)])
    strayed = torch.cat([draws - mid for draws, mid in zip(made, middle, strict=True)])
    row = {
        "L2 of the mean, cm²": float(missed.square().mean()),
        f"best of {len(made[0])}, cm²": mean(float(best_of(*pair)) for pair in pairs),
        "energy score, mm": 10 * mean(float(energy_score(*pair)) for pair in pairs),
        "draws about their mean, mm": 10 * mean(float(spread(draws).square()) for draws in made) ** 0.5,
        "truth about it, mm": 10 * float(missed.square().mean().sqrt()),
    }
    for seconds, lag in LAGS.items():
        if lag < missed.shape[1] and not torch.equal(made[0][0], made[0][1]):  # where it draws at all
            row[f"after {seconds} s, draws"] = float(autocorrelation(strayed, lag))
            row[f"after {seconds} s, truth"] = float(autocorrelation(missed, lag))
    return row


@torch.inference_mode()
def evidence(model: TalkingFace, generator: Any, clips: list[Clip]) -> dict[str, float]:
    """Held-out bound, KL divergence and active units of a flow-VAE, one draw a window."""
    inside = [m for m in generator.modules() if isinstance(m, FlowVAE)]
    if not inside:
        return {}
    torch.manual_seed(0)
    batch = collate(clips)
    target = model.face.convert(batch.motion, Space.LANDMARKS, batch.subject)
    found = inside[0].measure(model.audio(batch.speech), batch.subject, target)
    return {f"vae: {name}": float(value) for name, value in found.items()}


@torch.inference_mode()
def expert(model: TalkingFace, clips: list[Clip]) -> dict[str, float]:
    """How often the sync-expert is right, on true and wrong pairs from all held-out windows, other speakers' too."""
    guides = [m for m in model.motion.modules() if isinstance(m, SyncGuide)]
    if not guides:
        return {}
    guide, all_of_it = guides[0], collate(clips)
    guide.count = PAIRS
    torch.manual_seed(0)
    found = guide.measure(model.audio(all_of_it.speech), all_of_it.subject, all_of_it.motion)
    return {f"expert: {name}": float(value) for name, value in found.items()} | misses(guide, model, all_of_it)


def misses(guide: SyncGuide, model: TalkingFace, clip: Clip) -> dict[str, float]:
    """How often the expert is wrong on each kind of pair, and each kind's share of all that it gets wrong."""
    sound, mouth = guide.expert.embed(*guide._rows(model.audio(clip.speech), clip.subject, clip.motion))
    torch.manual_seed(0)
    pairs = draw_pairs(PAIRS, len(mouth), mouth.shape[1] + FRAMES - 1)
    scores = (sound[pairs.audio_clip, pairs.audio_start] * mouth[pairs.mouth_clip, pairs.mouth_start]).sum(-1)
    frames = clip.speech.wave[:, : clip.speech.frames * SAMPLES_PER_FRAME].unflatten(1, (-1, SAMPLES_PER_FRAME))
    loud = frames.square().mean(-1).unfold(1, FRAMES, 1).mean(-1).sqrt()
    quiet = loud < QUIET * loud.max()
    both = quiet[pairs.audio_clip, pairs.audio_start] & quiet[pairs.mouth_clip, pairs.mouth_start]
    wrong = (scores > 0.5) != pairs.together
    kinds = {"right": pairs.together, "wrong, both quiet": ~pairs.together & both, "wrong": ~pairs.together & ~both}
    rates = {f"expert: misses of {kind} pairs": float(wrong[of].float().mean()) for kind, of in kinds.items()}
    return rates | {f"expert: {kind} pairs of misses": float(of[wrong].float().mean()) for kind, of in kinds.items()}


@torch.inference_mode()
def curves(model: TalkingFace, motion: Any, clips: list[Clip], count: int) -> Tensor:
    """The mouth's opening, true, in one draw, and the mean of the draws."""
    lm3d = LM3D(model.face, "subject")
    true = torch.cat([opening(lm3d.pack(clip.motion, clip.subject))[0] for clip in clips])
    drawn = [
        torch.cat(
            [opening(lm3d.pack(motion.draw(model.audio(c.speech), c.subject, seed), c.subject))[0] for c in clips]
        )
        for seed in range(count)
    ]
    return plot([true, torch.stack(drawn).mean(0), drawn[0]], (GREY, BLUE, RED), 120, 4)


def opening(rows: Tensor) -> Tensor:
    """Distance between the middles of the inner lips, centimetres less what it is at rest."""
    points = rows.unflatten(-1, (68, 3))[..., INNER_MOUTH, :]
    return points[..., 2, 1] - points[..., 6, 1]


def conversion_error(model: TalkingFace, motion: Motion, clip: Clip) -> float:
    """Root mean square distance in millimetres between landmarks and what expressions make of them."""
    there = model.face.convert(motion, Space.EXPRESSION, clip.subject)
    back = model.face.convert(there, Space.LANDMARKS, clip.subject)
    points = (model.face.convert(motion, Space.LANDMARKS, clip.subject).values - back.values).unflatten(-1, (68, 3))
    return 100 * float(points.square().sum(-1).mean().sqrt())


if __name__ == "__main__":
    main()
