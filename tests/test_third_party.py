"""Plug-ins of `experiments/third_party/`, each a wheel of one file, as an installer leaves them: found unasked."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import yaml
from test_wheel import ROOT, wheel

from visemix.corpus.make import corpus
from visemix.data import ClipFolder, VideoWriter, find_clips, read_video
from visemix.ops.store import read_tensors

PLUGINS = ROOT / "experiments/third_party"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What stands in for site-packages."""
    folder = tmp_path_factory.mktemp("site")
    for project in sorted(PLUGINS.iterdir()):
        names = wheel(project, folder)
        assert len([name for name in names if ".dist-info/" not in name]) == 1  # one file
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three and a half seconds of a synthetic person, large enough for a face tracker."""
    folder = tmp_path_factory.mktemp("clips")
    corpus(folder, speakers=1, minutes=0.06, size=96, synthesiser="formants")
    return find_clips(folder)[0]


@pytest.fixture
def python(site, tmp_path):
    """Runs Python, in a folder of its own, where nothing but what is installed can be found; answers what it said."""

    def run(*words, **settings):
        env = os.environ | {"PYTHONPATH": f"{site}:{ROOT / 'src'}", "OMP_NUM_THREADS": "1"} | settings
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture
def visemix(python):
    return lambda *words: python("-m", "visemix.cli", *words)


def losses(run, stage, name):
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["stage"], row["name"]) == (stage, name)]
    return [float(row["value"]) for row in rows]


def test_the_contracts_run_on_what_is_installed_unasked(python):
    rest = [
        "-n",
        "0",
        "-v",
        "-k",
        "(points or pcen) and not any_encoder",
        "-p",
        "no:cacheprovider",
        f"--rootdir={ROOT}",
    ]
    said = python("-m", "pytest", ROOT / "tests/test_contracts.py", *rest, f"-c{ROOT / 'pyproject.toml'}")
    passed = {line.split("::")[1].split()[0] for line in said.splitlines() if "PASSED" in line and "::" in line}
    assert "test_what_a_renderer_became_in_training_comes_back[points]" in passed
    assert "test_sound_heard_piece_by_piece_is_heard_as_in_one_pass[pcen]" in passed
    assert len(passed) >= 7


def test_a_renderer_learns_while_its_points_multiply_and_go_and_comes_back_with_as_many(visemix, clip, tmp_path):
    steps = ["train.render.steps=60", "train.render.batch=1", "train.render.val_every=20", "train.render.save_every=25"]
    words = ["fit", PLUGINS / "points/points.yaml", f"data.root={clip}", "out=runs", "render.every=10", *steps]
    run = tmp_path / visemix(*words).splitlines()[-1]
    first, *_, last = losses(run, "render", "val/image")
    assert last < 0.8 * first
    state = read_tensors(run / "model.safetensors")[0]
    points = len(state["render.vertex"])
    assert points > 500 and {len(state[f"render.{name}"]) for name in ("offset", "size", "colour", "opacity")} == {
        points
    }
    visemix("generate", run, "--audio", clip / "sound.flac", "--target", clip, "--out", tmp_path / "said.mp4")
    assert len(read_video(tmp_path / "said.mp4")) == 90


def test_a_data_module_of_somebody_elses_is_trained_from_and_scored(visemix, python, clip, tmp_path):
    folder, held = ClipFolder(clip), {}
    whole = folder.clip(range(folder.frames))
    for name in ("identity", "expression", "pose"):
        held[name] = getattr(whole.subject, name)[0].numpy()
    pictures = (whole.video.frames[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    (tmp_path / "recordings").mkdir()
    np.savez(tmp_path / "recordings/ada.npz", pictures=pictures, wave=whole.speech.wave[0].numpy(), **held)

    steps = ["train.motion.steps=40", "train.motion.window=20", "train.motion.log_every=1"]
    run = tmp_path / visemix("fit", PLUGINS / "npz/npz.yaml", "out=runs", *steps).splitlines()[-1]
    learning = losses(run, "motion", "train/total")
    assert sum(learning[-10:]) < 0.8 * sum(learning[:10])
    visemix("evaluate", run, "--metrics", "psnr,lm3d_l2", "--out", tmp_path / "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["clips"]["ada_000"]["frames"] == 25
    assert [scores["summary"][name]["status"] for name in ("psnr", "lm3d_l2")] == ["ok", "ok"]

    python("-m", "visemix_npz", "recordings", "written")
    written = ClipFolder(tmp_path / "written/ada")
    assert (written.frames, written.speaker, written.meta["source"]["name"]) == (90, "ada", "ada.npz")
    assert np.allclose(written.tensor("expression").numpy(), held["expression"])
    assert np.abs(written.pictures.frames([50])[0].permute(1, 2, 0).numpy().astype(int) - pictures[50]).mean() < 4


def test_a_tracker_and_a_reconstructor_are_reached_by_name(visemix, clip, tmp_path):
    listed = json.loads(visemix("parts", "--json"))
    assert {"mediapipe", "sparse"} <= set(listed["tracker"]) and {"landmarks", "rnet", "closed"} <= set(listed["fit"])
    video = tmp_path / "ada.mp4"
    with VideoWriter(video, sound=clip / "sound.flac") as out:
        out.write(read_video(clip / "frames.mp4"))
    chosen = ["--tracker", "sparse", "--fit", "closed", "--option", "tracker.every=3", "--option", "fit.ridge=0.5"]
    visemix("prepare", video, "--out", "clips", "--face", "toy", "--size", 96, "--scene", "none", *chosen)
    meta = yaml.safe_load((tmp_path / "clips/ada/meta.yaml").read_text())
    assert meta["parts"]["tracker"] == {"name": "sparse", "base": "mediapipe", "every": 3}
    assert meta["parts"]["fit"] == {"name": "closed", "ridge": 0.5}
    assert meta["frames"] == 88 and meta["fit"]["reprojection_px"] < 2 and meta["fit"]["mouth_opening_r"] > 0.9


def test_a_metric_is_measured(visemix, clip, tmp_path):
    pictures = read_video(clip / "frames.mp4")[:8]
    for name, shown in (("real", pictures), ("soft", pictures.float().unfold(2, 4, 4).mean(-1))):
        shown = shown.repeat_interleave(pictures.shape[2] // shown.shape[2], 2)
        with VideoWriter(tmp_path / f"{name}.mp4") as out:
            out.write(shown.byte())
    visemix("evaluate", "real.mp4", "soft.mp4", "--metrics", "gmsd,psnr", "--out", "scores.json")
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["summary"]["gmsd"]["value"] > 0.05 and scores["truth"]["gmsd"]["value"] == 0
    assert scores["details"]["gmsd"]["higher_is_better"] is False
