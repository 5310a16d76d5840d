"""Gaussians of one person through `fit` and `generate`: whom they learnt, and what stopping and streaming change."""

from pathlib import Path

import pytest
import soundfile
import standins  # noqa: F401 – registers its parts
import torch

from visemix.data import ClipFolder
from visemix.data.corpus import corpus
from visemix.generation import Loop, generate
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.render.gaussians import Gaussians
from visemix.run import fit, load_experiment
from visemix.types import SAMPLE_RATE

EXPERIMENT = Path(__file__).parents[1] / "experiments/gaussians/person.yaml"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp("people")
    corpus(root, speakers=2, minutes=0.05, size=64, synthesiser="formants")
    return root


def tiny(people, out, *more):
    parts = ["face=toy", "motion=gru", "render.count=100", "render.components=2", "data.clips=[ada_000]"]
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
    assert "'gaussians' learns how one person looks and is shown ada and ben" in caplog.text


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
    speech, loop = clip.speech(0, 10), Loop(clip, 10)
    with torch.inference_mode():
        whole = model(speech, loop.subject(torch.arange(10))).frames
        for batch in (1, 3, 7):
            pieces = [video.frames for video in model.stream(speech, loop, batch=batch)]
            assert torch.equal(torch.cat(pieces, 1), whole)
