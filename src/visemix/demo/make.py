"""`visemix demo`: synthetic speakers, models trained on them in minutes, a sentence they have never heard."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import soundfile
import torch
from omegaconf import DictConfig, OmegaConf

from visemix.config import compose, config_root
from visemix.corpus.make import corpus
from visemix.data import ClipFolder, VideoWriter, find_clips, read_sound
from visemix.demo.page import DemoResults, write_page
from visemix.demo.scores import Score, openings, scores
from visemix.face import FACE
from visemix.generation import LoopedFootage, generate, progress_bar
from visemix.ops.progress import Console
from visemix.ops.store import atomic_write, refuse_existing
from visemix.pipeline import TalkingFace
from visemix.run import fit
from visemix.types import FPS, SAMPLE_RATE, Motion, Space

VIDEO, PAGE, WORK = "demo.mp4", "report.html", "work"
TAFT, GAUSSIANS = "demo.yaml", "demo_gaussians.yaml"  # in `configs/`, which the wheel carries


@dataclass(frozen=True)
class Scale:
    """Sizes of a demo; `changes` go over the files in `configs/`."""

    speakers: int
    seconds: float  # of each clip, the held-out end included
    size: int  # of the pictures, pixels
    changes: Mapping[str, str] = field(default_factory=dict)


TINY = """
    motion.dim=16 motion.feedforward=16 data.holdout=1.0
    train.motion.steps=20 train.motion.window=20 train.motion.val_every=10 train.motion.log_every=1
    train.render.steps=4 train.render.batch=1 train.render.val_every=2 train.render.log_every=1
"""
PAINTERS = {TAFT: f"{TINY} render.base=4 render.max_channels=8", GAUSSIANS: f"{TINY} render.count=300"}
SCALES = {"small": Scale(3, 15.0, 128), "tiny": Scale(2, 3.0, 64, PAINTERS)}


def demo(
    out: str | Path = "out/demo",
    *,
    seed: int = 0,
    overwrite: bool = False,
    scale: Literal["small", "tiny"] = "small",
    progress: bool = True,
) -> Path:
    """Make speakers, train A2EP and TAFT on them and Gaussians on the first, let that one say a held-out sentence, and
    answer the page about it.

    Nothing is downloaded; two cores need a few minutes. `out` gets `demo.mp4`, which the Gaussians paint, and
    `report.html`, and in `work/` the clips, the runs and what the demo is compared with, TAFT's video among it.
    Stopped in between, it goes on from there when called again.

    Args:
        seed: of the speakers and of the training.
        overwrite: begin anew where a demo is there already.
        scale: "tiny" goes through the same in seconds, for tests; its mouths follow nothing.

    Raises:
        VisemixError: `out` holds a demo.
    """
    out, size = Path(out), SCALES[scale]
    clear(out, overwrite)
    work = out / WORK / f"{scale}-{seed}"
    resumed = work.exists()
    phase = Phases(Console(stderr=True, quiet=not progress))
    with phase(f"{size.speakers} synthetic speakers, {size.seconds:g} s of each"):
        clips = speakers(work / "clips", size, seed, progress)
    hero, other = clips[:2]
    cfg, own = config(work, size, seed), config(work, size, seed, GAUSSIANS, [f"data.clips=[{hero.name}]"])
    with phase(f"A2EP learns to move a face by its sound: {cfg.train.motion.steps} steps"):
        spoken = train(cfg, "motion")
    with phase(f"TAFT learns to paint it into footage: {cfg.train.render.steps} steps"):
        taft = train(cfg, "render", motion=spoken)
    with phase(f"{own.render.count} Gaussians learn how {hero.speaker} looks: {own.train.render.steps} steps"):
        gaussians = train(own, "render", motion=spoken)
    held = round(cfg.data.holdout * FPS)
    start = hero.frames - held
    with phase(f"{held / FPS:g} s of speech that were held out, painted by both"):
        sound = work / "sentence.wav"
        with atomic_write(sound) as part:
            soundfile.write(part, hero.speech(start).wave[0].numpy(), SAMPLE_RATE)
        say = partial(generate, overwrite=True, device="cpu", progress=progress)
        videos = {
            "recorded": record(hero, start, sound, work / "recorded.mp4"),
            "gaussians": say(gaussians, sound, hero.path, out / VIDEO, start=start / FPS),
            "taft": say(taft, sound, hero.path, work / "taft.mp4", start=start / FPS),
            "other": say(taft, sound, other.path, work / "other.mp4"),
            "still": hold_still(gaussians, hero, start, sound, work / "still.mp4", progress),
        }
    with phase("scores"):
        points = hero.tensor("landmarks")[start:]
        compared: dict[str, Score] = {
            name: scores(videos["recorded"], videos[name], points) for name in ("gaussians", "taft", "still")
        }
        curves = {clip.speaker: openings(spoken, clip, held) for clip in clips}
    results = DemoResults(
        videos=videos,
        names=(hero.speaker, other.speaker),
        landmarks=points,
        scores=compared,
        openings=curves,
        runs={"A2EP": spoken, "TAFT": taft, "Gaussians": gaussians},
        seconds=phase.seconds,
        resumed=resumed,
    )
    return write_page(out / PAGE, results)


def config(work: Path, scale: Scale, seed: int, experiment: str = TAFT, changes: Sequence[str] = ()) -> DictConfig:
    """Config of an experiment of the demo: a file in `configs/`, under `changes`."""
    here = {"name": "demo", "seed": seed, "out": str(work / "runs"), "data": {"root": str(work / "clips")}}
    smaller = scale.changes.get(experiment, "").split()
    cfg = OmegaConf.merge(compose(config_root() / experiment, [*smaller, *changes]), here)
    assert isinstance(cfg, DictConfig)
    return cfg


def train(cfg: DictConfig, stage: str, **load: Path) -> Path:
    """Train one stage, on top of those of the runs in `load`; returns the run's folder."""
    sources = {name: str(run) for name, run in load.items()}
    return fit(OmegaConf.merge(cfg, {"fit": [stage], "load": sources}))  # type: ignore[arg-type]


def clear(out: Path, overwrite: bool) -> None:
    """Make room in `out` for the first demo, for the rest of one that was stopped, or for another if so told.

    Raises:
        VisemixError: a demo is there, and is not to be replaced.
    """
    for file in (out / PAGE, out / VIDEO):
        refuse_existing(out / PAGE, overwrite, "another --out")
        file.unlink(missing_ok=True)
    if overwrite:
        shutil.rmtree(out / WORK, ignore_errors=True)


def speakers(folder: Path, scale: Scale, seed: int, progress: bool) -> list[ClipFolder]:
    """The synthetic clips; what a stopped demo has left of them is kept."""
    corpus(
        folder,
        speakers=scale.speakers,
        minutes=scale.seconds / 60,
        size=scale.size,
        seed=seed,
        jobs=min(scale.speakers, os.cpu_count() or 1),
        console=Console(stderr=True, quiet=not progress),
    )
    face = FACE.build({"name": "toy"})
    return [ClipFolder(path, face) for path in find_clips(folder)]


def record(clip: ClipFolder, start: int, sound: Path, path: Path) -> Path:
    """The clip's own pictures from `start` on: the truth that the demo is compared with."""
    with VideoWriter(path, sound=sound, crf=12, overwrite=True) as writer:
        for k in range(start, clip.frames):
            writer.write(clip.footage([k]))
    return path


@torch.inference_mode()
def hold_still(run: Path, clip: ClipFolder, start: int, sound: Path, path: Path, progress: bool) -> Path:
    """Write the baseline video: the same renderer over the same footage, with the face of the clip's first frame
    throughout."""
    model = TalkingFace.from_checkpoint(run)
    frames = len(read_sound(sound)) * FPS // SAMPLE_RATE
    footage, rest = LoopedFootage(clip, frames, start=start), clip.subject([0], footage=False).expression
    with VideoWriter(path, sound=sound, overwrite=True) as writer, progress_bar(progress) as shown:
        for at in shown.track(list(torch.arange(frames).split(4)), description="holding still"):
            motion = Motion(rest.expand(1, len(at), -1), Space.EXPRESSION)
            writer.write(model.draw(motion, footage.subject(at)).frames[0])
    return path


@dataclass
class Phases:
    """Durations of the phases of a demo, printed in one line each."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Context: times a phase, and prints how long it took once it is done."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        self.console.print(f"✓ {name} ({self.seconds[name]:.0f} s)", highlight=False)
