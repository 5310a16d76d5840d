"""What the commands make, made by them: a tiny corpus, a run of seconds on it, a video, a report. Nobody is real."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.data import ClipFolder, read_video

QUESTION = Path(__file__).with_name("question.yaml").read_text(encoding="utf-8")
SHEET, STRIP = 4, 8  # speakers on the sheet, frames in a strip


def draw(folder: Path) -> None:
    """Write the pictures and pages into a folder."""
    folder.mkdir(parents=True)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as made:
        os.chdir(made)
        try:
            make(folder)
        finally:
            os.chdir(before)


def make(folder: Path) -> None:
    say("corpus --out corpus --speakers 4 --minutes 0.08 --size 128 --synthesiser formants --seed 1")
    Path("question.yaml").write_text(QUESTION, encoding="utf-8")
    run = say("fit question.yaml").splitlines()[-1]
    first, other, *_ = sorted(path.parent for path in Path("corpus").glob("*/meta.yaml"))
    say(f"generate {run} --audio {other}/sound.flac --target {first} --out says.mp4")
    say(f"report ours={run} --out report.html")
    for page in (Path("corpus/corpus.html"), Path("report.html")):
        (folder / page.name).write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    clips = [ClipFolder(path.parent) for path in sorted(Path("corpus").glob("*/meta.yaml"))][:SHEET]
    save([torch.cat([labelled(clip), clip.footage([clip.frames // 2])[0]], 1) for clip in clips], folder / "corpus.jpg")
    frames = read_video(Path("says.mp4")) / 255
    footage = clips[0].footage(list(range(clips[0].frames)))
    times = [round(at) for at in np.linspace(5, min(len(frames), len(footage)) - 5, STRIP)]
    save([torch.cat([footage[at], frames[at]], 1) for at in times], folder / "says.jpg")


def say(words: str) -> str:
    """What `visemix` prints."""
    done = CliRunner().invoke(app, words.split())
    if done.exit_code:
        raise RuntimeError(f"visemix {words} failed: {done.output}") from done.exception
    return done.stdout.strip()


def labelled(clip: ClipFolder) -> torch.Tensor:
    """Head light, torso grey, background black (3, H, W)."""
    return (clip.labels([clip.frames // 2])[0].float() / 2).expand(3, -1, -1)


def save(columns: list[torch.Tensor], path: Path) -> None:
    """Pictures (3, H, W) side by side."""
    row = torch.cat(columns, 2).permute(1, 2, 0)
    Image.fromarray((row * 255).round().to(torch.uint8).numpy()).save(path, quality=88)
