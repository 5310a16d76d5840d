"""Can the corpus be learnt from sound, and not too well? Speakers that differ, sentences said in many ways.

A ridge regression from log-mel (11 frames of 40 bands) to the mouth's opening, one for all speakers and one for each,
scored on the last fifth of every minute; two performances of each sentence, compared; what a minute costs.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from _report import report

from visemix.corpus.acting import Style, animate, sample_style
from visemix.corpus.utterance import Utterance, compose_utterance
from visemix.corpus.voices import sample_voice
from visemix.face import FACE, FaceModel
from visemix.face.layout import LOWER_LIP, UPPER_LIP
from visemix.ops.audio import log_mel

SPEAKERS, SECONDS, REACH, DRAWS, SEED = 8, 60.0, 5, 6, 70
CUT = round(0.8 * SECONDS * 25)


def opening(face: FaceModel, expression: torch.Tensor) -> np.ndarray:
    """Distance between the inner lips, decimetres."""
    ids = face.landmark_ids[[UPPER_LIP[1], LOWER_LIP[1]]]
    lips = face.mean[ids] + torch.einsum("te,nce->tnc", expression, face.expression[ids])
    return (lips[:, 0] - lips[:, 1]).norm(dim=-1).numpy()


def around(wave: np.ndarray) -> np.ndarray:
    mel = log_mel(torch.from_numpy(wave)[None], 40)[0].unflatten(0, (-1, 4)).mean(1).numpy()
    padded = np.pad(mel, ((REACH, REACH), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(mel)] for k in range(2 * REACH + 1)], 1).astype(float)


def ridge(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    return np.linalg.solve(x.T @ x + strength * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean()))


def sentences(utterance: Utterance) -> list[tuple[int, int]]:
    """First and last frame of those that last over a second."""
    pauses = [p for p in utterance.phones if p.symbol == "_" and p.stop - p.start > 0.29]
    return [(int(a.stop * 25), int(b.start * 25) + 1) for a, b in pairwise(pauses) if b.start - a.stop > 1]


def perform(face: FaceModel, said: list[Utterance], styles: list[Style], draw: int) -> list[np.ndarray]:
    """Each speaker's mouth, in a manner of its own for each draw."""
    return [
        opening(face, animate(u.phones, round(SECONDS * 25), style, face, 1000 * draw + k).expression)
        for k, (u, style) in enumerate(zip(said, styles, strict=True))
    ]


def learn(rows: list[np.ndarray], mouths: list[np.ndarray]) -> tuple[float, float]:
    """Correlation on the last fifths: of one regression for all speakers, and of one for each."""
    weights = ridge(np.concatenate([x[:CUT] for x in rows]), np.concatenate([y[:CUT] for y in mouths]), 0.01)
    predicted = np.concatenate([x[CUT:] @ weights for x in rows])
    alone = [
        np.corrcoef(x[CUT:] @ ridge(x[:CUT], y[:CUT], 0.05), y[CUT:])[0, 1] for x, y in zip(rows, mouths, strict=True)
    ]
    return float(np.corrcoef(predicted, np.concatenate([y[CUT:] for y in mouths]))[0, 1]), float(np.mean(alone))


def study(face: FaceModel, synthesiser: Literal["espeak", "formants"]) -> dict[str, Any]:
    start = time.process_time()
    said = [
        compose_utterance(SECONDS, sample_voice(SEED + k, "en", ("female", "male")[k % 2], synthesiser), SEED + k)
        for k in range(SPEAKERS)
    ]
    spoken = time.process_time() - start
    styles = [sample_style(np.random.default_rng(SEED + k)) for k in range(SPEAKERS)]
    start = time.process_time()
    takes = [perform(face, said, styles, draw) for draw in range(DRAWS)]
    acted = (time.process_time() - start) / DRAWS
    apart = [
        np.sqrt(((a - b)[i:j] ** 2).mean()) / np.ptp(a[i:j])
        for one, other in pairwise(takes)
        for u, a, b in zip(said, one, other, strict=True)
        for i, j in sentences(u)
    ]
    rows = [around(u.wave) for u in said]
    seen = np.concatenate([x[:CUT] for x in rows])
    rows = [(x - seen.mean(0)) / seen.std(0) for x in rows]
    found = np.array([learn(rows, mouths) for mouths in takes])
    return {
        "voice": synthesiser,
        "face": face.name,
        "ridge r, one for all": float(found[:, 0].mean()),
        "lowest to highest": f"{found[:, 0].min():.3f} to {found[:, 0].max():.3f}",
        "one for each": float(found[:, 1].mean()),
        "two draws, rms / range": float(np.mean(apart)),
        "sentences": len(apart),
        "speak s/min": spoken / SPEAKERS / SECONDS * 60,
        "act s/min": acted / SPEAKERS / SECONDS * 60,
    }


if __name__ == "__main__":
    faces = [FACE.build({"name": name}) for name in ("toy", "ict")]
    table = [study(face, voice) for voice in ("espeak", "formants") for face in faces]
    report("speech", table, seed=SEED, speakers=SPEAKERS, seconds=SECONDS, draws=DRAWS)
