"""Pictures and sound keep step through `prepare`, `generate` and `evaluate`: frames exactly, beeps within 5 ms."""

from fractions import Fraction

import numpy as np
import pytest
import standins  # noqa: F401 – registers its parts
import torch
from clock_maker import BROW, beeps, film, number
from prepare_maker import meta, run

from visemix.data import ClipFolder, VideoReader, read_sound
from visemix.evaluation.pair import read_sequence
from visemix.evaluation.pairing import pictures
from visemix.evaluation.videos import evaluate
from visemix.generation import generate
from visemix.pipeline import TalkingFace

PARTS = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "dots"}}
LATE = 0.005  # seconds
ROUNDED = Fraction(3, 1000)  # seconds: containers that count in milliseconds put a frame so far off, or so
FILMS = {
    "25.mp4": {},
    "30.mp4": {"rate": "30"},
    "29.97.mov": {"rate": "30000/1001"},
    "50.mkv": {"rate": "50", "sound": "pcm_s16le"},
    "24.mkv": {"rate": "24", "start": 2.0},
    "12.5.mp4": {"rate": "25/2", "codec": "mpeg4"},
}


@pytest.fixture(params=FILMS)
def filmed(request, tmp_path):
    """A film, and its frames a second."""
    rate = Fraction(FILMS[request.param].get("rate", "25"))
    return film(tmp_path / request.param, **FILMS[request.param]), rate


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    TalkingFace.from_config(PARTS).save(folder / "model.safetensors", trained=["motion", "render"])
    return folder


def misplaced(found, rate):
    """Of the numbers found at each 25th of a second, those whose frame is not on screen then."""
    return [(k, n) for k, n in enumerate(found) if not n / rate - ROUNDED <= Fraction(k, 25) < (n + 1) / rate]


def off(found, expected):
    assert len(found) == len(expected)
    return float(np.abs(np.subtract(found, expected)).max())


def test_a_clip_has_the_films_frames_and_its_beeps_in_their_places(filmed, tmp_path):
    path, rate = filmed
    assert run([path], tmp_path / "out").failed == {}
    clip, about = ClipFolder(tmp_path / "out" / path.stem), meta(tmp_path / "out", path.stem)
    box = about["crop"]["x"], about["crop"]["y"], about["crop"]["side"]
    found = [number(frame, BROW, box) for frame in clip.pictures.frames(range(clip.frames))]
    assert misplaced(found, rate) == [] and clip.frames >= 74
    assert off(beeps(clip.speech().wave[0]), [0.5, 1.5, 2.5]) < LATE


def test_a_generated_video_has_the_films_frames_and_its_beeps_in_their_places(filmed, tmp_path, model):
    path, rate = filmed
    run([path], tmp_path / "out")
    clip = tmp_path / "out" / path.stem
    made = generate(model, path, clip, tmp_path / "made.mp4", progress=False)
    found = [number(frame) for frame in VideoReader(made)]
    frames = ClipFolder(clip).frames
    assert misplaced(found[:frames], rate) == [] and frames <= len(found) <= 75
    assert off(beeps(read_sound(made)), [0.5, 1.5, 2.5]) < LATE
    scored = evaluate(path, made, ["psnr"], progress=False).clips[path.stem]
    assert scored.frames >= 74 and min(scored.metrics["psnr"].frames[:frames]) > 15  # a face was painted in


def test_evaluation_sees_frames_and_beeps_in_their_places(filmed):
    path, rate = filmed
    found = [number(torch.from_numpy(picture).permute(2, 0, 1)) for picture in pictures(VideoReader(path))]
    assert len(found) >= 74 and misplaced(found, rate) == []
    sequence = read_sequence(path, len(found), None, frozenset({"sound"}), {})
    assert off(beeps(sequence.sound), [0.5, 1.5, 2.5]) < LATE
