import csv
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import standins
import torch
import wandb
from clip_maker import make
from omegaconf import OmegaConf
from safetensors.torch import load_file

from visemix.ops.locks import hold
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.run import complete_config, fit, folder_of
from visemix.training.fitting import data_for
from visemix.training.logs import Table
from visemix.types import VisemixError

SHORT = {"steps": 6, "batch": 2, "window": 4, "val_every": 3, "save_every": 2, "log_every": 1, "lr": 1e-2}
PARTS = {
    "face": {"name": "toy"},
    "audio": {"name": "spectrum"},
    "motion": {"name": "gru"},
    "render": {"name": "dots"},
    "data": {"name": "noise"},
}


def config(out, **changes):
    train = {"name": "cpu", "motion": SHORT, "render": SHORT | {"ema": 0.5}}
    return PARTS | {"train": train, "out": str(out), "device": "cpu"} | changes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(config(tmp_path_factory.mktemp("runs")))


def table(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_config_metrics_weights_and_pictures_and_no_training_state(trained):
    assert {p.name for p in trained.iterdir()} == {"config.yaml", "metrics.csv", "model.safetensors", "samples"}
    assert {p.name for p in (trained / "samples").iterdir()} == {
        f"{stage}{at}.png" for stage in ("motion", "render") for at in ("_000003", "_000006", "")
    }


def test_a_run_does_not_say_where_its_plugins_are(tmp_path):
    (tmp_path / "mine.py").write_text("")
    run = fit(config(tmp_path, fit=["motion"], plugins=[str(tmp_path / "mine.py")]))
    assert "mine.py" not in (run / "config.yaml").read_text() and "plugins: []" in (run / "config.yaml").read_text()


def test_the_table_has_every_step_and_validation_of_both_stages(trained):
    rows = table(trained)
    for stage in ("motion", "render"):
        steps = [int(r["step"]) for r in rows if (r["stage"], r["name"]) == (stage, "train/total")]
        assert steps == [0, 1, 2, 3, 4, 5]
        assert len([r for r in rows if (r["stage"], r["name"]) == (stage, "val/total")]) == 2


def test_a_finished_run_is_left_alone(trained):
    before = (trained / "model.safetensors").stat().st_mtime_ns
    assert fit(config(trained.parents[1])) == trained
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_bytes(trained, tmp_path):
    again = fit(config(tmp_path))
    assert (again / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_another_seed_gives_other_weights(trained, tmp_path):
    other = fit(config(tmp_path, seed=1))
    assert not torch.equal(
        load_file(other / "model.safetensors")["motion.head.bias"],
        load_file(trained / "model.safetensors")["motion.head.bias"],
    )


def test_a_checkpoint_needs_no_yaml_and_repeats_the_model(trained, clip):
    first, second = TalkingFace.from_checkpoint(trained), TalkingFace.from_pretrained(trained / "model.safetensors")
    assert first.config["motion"] == {"name": "gru", "hidden": 8, "layers": 1, "space": "expression"}
    assert not first.training
    with torch.inference_mode():
        torch.testing.assert_close(first(clip.speech, clip.subject).frames, second(clip.speech, clip.subject).frames)


DIES = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/data"]
import standins, test_run
from visemix.run import fit
asked = 0
def dying(self, index, get=standins.Windows.__getitem__):
    global asked
    asked += 1
    if asked > {examples}:
        os.kill(os.getpid(), signal.SIGKILL)
    return get(self, index)
standins.Windows.__getitem__ = dying
fit(test_run.config({out!r}))
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(trained, tmp_path):
    # 2 validations take one example each; step 5 of the render stage is the 12 + 2 + 8 + 1 + 1st example
    program = DIES.format(tests=str(Path(__file__).parent), out=str(tmp_path), examples=23)
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    folder = folder_of(complete_config(config(tmp_path)))
    assert read_checkpoint(folder)[1]["trained"] == ["motion"]
    assert (folder / "resume" / "render.safetensors").is_file()
    assert fit(config(tmp_path)) == folder
    assert (folder / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert table(folder) == table(trained)


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/data"]
import standins, test_run
from visemix.run import fit
from visemix.training.logs import Table
done = 0
def dying(self, metrics, step=None, real=Table.log_metrics):
    global done
    done += 1
    if done == {rows}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, metrics, step)
Table.log_metrics = dying
fit(test_run.config({out!r}, **test_run.EVERY))
"""
EVERY = {"fit": ["motion"], "train": {"name": "cpu", "motion": SHORT | {"save_every": 2, "val_every": 2}}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return fit(config(tmp_path_factory.mktemp("undisturbed"), **EVERY))


@pytest.mark.parametrize(
    "rows", [2, 3, 4, 6, 9]
)  # 2: step 1 is saved, its row is not; 3: nor its validation; 9: the end
def test_a_run_that_is_killed_between_a_step_and_its_validation_has_the_same_rows_and_pictures(
    rows, undisturbed, tmp_path
):
    program = KILLED.format(tests=str(Path(__file__).parent), out=str(tmp_path), rows=rows)
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    folder = fit(config(tmp_path, **EVERY))
    assert table(folder) == table(undisturbed)
    files, expected = (
        {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
        for run in (folder, undisturbed)
    )
    files.pop(Path("config.yaml")), expected.pop(Path("config.yaml"))  # says where it is
    assert files == expected


def test_a_table_that_cannot_be_made_anew_is_kept(undisturbed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    path = shutil.copy(undisturbed / "metrics.csv", tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VisemixError, match="No space left"):
        Table(Path(path), "motion", 4)
    assert Path(path).read_bytes() == (undisturbed / "metrics.csv").read_bytes()


def test_a_disk_that_is_full_when_the_config_is_written_does_not_spoil_the_run(trained, tmp_path, monkeypatch):
    folder = folder_of(complete_config(config(tmp_path)))
    with monkeypatch.context() as patch:

        def full(self, *_):
            raise OSError(28, os.strerror(28))

        patch.setattr(os, "fsync", full)
        patch.setattr(OmegaConf, "save", lambda cfg, path: (Path(path).touch(), full(path)))
        with pytest.raises((VisemixError, OSError), match="No space left on device"):
            fit(config(tmp_path))
        assert not folder.exists() or not [*folder.iterdir()]
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_an_empty_config_of_an_older_version_is_written_anew(trained, tmp_path):
    folder = folder_of(complete_config(config(tmp_path)))
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    (folder / "config.yaml").write_text("")
    assert complete_config(OmegaConf.load(fit(config(tmp_path)) / "config.yaml")) == complete_config(config(tmp_path))


def test_a_second_fit_of_a_run_is_refused_by_who_is_at_it_or_waits(trained, tmp_path):
    folder = folder_of(complete_config(config(tmp_path)))
    with hold(folder), pytest.raises(VisemixError, match=rf"is being made by process {os.getpid()} on "):
        fit(config(tmp_path))
    assert fit(config(tmp_path), wait=True) == folder
    with hold(trained):
        assert fit(config(trained.parents[1])) == trained  # nothing is to do


def test_what_a_kill_after_the_last_stage_leaves_is_tidied_up(undisturbed, tmp_path):
    folder = folder_of(complete_config(config(tmp_path, **EVERY)))
    shutil.copytree(undisturbed, folder)
    (folder / "resume").mkdir()
    (folder / ".visemix-abc.part").mkdir()
    fit(config(tmp_path, **EVERY))
    assert {p.name for p in folder.iterdir()} == {"config.yaml", "metrics.csv", "model.safetensors", "samples"}


def test_stages_trained_apart_are_joined(trained, tmp_path):
    joined = fit(config(tmp_path, fit=["render"], load={"motion": str(trained)}))
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (joined, trained))
    for name in ours:
        if name.startswith(("audio.", "motion.")):
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def test_a_stage_of_other_size_is_refused_by_the_name_of_its_weight_and_of_the_options_it_was_built_with(
    trained, tmp_path
):
    said = r"weights in .* belong to other parts or sizes \('motion\.\S+' does not fit\); there, motion\.hidden=8$"
    with pytest.raises(VisemixError, match=said):
        fit(config(tmp_path, motion={"name": "gru", "hidden": 4}, load={"motion": str(trained)}, fit=["render"]))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_in_either_precision(precision, tmp_path, monkeypatch):
    norms, clip = [], torch.nn.utils.clip_grad_norm_

    def clipped(weights, most, *rest):
        weights = list(weights)
        clip(weights, most, *rest)
        norms.append(float(torch.stack([w.grad.norm() for w in weights if w.grad is not None]).norm()))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipped)
    options = SHORT | {"precision": precision, "clip_norm": 1e-4}
    fit(config(tmp_path, fit=["motion"], train={"name": "cpu", "motion": options}))
    assert len(norms) == 6 and norms == pytest.approx([1e-4] * 6, rel=1e-2)


def test_a_data_module_without_validation_trains(tmp_path):
    folder = fit(config(tmp_path, data={"name": "noise", "val": False}, fit=["motion"]))
    assert not any(row["name"].startswith("val/") for row in table(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"motoin": {}}, "an experiment knows no 'motoin'; did you mean 'motion'"),
        ({"motion": {"name": "gru", "hiden": 3}}, "no option 'hiden'; did you mean 'hidden'"),
        ({"motion": {"name": "grru"}}, "no motion model named 'grru'; did you mean 'gru'"),
        ({"fit": ["rendre"]}, "fit knows no 'rendre'; did you mean 'render'"),
        ({"eyes": "drive"}, "eyes knows no 'drive'; did you mean 'driven'"),
        ({"load": {"motio": "x"}}, "load knows no 'motio'; did you mean 'motion'"),
        ({"train": {"name": "cpu", "motion": {"step": 3}}}, "train.motion has no option 'step'; did you mean 'steps'"),
        ({"train": {"name": "cpuu"}}, "use.train knows no 'cpuu'; did you mean 'cpu'"),
        ({"train": {"name": "cpu", "motion": {"steps": 0}}}, "train.motion.steps is 0; it must be at least 1"),
        ({"log": {"name": "wandbb"}}, "no logger named 'wandbb'; did you mean 'wandb'"),
        ({"plugins": ["nowhere.py"]}, "no plugin file .*nowhere.py"),
        *(
            ({"name": name}, "is no name of a run: its folder lies below `out`")
            for name in ("../../escape", "/tmp/x", "a/../../b", "..", "a//b", "", "a\\..\\b", "\x1b[31mred", 3)
        ),
    ],
)
def test_what_nobody_knows_is_refused_with_the_nearest_name(change, message, tmp_path):
    with pytest.raises(VisemixError, match=message):
        complete_config(config(tmp_path, **change))


def test_weights_and_biases_offline(tmp_path):
    folder = fit(config(tmp_path, fit=["motion"], log={"name": "wandb"}))
    (stored,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    assert stored.stat().st_size > 0
    assert wandb.run is None  # the next stage gets a run of its own
    assert len(table(folder)) > 6


def test_a_run_that_is_stopped_says_so_and_can_go_on(trained, tmp_path, monkeypatch):
    seen = []

    def interrupted(self, index, get=standins.Windows.__getitem__):
        seen.append(index)
        if len(seen) == 11:  # in the motion stage's step 4, after the validation that follows step 2
            raise KeyboardInterrupt
        return get(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(standins.Windows, "__getitem__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(config(tmp_path))
    folder = folder_of(complete_config(config(tmp_path)))
    assert [path.name for path in (folder / "resume").iterdir()] == ["motion.safetensors"]
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_stage_with_nothing_to_learn_is_named(tmp_path):
    with pytest.raises(VisemixError, match="nothing in the render stage can be trained; leave it out of `fit`"):
        fit(config(tmp_path, render={"name": "still"}, fit=["render"]))


def test_a_stage_that_was_not_trained_cannot_be_loaded(trained, tmp_path):
    motion_only = fit(config(tmp_path, fit=["motion"]))
    with pytest.raises(VisemixError, match=r"holds no trained render stage \(trained: motion\)"):
        fit(config(tmp_path, fit=["motion"], load={"render": str(motion_only)}))
    render_only = fit(config(tmp_path, fit=["render"], load={"motion": str(motion_only)}))
    assert read_checkpoint(render_only)[1]["trained"] == ["render"]
    assert read_checkpoint(render_only)[1]["loaded"] == ["motion"]


def test_an_example_brings_the_sound_that_the_encoder_hears_around_it(tmp_path, face):
    make(tmp_path / "anna", face, frames=40)
    cfg = complete_config(config(tmp_path, data={"name": "clips", "root": str(tmp_path), "holdout": 0.2}))
    model = TalkingFace.from_config(cfg)
    assert next(iter(data_for(cfg, model, "motion").train_dataloader())).speech.before is None
    model.audio.context = (3, 1)
    data = data_for(cfg, model, "motion")
    speech = next(iter(data.train_dataloader())).speech
    assert (speech.frames, speech.before.shape[1], speech.after.shape[1]) == (4, 3 * 640, 640)
    assert data.lips and not data_for(cfg, model, "render").lips


def test_windows_on_a_grid_are_for_stages_that_hear_and_a_renderer_sees_every_frame(tmp_path, face):
    make(tmp_path / "anna", face, frames=40)
    data = {"name": "clips", "root": str(tmp_path), "holdout": 0.2, "grid": 10}
    cfg = complete_config(config(tmp_path, data=data))
    model = TalkingFace.from_config(cfg)
    assert (data_for(cfg, model, "motion").grid, data_for(cfg, model, "render").grid) == (10, 1)
