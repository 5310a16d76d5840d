"""Gaussians of one person through `fit` and `generate`: whom they learnt, and what stopping and streaming change."""

import shutil
from pathlib import Path

import pytest
import soundfile
import standins  # noqa: F401 – registers its parts
import torch
import yaml
from clip_maker import make

from visemix.corpus.make import corpus
from visemix.data import ClipFolder
from visemix.generation import LoopedFootage, generate
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.render.gaussians import Gaussians
from visemix.run import fit, load_experiment
from visemix.training.fitting import data_for
from visemix.types import SAMPLE_RATE, VisemixError

EXPERIMENT = Path(__file__).parents[1] / "experiments/gaussians/person.yaml"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    corpus(root, speakers=2, minutes=0.05, size=64, synthesiser="formants")
    return root


def tiny(people, out, *more):
    parts = ["face=toy", "audio=mel", "motion=gru", "load.motion=null"]
    parts += ["render.count=100", "render.components=2", "data.clips=[ada_000]"]
    here = [f"data.root={people}", f"out={out}", "data.holdout=0.4", "device=cpu"]
    short = [f"train.render.{option}" for option in ("steps=12", "val_every=4", "val_batches=2", "save_every=5")]
    return load_experiment(EXPERIMENT, parts + here + short + list(more))


@pytest.fixture(scope="module")
def ada(people, tmp_path_factory):
    return fit(tiny(people, tmp_path_factory.mktemp("runs")))


def test_a_run_knows_whom_it_learnt_and_says_so_over_the_footage_of_another(ada, people, tmp_path, caplog):
    assert read_checkpoint(ada)[1]["shown"] == ["ada"]
    sound = tmp_path / "speech.wav"
    soundfile.write(sound, torch.zeros(SAMPLE_RATE // 5).numpy(), SAMPLE_RATE)
    generate(ada, sound, people / "ada_000", tmp_path / "ada.mp4", progress=False)
    assert "looks" not in caplog.text
    generate(ada, sound, people / "ben_000", tmp_path / "ben.mp4", progress=False)
    assert "this run learnt how ada looks; ben in " in caplog.text


def test_who_was_learnt_goes_with_the_weights_into_other_runs(ada, people, tmp_path):
    spoken = fit(tiny(people, tmp_path, "fit=[motion]", f"load.render={ada}", "train.motion={steps: 1, window: 5}"))
    assert read_checkpoint(spoken)[1]["shown"] == ["ada"]
    joined = fit(tiny(people, tmp_path, "fit=[]", f"load.motion={spoken}", f"load.render={spoken}"))
    assert read_checkpoint(joined)[1]["shown"] == ["ada"]


def test_several_people_are_called_too_many(people, tmp_path, caplog):
    fit(tiny(people, tmp_path, "data.clips=[ada_000,ben_000]", "train.render.steps=1"))
    assert "the render stage learns the looks of one person and is shown ada and ben" in caplog.text


def test_a_killed_training_goes_on_as_if_nothing_had_happened(ada, people, tmp_path, monkeypatch):
    steps, loss = [], Gaussians.loss

    def killed(self, *args):
        steps.append(1)
        if len(steps) == 12:
            raise SystemError("killed")
        return loss(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Gaussians, "loss", killed)
        with pytest.raises(SystemError, match="killed"):
            fit(tiny(people, tmp_path))
    (state,) = tmp_path.rglob("resume/render.safetensors")
    assert state.is_file()
    again = fit(tiny(people, tmp_path))
    assert (again / "model.safetensors").read_bytes() == (ada / "model.safetensors").read_bytes()


def test_frames_are_the_same_however_many_are_painted_at_a_time(ada, people):
    model = TalkingFace.from_checkpoint(ada)
    clip = ClipFolder(people / "ada_000", model.face)
    speech, footage = clip.speech(0, 10), LoopedFootage(clip, 10)
    with torch.inference_mode():
        whole = model(speech, footage.subject(torch.arange(10))).frames
        for batch in (1, 3, 7):
            pieces = [video.frames for video in model.stream(speech, footage, batch=batch)]
            assert torch.equal(torch.cat(pieces, 1), whole)


def test_bad_clips_are_refused_with_the_way_out(people, face, tmp_path):
    here = shutil.copytree(people / "ada_000", tmp_path / "clips/ada_000")
    (here / "labels.safetensors").unlink()
    with pytest.raises(VisemixError, match=r"ada_000 does not say what is head.*prepare it again with --scene"):
        fit(tiny(tmp_path / "clips", tmp_path))
    shutil.rmtree(here)
    labels = torch.full((10, 64, 64), 2, dtype=torch.uint8)
    make(here, face, frames=10, size=64, labels=labels)
    with pytest.raises(VisemixError, match=r"10 frames, 10 of them kept from training \(data.holdout, data.watch\)"):
        fit(tiny(tmp_path / "clips", tmp_path))


def test_frames_without_a_face_are_not_learnt_from(people, tmp_path):
    here = shutil.copytree(people / "ada_000", tmp_path / "clips/ada_000")
    meta = yaml.safe_load((here / "meta.yaml").read_text())
    (here / "meta.yaml").write_text(yaml.safe_dump(meta | {"away": [[5, 30]]}))
    cfg = tiny(tmp_path / "clips", tmp_path)
    spans = data_for(cfg, TalkingFace.from_config(cfg), "render").train_spans
    assert [(span.start, span.stop) for span in spans] == [(0, 5), (30, 60)]


def test_weights_of_another_count_carry_it_and_say_it_where_it_is_not_asked_for(ada, people, tmp_path):
    assert TalkingFace.from_checkpoint(ada).render.counts == (70, 20, 10)  # 20 000 by default
    with pytest.raises(VisemixError, match=r"belong to other parts or sizes .* there, render.count=100"):
        fit(tiny(people, tmp_path, "render.count=60", f"load.render={ada}"))
