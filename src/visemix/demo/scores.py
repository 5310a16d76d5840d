"""Scores of the demo against the recording: pictures, mouths, and how far the mouths open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from visemix.data import ClipFolder, read_video
from visemix.evaluation.videos import evaluate
from visemix.metrics import FrameBatch
from visemix.metrics.region import crop, mouth_box
from visemix.metrics.suite import Suite
from visemix.pipeline import TalkingFace
from visemix.training.pictures import mouth_opening

METRICS = ("psnr", "ssim")
MARGIN = 0.3  # around the mouth's landmarks, of the box's longer side
Score = dict[str, float | None]  # psnr and ssim, and the same with `_mouth` appended


@dataclass(frozen=True)
class Openings:
    """Distance between the inner lips in every frame, millimetres: as recorded, and as predicted from the sound."""

    true: Float[np.ndarray, " T"]
    predicted: Float[np.ndarray, " T"]

    @property
    def correlation(self) -> float:
        """Pearson's correlation of the two."""
        return float(np.corrcoef(self.true, self.predicted)[0, 1])

    @property
    def error(self) -> float:
        """Mean distance between the two."""
        return float(np.abs(self.true - self.predicted).mean())


def openings(run: Path, clip: ClipFolder, held: int) -> Openings:
    """Lip distances in the last `held` frames of a clip, recorded and predicted from their sound alone."""
    model = TalkingFace.from_checkpoint(run)
    window = clip.clip(range(clip.frames - held, clip.frames), footage=False)
    with torch.inference_mode():
        spoken = model.motion(model.audio(window.speech), window.subject)
        true, predicted = (
            100 * mouth_opening(model, motion, window).double().numpy() for motion in (window.motion, spoken)
        )
    return Openings(true, predicted)


def scores(recorded: Path, fake: Path, landmarks: Float[Tensor, "T 68 2"]) -> Score:
    """PSNR and SSIM over the frame, and over one box that holds the recorded mouth in every frame."""
    found = evaluate(recorded, fake, METRICS, progress=False).summary
    full = {name: found[name].value for name in METRICS}
    suite = Suite(METRICS)
    for real, made in zip(mouths(recorded, landmarks), mouths(fake, landmarks), strict=True):
        suite.update(FrameBatch(made.unsqueeze(0)), FrameBatch(real.unsqueeze(0)))
    return full | {f"{name}_mouth": score.value for name, score in suite.finish_clip().items()}


def mouths(path: Path, landmarks: Float[Tensor, "T 68 2"]) -> UInt8[Tensor, "T 3 h w"]:
    """A video's pictures, cut to the box that holds the mouth in every frame."""
    frames = read_video(path)
    return crop(FrameBatch(frames), mouth_box(landmarks, MARGIN, *frames.shape[-2:])).frames
