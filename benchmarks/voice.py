"""Does a mouth that is driven by sound move as the person's did who said it?

`python benchmarks/voice.py CLIP… [--motion RUN|starter] [--audio '{name: moonshine}'] [--json OUT]`, on
prepared clips, or on those of `visemix corpus`, whose lag is 0.
Without a run, a ridge regression from five frames of the encoder's features to either side stands in for the motion
model; it learns from the clips of all other people, each with its sound moved by the clip's own lag.

`r`: correlation of the inner lips' distance (opening) and of the mouth corners' (width) with the fitted ones, both less
their drift (a Gaussian mean over a second); at lag 0, the recording as it is, and at the clip's stored lag.
`amplitude`: spread of the opening over the person's. `low`: its 5 % quantile, millimetres. `closed`: of the p, b and m
that are heard (from phonemes.csv, else by `hama`), those within two frames of which the lips come within 1 mm of the
person's own 5 % quantile. `rest`: how far the opening strays from its mean in silence, median, millimetres
(`visemix.metrics.lip_instability`). `chance`: opening r at the stored lag with other clips' sound.

`voice_lips`, of f and v, whose lower lip touches the teeth and not the lip: how many; `f v, mm`: the least opening
within two frames, above the person's 5 % quantile, median; `touch`: of how many that is under 3 mm; `shut`: under 1 mm,
as of p, b and m. Of silences: `rest, × person's`; `settles`: frames after the end of sound until the opening stays
within 1 mm of the person's median in silence, median (`visemix.metrics.settle`); `settled`: share of the silences in
which that takes five frames at most.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import report
from omegaconf import OmegaConf
from scipy.ndimage import gaussian_filter1d, label
from torch import Tensor

from visemix.audio import AUDIO, AudioEncoder, stream_features
from visemix.data import ClipFolder
from visemix.data.footage import pingpong
from visemix.face import FACE, FaceModel
from visemix.face.layout import lips_apart
from visemix.metrics.silence import lip_instability, settling_time, shift, silences
from visemix.ops.avlag import overlap
from visemix.ops.extras import NotInstalled
from visemix.pipeline import TalkingFace
from visemix.prepare.lipsync import lip_sync
from visemix.types import FPS, Motion, Space, Speech

CORNERS = (48, 54)
MM = 100.0  # in a decimetre
DRIFT = float(FPS)  # frames: sigma of the mean that is taken off
AROUND = 5  # frames to either side that the ridge sees
RIDGE = 3.0  # times the mean eigenvalue
NEAR, CLOSE = 2, 1.0  # frames around a closing sound; millimetres
OTHERS = 3  # clips whose sound gives the level of chance
TOUCH = 3.0  # millimetres above the 5 % quantile up to which the corpus' lower lips touch the teeth in f and v
PAUSE, SOON = 0.2, 5  # seconds of silence that count; frames in which a mouth should be at rest
SURE = 0.2  # probability above which a p, b or m counts as heard; real lips close there in two of three cases
LIPS, TEETH = ("p", "b", "m"), ("f", "v")  # what the lower lip touches
APART = ("f v", "rest, ×", "settle", "person's f v", "person's settle")  # columns of a table of their own begin so


@dataclass(frozen=True)
class Real:
    """A clip, and what its mouth does: opening and width, (T, 2), millimetres."""

    clip: ClipFolder
    mouth: np.ndarray
    lag: int

    @property
    def speech(self) -> Speech:
        return self.clip.speech()


def shape(face: FaceModel, motion: Motion, subject: Any) -> np.ndarray:
    points = face.landmarks(motion, subject)[0]
    left, right = CORNERS
    wide = (points[:, left] - points[:, right]).norm(dim=-1)
    return MM * torch.stack([lips_apart(points), wide], 1).double().numpy()


def load(path: Path, face: FaceModel) -> Real:
    clip = ClipFolder(path, face)
    whole = clip.subject(range(clip.frames), footage=False)
    found = clip.meta.get("lip_sync")
    if "corpus" in clip.meta:
        found = {"lag": 0}
    if found is None:  # prepared before it was measured
        seen = np.zeros(clip.frames, bool)
        for stretch in clip.visible_ranges:
            seen[stretch.start : stretch.stop] = True
        found = lip_sync(clip.tensor("landmarks"), seen, clip.speech().wave[0], clip.meta["source"]["sha256"])
    return Real(clip, shape(face, Motion(whole.expression, Space.EXPRESSION), whole), found["lag"])


def steady(rows: np.ndarray) -> np.ndarray:
    return rows - gaussian_filter1d(rows, DRIFT, axis=0, mode="nearest")


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


@torch.inference_mode()
def features(encoder: AudioEncoder, speech: Speech) -> np.ndarray:
    return torch.cat([piece.values for piece in stream_features(encoder, speech)], 1)[0].double().numpy()


def around(rows: np.ndarray) -> np.ndarray:
    """Each row with those before and after it."""
    padded = np.pad(rows, ((AROUND, AROUND), (0, 0)), mode="edge")
    return np.concatenate([padded[k : k + len(rows)] for k in range(2 * AROUND + 1)], 1)


class Ridge:
    """The stand-in for a motion model: from features to opening and width, without any clip that it is asked about."""

    def __init__(self, encoder: AudioEncoder, clips: list[Real]) -> None:
        self.encoder, self.clips = encoder.eval(), clips
        raw = [features(self.encoder, real.speech) for real in clips]
        everything = np.concatenate(raw)
        self.mean, self.spread = everything.mean(0), everything.std(0) + 1e-3 * everything.std()
        self.rows = [self._around(rows) for rows in raw]
        self.weights: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def __call__(self, speech: Speech, real: Real) -> np.ndarray:
        if real.clip.name not in self.weights:
            self.weights[real.clip.name] = self._fit(real)
        weights, centre, mouth = self.weights[real.clip.name]
        return (self._around(features(self.encoder, speech)) - centre) @ weights + mouth

    def _around(self, rows: np.ndarray) -> np.ndarray:
        return around((rows - self.mean) / self.spread)

    def _fit(self, left_out: Real) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pairs = [
            overlap(rows, real.mouth, real.lag)
            for rows, real in zip(self.rows, self.clips, strict=True)
            if real.clip.speaker != left_out.clip.speaker
        ]
        sound, seen = (np.concatenate(rows) for rows in zip(*pairs, strict=True))
        sound_mean, seen_mean = sound.mean(0), seen.mean(0)
        kernel = (sound - sound_mean) @ (sound - sound_mean).T
        kernel[np.diag_indices(len(kernel))] += RIDGE * np.trace(kernel) / len(kernel)
        return (sound - sound_mean).T @ np.linalg.solve(kernel, seen - seen_mean), sound_mean, seen_mean


class Trained:
    """A run's motion model, through its own encoder, streamed."""

    def __init__(self, model: TalkingFace) -> None:
        self.model = model

    @torch.inference_mode()
    def __call__(self, speech: Speech, real: Real) -> np.ndarray:
        still = real.clip.subject(pingpong(real.clip.frames, speech.frames), footage=False)
        pieces, space = self.model.stream_speech_motion(speech, still)
        return shape(self.model.face, Motion(torch.cat(list(pieces), 1), space), still)


def silent(speech: Speech) -> Tensor:
    """Frames in pauses of 0.2 s and more."""
    return silences(speech.wave[0], float(FPS), PAUSE)


def sounded(real: Real) -> list[list[int]]:
    """Frames, by the sound's clock, in which the lips should close, and touch the teeth; none where nobody can tell."""
    if not real.clip.has_phonemes:
        return lip_closures(real.speech)
    known = real.clip.phonemes()
    return [[round((a + b) / 2 * FPS) for a, b, sound in known if sound in sounds] for sounds in (LIPS, TEETH)]


def lip_closures(speech: Speech) -> list[list[int]]:
    try:
        encoder: Any = AUDIO.build({"name": "phonemes"})
    except NotInstalled:
        return [[], []]
    from hama import ASRModel

    tokens, values, found = ASRModel().decoder_tokens, encoder(speech).values[0], []
    for sounds in (LIPS, TEETH):
        letters = [k for k, letter in enumerate(tokens) if letter in sounds]
        runs, count = label(values[:, letters].sum(1).numpy() > SURE)
        found.append([round(float(np.flatnonzero(runs == k).mean())) for k in range(1, count + 1)])
    return found


def least(opening: np.ndarray, moments: list[int]) -> np.ndarray:
    """The least opening around each."""
    near = [opening[max(0, k - NEAR) : k + NEAR + 1] for k in moments if 0 <= k < len(opening)]
    return np.array([rows.min() for rows in near])


def closed(opening: np.ndarray, moments: list[int], limit: float) -> float | None:
    lows = least(opening, moments)
    return float((lows <= limit).mean()) if len(lows) else None


def resting(opening: np.ndarray, still: Tensor) -> float:
    """Where a mouth is while nothing is heard, millimetres; NaN where something always is."""
    return float(np.median(opening[still.numpy()])) if still.any() else np.nan


def restless(opening: np.ndarray, still: Tensor) -> float | None:
    found = float(lip_instability(torch.from_numpy(opening), still[: len(opening)]))
    return None if np.isnan(found) else found


def teeth(opening: np.ndarray, moments: list[int], low: float) -> dict[str, Any]:
    lows = least(opening, moments) - low
    if not len(lows):
        return dict.fromkeys(("f v, mm", "f v touch", "f v shut"))
    shares = {"f v touch": float((lows <= TOUCH).mean()), "f v shut": float((lows <= CLOSE).mean())}
    return {"f v, mm": float(np.median(lows))} | shares


def settling(opening: np.ndarray, still: Tensor, rest: float) -> dict[str, Any]:
    goal = torch.tensor(rest, dtype=torch.float64)
    took = settling_time(torch.from_numpy(opening), still[: len(opening)], goal, CLOSE)
    if not len(took) or np.isnan(rest):
        return dict.fromkeys(("settles", "settled"))
    return {"settles": float(took.quantile(0.5)), "settled": float((took <= SOON).double().mean())}


def row(real: Real, say: Any, others: list[Real]) -> dict[str, Any]:
    said, truth, lag = say(real.speech, real), real.mouth, real.lag
    (moments, bites), pauses = sounded(real), silent(real.speech)
    theirs = shift(pauses, lag, len(truth))
    low = float(np.quantile(truth[:, 0], 0.05))
    rest = resting(truth[:, 0], theirs)
    strays = restless(said[:, 0], pauses), restless(truth[:, 0], theirs)
    ours = teeth(said[:, 0], bites, low) | settling(said[:, 0], pauses, rest)
    own = teeth(truth[:, 0], [k + lag for k in bites], low) | settling(truth[:, 0], theirs, rest)

    def r(made: np.ndarray, channel: int, moved: int) -> float:
        return correlation(*overlap(steady(made)[:, channel], steady(truth)[:, channel], moved))

    strangers = [r(say(other.speech, real), 0, lag) for other in others]
    seen = [k + lag for k in moments]  # where the person's own lips do it
    return {
        "clip": real.clip.name,
        "lag": lag,
        "opening r, lag 0": r(said, 0, 0),
        "opening r": r(said, 0, lag),
        "width r, lag 0": r(said, 1, 0),
        "width r": r(said, 1, lag),
        "chance": float(np.mean(strangers)) if strangers else None,
        "amplitude": float(steady(said)[:, 0].std() / steady(truth)[:, 0].std()),
        "low, mm": float(np.quantile(said[:, 0], 0.05)),
        "person's": low,
        "sounds": len(moments),
        "closed": closed(said[:, 0], moments, low + CLOSE),
        "person's closed": closed(truth[:, 0], seen, low + CLOSE),
        "rest, mm": strays[0],
        "person's rest": strays[1],
        "rest, × person's": strays[0] / strays[1] if strays[0] is not None and strays[1] else None,
        "f v": len(bites),
        **{key: value for name in ours for key, value in ((name, ours[name]), (f"person's {name}", own[name]))},
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread over clips of every number."""
    names = [name for name in rows[0] if name != "clip"]
    columns = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    forms = (("mean", np.mean), ("spread", np.std))
    return [{"clip": word} | {n: float(form(v)) if v else None for n, v in columns.items()} for word, form in forms]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--audio", default="{name: concat, parts: {moonshine: {}, mel: {learned: false}}}")
    parser.add_argument("--face", default="ict")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = TalkingFace.from_checkpoint(args.motion) if args.motion else None
    face = FACE.build({"name": args.face}) if model is None else model.face
    paths = [path for path in args.clips if ClipFolder(path).audio == "speech"]
    clips = [load(path, face) for path in paths]
    audio: Any = OmegaConf.to_container(OmegaConf.create(args.audio))
    say = Ridge(AUDIO.build(audio), clips) if model is None else Trained(model)
    rows = [row(real, say, (clips[k + 1 :] + clips[:k])[:OTHERS]) for k, real in enumerate(clips)]
    rows += summary(rows)
    hears, name = (audio, "voice") if model is None else (model.config["audio"], f"voice_{args.motion.name}")
    lips = [{key: value for key, value in row.items() if key == "clip" or key.startswith(APART)} for row in rows]
    rows = [{key: value for key, value in row.items() if key not in lips[0] or key == "clip"} for row in rows]
    about = {"audio": hears, "motion": str(args.motion or "ridge")}
    path = report(name, rows, **about)
    report(f"{name}_lips", lips, **about)
    if args.json:
        args.json.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
