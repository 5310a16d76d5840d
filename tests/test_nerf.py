"""The landmark NeRF through `fit`, `generate` and `evaluate`: its experiments, and what is refused."""

import json
from pathlib import Path

import pytest
import soundfile
import torch
from clip_maker import make

from visemix.corpus.make import corpus
from visemix.evaluation.heldout import evaluate_run
from visemix.generation import generate
from visemix.pipeline import read_checkpoint
from visemix.run import fit, load_experiment
from visemix.sweep.plan import model_stages, stage_configs
from visemix.types import VisemixError

EXPERIMENTS = Path(__file__).parents[1] / "experiments/geneface"


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    root = tmp_path_factory.mktemp("target")
    corpus(root, speakers=1, minutes=0.05, size=64, synthesiser="formants", seed=1)
    return root


def tiny(name, root, out, *more):
    here = [f"data.root={root}", f"out={out}", "use.scale=tiny", "data.holdout=0.4", "render.rays=64"]
    short = [f"train.render.{option}" for option in ("steps=4", "val_every=4", "val_batches=1")]
    return load_experiment(EXPERIMENTS / f"{name}.yaml", here + short + list(more))


@pytest.fixture(scope="module")
def listening(person, tmp_path_factory):
    return fit(tiny("audio", person, tmp_path_factory.mktemp("runs")))


@pytest.fixture
def sound(tmp_path):
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.1 * torch.randn(16_000 // 4).numpy(), 16_000)
    return path


def test_a_field_that_listens_is_trained_generates_and_is_scored(listening, person, sound, tmp_path, caplog):
    state, notes = read_checkpoint(listening)
    assert notes["trained"] == ["render"] and notes["config"]["render"]["condition"] == "audio"
    assert state["render.driver.encoder.first.0.weight"].shape[1] == 4 * 80  # what it hears
    (clip,) = person.glob("*/meta.yaml")
    assert generate(listening, sound, clip.parent, tmp_path / "out.mp4", progress=False).is_file()
    assert "never trained" not in caplog.text  # there is no motion stage that could be missed
    scores = evaluate_run(listening, ["psnr"], progress=False)
    assert scores.summary["psnr"].status == "ok"
    assert json.loads((listening / "held_out/scores.json").read_text())["clips"]


def test_a_sweep_keeps_the_sound_that_a_field_listens_to(person, tmp_path):
    cfg = tiny("audio", person, tmp_path)
    (alone,) = stage_configs(cfg, model_stages(cfg))
    assert alone["audio"]["learned"] is False and alone["render"]["condition"] == "audio"


def test_a_target_without_a_background_is_refused_before_anything_is_drawn(listening, sound, face, tmp_path):
    bare = make(tmp_path / "anna_000", face, frames=20)
    with pytest.raises(VisemixError, match=r"anna_000 does not say what is head.*prepare it again with --scene"):
        generate(listening, sound, bare.path, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_clip_without_labels_is_refused_before_any_stage_trains(person, face, tmp_path, capsys):
    clip = make(tmp_path / "bare" / "anna_000", face, frames=60)
    with pytest.raises(VisemixError, match=r"anna_000 does not say what is head, torso and background in it"):
        fit(tiny("render", clip.path, tmp_path / "runs", "fit=[motion,render]"))
    assert "training" not in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_a_head_is_trained_and_then_a_torso_for_it_with_pictures_on_the_way(person, tmp_path):
    head = fit(tiny("head", person, tmp_path))
    torso = fit(tiny("torso", person, tmp_path, f"load.render={head}"))
    assert (head / "samples/render_000004.png").is_file() and (torso / "samples/render_000004.png").is_file()
    before, after = read_checkpoint(head)[0], read_checkpoint(torso)[0]
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"torso"}


def test_a_checkpoint_of_another_field_is_refused(person, tmp_path):
    grid = fit(tiny("render", person, tmp_path))
    other = ["render.field=vanilla", "render.vanilla_width=8", f"load.render={grid}"]
    with pytest.raises(VisemixError, match=r"belong to other parts or sizes \('render\.head\.\S+' does not fit\)"):
        fit(tiny("render", person, tmp_path, *other))
