"""What does a motion model make of sounds of which nobody's lips are known?

    python benchmarks/sounds.py CLIP SPEECH OTHER [WAV…] [--motion RUN|starter]

The person of a prepared clip says SPEECH as it is and spoilt: as the corpus records it (`visemix.corpus.acoustics`) by
telephone (300 to 3 400 Hz, G.711), clipped (26 dB too loud), in pink noise (5 dB), under OTHER (0 dB); and whispered
(every 32 ms resynthesised from noise with its own spectral envelope). Lips would do the same as before, so `r`, of
opening and width as in `voice.py`, is against the model's own motion for the unspoilt sound; `amplitude` the same. The
row `OTHER` shows the level of chance. Then white noise, chords and silence, 8 s each, and further recordings.

`opening` (mean) and `spread`, millimetres; `closed`: of the p, b and m that `hama` hears, those in which the lips come
within 1 mm of the person's recorded 5 % quantile; `rest`: how far the opening strays from its mean in pauses, median.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _report import report
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter
from voice import CLOSE, Real, Trained, closed, correlation, lip_closures, load, restless, silent, steady

from visemix.corpus.acoustics import Recording, apply_recording
from visemix.data import read_sound, whole_frames
from visemix.pipeline import TalkingFace
from visemix.types import FPS, SAMPLE_RATE, Speech

SECONDS = 8
RECORDED = {
    "telephone": Recording(low=300.0, high=3400.0, codec="telephone", kilobits=64),
    "clipped": Recording(clipping=26.0),
    "noisy": Recording(noise="pink", snr=5.0),
    "together": Recording(noise="babble", snr=0.0),
}
FRAME, HOP, ORDER = 512, 128, 18  # samples and coefficients of a whisper


def whispered(wave: np.ndarray) -> np.ndarray:
    """Linear prediction, its excitation replaced by noise of the same energy."""
    rng, window = np.random.default_rng(0), np.hanning(FRAME)
    out = np.zeros(len(wave) + FRAME)
    for first in range(0, len(wave) - FRAME, HOP):
        part = window * wave[first : first + FRAME]
        lags = np.correlate(part, part, "full")[FRAME - 1 : FRAME + ORDER]
        if lags[0] < 1e-8:
            continue
        lags[0] *= 1 + 1e-4
        filter_ = np.concatenate([[1.0], -solve_toeplitz(lags[:-1], lags[1:])])
        strength = lfilter(filter_, [1.0], part).std()
        out[first : first + FRAME] += window * lfilter([1.0], filter_, strength * rng.standard_normal(FRAME))
    return out[: len(wave)] * wave.std() / max(out.std(), 1e-9)


def silence() -> np.ndarray:
    return np.zeros(SECONDS * SAMPLE_RATE)


def white() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(SECONDS * SAMPLE_RATE)


def chords() -> np.ndarray:
    """A major triad a second, each on another note, with three overtones."""
    seconds = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    root = 220 * 2 ** (np.array([0, 5, 7, 3, 8, 10, 2, 0])[seconds.astype(int)] / 12)
    tones = [np.sin(2 * np.pi * root * ratio * k * seconds) / k for ratio in (1, 5 / 4, 3 / 2) for k in (1, 2, 3, 4)]
    return 0.05 * np.sum(tones, 0) * (1 - seconds % 1)


def row(name: str, wave: np.ndarray, real: Real, say: Trained, plain: np.ndarray | None = None) -> dict[str, Any]:
    speech = speech_of(wave)
    said, low = say(speech, real), float(np.quantile(real.mouth[:, 0], 0.05))
    moments, pauses = lip_closures(speech)[0], silent(speech)
    found: dict[str, Any] = {
        "sound": name,
        "opening, mm": float(said[:, 0].mean()),
        "spread, mm": float(steady(said)[:, 0].std()),
        "sounds": len(moments),
        "closed": closed(said[:, 0], moments, low + CLOSE),
        "pauses, s": float(pauses[: len(said)].sum()) / FPS,
        "rest, mm": restless(said[:, 0], pauses),
    }
    if plain is not None:
        count = min(len(plain), len(said))
        a, b = steady(said[:count]), steady(plain[:count])
        found |= {f"{way} r": correlation(a[:, k], b[:, k]) for k, way in enumerate(("opening", "width"))}
        found["amplitude"] = float(a[:, 0].std() / b[:, 0].std())
    return found


def speech_of(wave: np.ndarray) -> Speech:
    return Speech(whole_frames(torch.from_numpy(wave).float())[None])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clip", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("more", type=Path, nargs="*")
    parser.add_argument("--motion", type=Path, default=Path("starter"))
    args = parser.parse_args()
    model = TalkingFace.from_checkpoint(args.motion)
    real, say = load(args.clip, model.face), Trained(model)
    wave, other, *more = (read_sound(path).double().numpy() for path in (args.speech, args.other, *args.more))
    spoilt = {
        name: apply_recording(wave, how, lambda *_: np.resize(other, len(wave))) for name, how in RECORDED.items()
    }
    spoilt |= {"whispered": whispered(wave), args.other.name: other}
    unknown = {make.__name__: make() for make in (white, chords, silence)}
    unknown |= {path.name: sound for path, sound in zip(args.more, more, strict=True)}
    plain = say(speech_of(wave), real)
    rows = [row(args.speech.name, wave, real, say)]
    rows += [row(name, sound, real, say, plain) for name, sound in spoilt.items()]
    rows += [row(name, sound, real, say) for name, sound in unknown.items()]
    report("sounds", rows, motion=str(args.motion), person=real.clip.name)


if __name__ == "__main__":
    main()
