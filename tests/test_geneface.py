"""GeneFace's three stages through `fit`: in order, resumed, loaded, refused."""

import csv
import re
from pathlib import Path

import pytest
import standins  # noqa: F401 – registers its parts
import torch
from clip_maker import make

from visemix.motion.guide import SyncGuide
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.run import complete_config, fit, folder_of
from visemix.training.modules import STAGES
from visemix.types import VisemixError

VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 16, "sync_windows": 16}
SHORT = {"steps": 6, "batch": 2, "window": 10, "val_every": 3, "save_every": 2, "log_every": 1, "lr": 1e-3}
ORDER = ["sync", "motion", "postnet"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory, face):
    root, target = (tmp_path_factory.mktemp(name) for name in ("many", "person"))
    for name in ("anna_000", "bert_000"):
        make(root / name, face, frames=40)
    make(target / "dora_000", face, frames=40)
    return root, target


def config(folders, out, **changes):
    root, target = folders
    return {
        "face": {"name": "toy"},
        "audio": {"name": "mel", "learned": False},
        "motion": {"name": "postnet", "base": VAE | {"sync_threshold": 99.0}},
        "render": {"name": "still"},
        "data": {"name": "clips", "root": str(root), "target": str(target), "holdout": 0.6},
        "train": {"name": "cpu", "sync": SHORT, "motion": SHORT, "postnet": SHORT},
        "out": str(out),
        "device": "cpu",
    } | changes


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    return fit(config(folders, tmp_path_factory.mktemp("runs")))


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_the_parts_need_is_trained_in_order_and_what_they_lack_is_passed_over(trained):
    assert [stage for stage, module in STAGES.items() if not module.opt_in][:3] == ORDER
    assert read_checkpoint(trained)[1]["trained"] == ORDER
    stages = [row["stage"] for row in rows(trained)]
    assert list(dict.fromkeys(stages)) == ORDER
    assert {p.name for p in (trained / "samples").iterdir()} == {
        f"{stage}{at}.png" for stage in ORDER for at in ("_000003", "_000006", "")
    }


def test_validation_reports_how_good_the_expert_is_and_how_settled_the_post_net(trained):
    measured = {(row["stage"], row["name"]): float(row["value"]) for row in rows(trained)}
    for name in ("accuracy", "auc", "offset_found"):
        assert 0 <= measured["sync", f"val/{name}"] <= 1
    assert measured["postnet", "val/spread"] >= 0
    assert ("postnet", "train/critic") in measured and ("postnet", "train/adversarial") in measured


def test_each_stage_moves_its_own_weights_alone(folders, trained, tmp_path):
    before = TalkingFace.from_config(complete_config(config(folders, tmp_path))).state_dict()
    torch.manual_seed(0)
    states = {}
    for count in (1, 2):
        folder = fit(config(folders, tmp_path, fit=ORDER[:count]))
        states[count] = read_checkpoint(folder)[0]
    states[3] = read_checkpoint(trained)[0]

    def moved(a, b):
        return {re.sub(r"^motion\.(base\.)?(\w+)\..*", r"\2", n) for n in a if not torch.equal(a[n], b[n])}

    generator = {"condition", "slow", "posterior", "decoder", "flow", "learned_variance"}
    assert moved(states[1], states[2]) == generator | {"trigger"}
    assert moved(states[2], states[3]) == {"postnet", "postnet_critic"}  # batch statistics of the frozen included
    assert before.keys() == states[3].keys()


def test_a_run_stopped_in_any_stage_goes_on_as_if_nothing_had_happened(folders, trained, tmp_path, monkeypatch):
    """The guidance came on in step 0; a resumed run that forgot it would end elsewhere."""
    from visemix.data.clips import ClipFolder

    count, real = 0, ClipFolder.clip
    for stop in (9, 30, 70):  # clips read: in the stages sync, motion and postnet

        def interrupted(self, *args, stop=stop, **kwargs):
            nonlocal count
            count += 1
            if count == stop:
                raise KeyboardInterrupt
            return real(self, *args, **kwargs)

        count = 0
        monkeypatch.setattr(ClipFolder, "clip", interrupted)
        out = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            fit(config(folders, out))
        monkeypatch.setattr(ClipFolder, "clip", real)
        assert list((folder_of(complete_config(config(folders, out))) / "resume").iterdir())
        again = fit(config(folders, out))
        assert (again / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_a_bare_generator_takes_the_weights_of_a_wrapped_one(folders, trained, tmp_path):
    load = {"sync": str(trained), "motion": str(trained)}
    bare = fit(config(folders, tmp_path, motion=VAE | {"sync_threshold": 99.0}, load=load, fit=[]))
    ours, theirs = read_checkpoint(bare)[0], read_checkpoint(trained)[0]
    assert torch.equal(ours["motion.decoder.after.weight"], theirs["motion.base.decoder.after.weight"])
    assert bool(ours["motion.trigger.on"])


def test_fine_tuning_trains_the_motion_model_on_with_the_persons_clips(folders, trained, tmp_path):
    load = {"sync": str(trained), "motion": str(trained)}
    motion, train = VAE | {"sync_threshold": 99.0}, {"name": "cpu", "finetune": SHORT}
    folders[0].rename(tmp_path / "many")  # of the many speakers nothing is read
    tuned = fit(config(folders, tmp_path, motion=motion, train=train, load=load, fit=["finetune"]))
    (tmp_path / "many").rename(folders[0])
    assert read_checkpoint(tuned)[1]["trained"] == ["finetune"]
    ours, theirs = read_checkpoint(tuned)[0], read_checkpoint(trained)[0]
    assert not torch.equal(ours["motion.decoder.after.weight"], theirs["motion.base.decoder.after.weight"])
    assert all(torch.equal(ours[n], theirs[n.replace("motion.", "motion.base.", 1)]) for n in ours if "sync_guide" in n)


def test_without_the_expert_there_is_no_such_stage(folders, tmp_path):
    run = fit(config(folders, tmp_path, motion=VAE | {"sync": False}))
    assert read_checkpoint(run)[1]["trained"] == ["motion"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fit": ["motion"]}, "the motion stage builds on the sync stage, which nobody trained: put it in fit"),
        ({"fit": ["sync", "postnet"]}, "the postnet stage builds on the motion stage, which nobody trained"),
        ({"audio": {"name": "mel"}}, "sync-expert hears audio 'mel', which would learn on after it"),
        ({"motion": {"name": "gru"}, "fit": ["sync"]}, "nothing in the sync stage can be trained"),
    ],
)
def test_what_cannot_be_trained_is_said(folders, tmp_path, change, message):
    with pytest.raises(VisemixError, match=message):
        fit(config(folders, tmp_path, **change))


def test_another_encoder_or_face_between_stages_is_named_with_both_sides(folders, trained, tmp_path):
    load = {"sync": str(trained)}
    with pytest.raises(
        VisemixError, match=r"sync stage in .* hears 'mel' \(.*bands=80.*\), this run 'mel' \(.*bands=40"
    ):
        fit(config(folders, tmp_path, load=load, audio={"name": "mel", "learned": False, "bands": 40}))
    tensors, notes = read_checkpoint(trained)
    from visemix.ops.store import write_tensors

    write_tensors(tmp_path / "model.safetensors", tensors, notes | {"face": "ict"})
    with pytest.raises(VisemixError, match="trained with face model 'ict', this run has 'toy'"):
        fit(config(folders, tmp_path, load={"sync": str(tmp_path)}))


def test_the_expert_of_a_run_is_one_part(trained):
    model = TalkingFace.from_checkpoint(trained)
    assert len([m for m in model.modules() if isinstance(m, SyncGuide)]) == 1
    assert not Path(trained / "resume").exists()


def test_a_persons_rest_and_amplitude_are_found_over_what_others_taught(folders, tmp_path):
    """And taken over, by a run that has both from elsewhere; its sound is heard through a cache, which is not kept."""
    motion = {"name": "closure", "base": {"name": "calibrated", "base": {"name": "gru"}}}
    audio = {"name": "concat", "parts": {"mel": {"name": "cached", "base": {"name": "mel", "learned": False}}}}
    audio["parts"]["mel"]["folder"] = str(tmp_path / "features")
    mine = {"motion": motion, "audio": audio, "train": {"name": "cpu", "motion": SHORT, "adapt": SHORT | {"lr": 0.05}}}
    many = fit(config(folders, tmp_path, fit=["motion"], **mine))
    own = fit(config(folders, tmp_path, fit=["adapt"], load={"motion": str(many)}, **mine))
    assert read_checkpoint(own)[1]["config"]["audio"]["parts"]["mel"] == {"name": "mel", "learned": False}
    theirs, ours = read_checkpoint(many)[0], read_checkpoint(own)[0]
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert changed == {"motion.base.calibration.scale", "motion.base.calibration.offset"}
    joined = fit(config(folders, tmp_path, fit=[], load={"motion": str(many), "adapt": str(own)}, **mine))
    for name, tensor in read_checkpoint(joined)[0].items():
        assert torch.equal(tensor, ours[name])
    with pytest.raises(VisemixError, match="the adapt stage builds on the motion stage, which nobody trained"):
        fit(config(folders, tmp_path, fit=["adapt"], **mine))


def test_where_stages_come_from_is_said_stage_by_stage_and_taken_back_by_null(folders, tmp_path):
    assert complete_config(config(folders, tmp_path, load={"motion": None, "sync": "there"})).load == {"sync": "there"}
    assert complete_config(config(folders, tmp_path, load=None)).load == {}
    with pytest.raises(VisemixError, match=r"load=starter says no stage .*; write load.motion=starter, say"):
        complete_config(config(folders, tmp_path, load="starter"))


def test_two_wrappers_of_a_kind_cannot_be_told_apart(folders, tmp_path):
    motion = {"name": "calibrated", "base": {"name": "calibrated", "base": {"name": "gru"}}}
    run = config(folders, tmp_path, fit=["motion"], motion=motion)
    with pytest.raises(VisemixError, match="two parts of one kind are wrapped around each other"):
        TalkingFace.from_checkpoint(fit(run))
