import pytest
import torch
import wandb
from clip_maker import make
from safetensors.torch import load_file
from short_runs import SHORT, config, table

from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.run import complete_config, fit
from visemix.training.fitting import data_for
from visemix.types import VisemixError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(config(tmp_path_factory.mktemp("runs")))


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
            ({"name": name}, "names no folder below `out`; take words, with / between them")
            for name in ("../../escape", "/elsewhere/x", "a/../../b", "..", "a//b", "", "a\\..\\b", "\x1b[31mred")
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
