"""What the corpus teaches: a ridge regression that has learnt from it alone, on people's clips.

`python benchmarks/taught.py CLIP… [--speakers 8] [--seconds 60] [--audio …]`, on prepared clips. The corpus's speakers
act without pictures. From features (less each recording's own mean; 128 principal components, five frames to either
side) to opening and width; measures as in `voice.py`. What is better here is due to what the corpus does, and to no
network.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _report import report
from mouths import Actor, actors
from omegaconf import OmegaConf
from voice import OTHERS, Real, around, features, load, row, shape, summary

from visemix.audio import AUDIO, AudioEncoder
from visemix.data import ClipFolder
from visemix.face import FACE, FaceModel
from visemix.types import Motion, Space, Speech

COMPONENTS = 128
RIDGE = 0.3  # times the mean eigenvalue


class Taught:
    def __init__(self, encoder: AudioEncoder, face: FaceModel, speakers: list[Actor]) -> None:
        self.encoder = encoder.eval()
        features = [self._centred(Speech(actor.wave[None])) for actor in speakers]
        everything = np.concatenate(features)
        self.spread = everything.std(0) + 1e-3 * everything.std()
        self.axes = np.linalg.eigh(np.cov((everything / self.spread).T))[1][:, -COMPONENTS:]
        rows = np.concatenate([self._rows(each) for each in features])
        subjects = [actor.subject for actor in speakers]
        mouths = np.concatenate([shape(face, Motion(s.expression, Space.EXPRESSION), s) for s in subjects])
        self.mouth = mouths.mean(0)
        square = rows.T @ rows
        square[np.diag_indices(len(square))] += RIDGE * np.trace(square) / len(square)
        self.weights = np.linalg.solve(square, rows.T @ (mouths - self.mouth))

    def __call__(self, speech: Speech, real: Real) -> np.ndarray:
        return self._rows(self._centred(speech)) @ self.weights + self.mouth

    def _centred(self, speech: Speech) -> np.ndarray:
        rows = features(self.encoder, speech)
        return rows - rows.mean(0)

    def _rows(self, centred: np.ndarray) -> np.ndarray:
        return around(centred / self.spread @ self.axes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--speakers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--audio", default="{name: concat, parts: {moonshine: {}, mel: {learned: false}}}")
    args = parser.parse_args()
    face = FACE.build({"name": "ict"})
    audio: Any = OmegaConf.to_container(OmegaConf.create(args.audio))
    say = Taught(AUDIO.build(audio), face, list(actors(face, args.speakers, args.seconds)))
    clips = [load(path, face) for path in args.clips if ClipFolder(path).audio == "speech"]
    rows = [row(real, say, (clips[k + 1 :] + clips[:k])[:OTHERS]) for k, real in enumerate(clips)]
    report("taught", rows + summary(rows), audio=audio, speakers=args.speakers, seconds=args.seconds)


if __name__ == "__main__":
    main()
