"""Files of older formats, made here as those versions made them, in today's format and otherwise the same."""

import os
import shutil

import pytest
import standins  # noqa: F401 – registers its parts
import torch
import yaml
from clip_maker import make
from safetensors.torch import load, save
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.data import ClipFolder
from visemix.data.clipfiles import FORMAT
from visemix.data.migration import migrate
from visemix.ops.checkpoint import SHIPPED
from visemix.ops.formats import CHECKPOINT, STEPS
from visemix.ops.store import read_notes, read_tensors, write_tensors
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.types import VisemixError

PARTS = {"face": {"name": "toy"}, "audio": {"name": "spectrum"}, "motion": {"name": "gru"}, "render": {"name": "dots"}}


@pytest.fixture
def old_run(tmp_path):
    """A checkpoint of before there were numbers."""
    file = tmp_path / "runs/mine/1a2b3c4d/model.safetensors"
    TalkingFace.from_config(PARTS).save(file, trained=["motion"])
    weights, notes = read_tensors(file)
    assert notes.pop("format") == CHECKPOINT
    write_tensors(file, weights, notes)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    return file


@pytest.fixture
def old_clip(tmp_path, face):
    """A clip of format 1: its sound among the tensors, landmarks in pixels, the light of every frame."""
    today = make(tmp_path / "clips/anna_000", face, frames=20, size=32)
    folder = today.path
    tensors = load((folder / "clip.safetensors").read_bytes())
    tensors["wave"] = today.speech().wave[0].clone()
    tensors["landmarks"] = today.tensor("landmarks").contiguous()
    tensors["light"] = today.tensor("light").contiguous()
    shutil.copytree(folder, tmp_path / "today")
    (folder / "clip.safetensors").write_bytes(save(tensors))
    (folder / "sound.flac").unlink()
    meta = yaml.safe_load((folder / "meta.yaml").read_text())
    (folder / "meta.yaml").write_text(yaml.safe_dump(meta | {"format": 1}))
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def told(*paths):
    answer = CliRunner().invoke(app, ["migrate", *map(str, paths)])
    return answer.exit_code, answer.stdout, answer.stderr


def test_a_clip_of_an_older_format_becomes_the_one_that_today_writes(old_clip, tmp_path, face):
    with pytest.raises(VisemixError, match=f"visemix migrate {old_clip}"):
        ClipFolder(old_clip)
    assert [(one.before, one.now, one.reason) for one in migrate([old_clip])] == [(1, FORMAT, "")]
    now, today = content(old_clip), content(tmp_path / "today")
    assert yaml.safe_load(now.pop("meta.yaml")) == yaml.safe_load(today.pop("meta.yaml"))
    ours, theirs = load(now.pop("clip.safetensors")), load(today.pop("clip.safetensors"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert now == today
    assert ClipFolder(old_clip, face).speech().frames == 20
    assert [path.name for path in old_clip.parent.iterdir()] == ["anna_000"]  # nothing lies beside it


def test_a_checkpoint_of_an_older_format_is_read_as_it_is_and_numbered_by_migrate(old_run):
    before, notes = read_checkpoint(old_run)
    assert notes["format"] == CHECKPOINT and "format" not in read_notes(old_run)
    assert [(one.before, one.now) for one in migrate([old_run.parents[2]])] == [(0, CHECKPOINT)]
    after, again = read_checkpoint(old_run)
    assert read_notes(old_run)["format"] == CHECKPOINT and notes == again
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert old_run.stat().st_mtime == 1_000_000_000  # scores are no older than the weights for it
    assert TalkingFace.from_checkpoint(old_run).notes["trained"] == ["motion"]


def test_every_step_from_the_first_format_to_todays_is_there():
    assert sorted(STEPS) == [*range(CHECKPOINT)]


def test_what_has_todays_format_is_left_as_it_is_and_said_so(old_clip, old_run, tmp_path):
    migrate([tmp_path / "runs", old_clip])
    states = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*") if path.is_file()}
    code, out, _ = told(tmp_path)
    assert code == 0 and out.count("is left as it is") == 3  # the clip, its copy of before, the run
    assert states == {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in states}


def test_what_a_newer_version_wrote_is_refused_and_the_others_go_on(old_clip, old_run, tmp_path):
    newer = tmp_path / "clips/newer_000"
    shutil.copytree(tmp_path / "today", newer)
    meta = newer / "meta.yaml"
    meta.write_text(meta.read_text().replace(f"format: {FORMAT}", "format: 99"))
    kept = content(newer)
    code, out, err = told(tmp_path / "clips", old_run)
    assert code == 1 and content(newer) == kept
    knows = f"this version of Visemix reads up to {FORMAT}: install the version that wrote it"
    assert err == f"visemix: {meta} has format 99, {knows}\n"
    assert f"{old_clip} had format 1, and has {FORMAT} now" in out and f"{old_run} had format 0" in out
    weights, notes = read_tensors(old_run)
    write_tensors(old_run, weights, notes | {"format": 99})
    with pytest.raises(VisemixError, match="has format 99, this version of Visemix reads up to"):
        TalkingFace.from_checkpoint(old_run)
    assert told(old_run)[0] == 1


def test_a_clip_that_cannot_be_brought_over_stays_as_it_was(old_clip):
    tensors = load((old_clip / "clip.safetensors").read_bytes())
    tensors["wave"] = tensors["wave"][:-640]  # a frame is missing
    (old_clip / "clip.safetensors").write_bytes(save(tensors))
    kept = content(old_clip)
    (one,) = migrate([old_clip])
    assert "breaks off" in one.reason and content(old_clip) == kept
    assert [path.name for path in old_clip.parent.iterdir()] == ["anna_000"]


def test_what_is_no_file_of_ours_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(save({"x": torch.zeros(1)}))
    assert "a.safetensors is no checkpoint of Visemix" in told(tmp_path / "a.safetensors")[2]
    (tmp_path / "none").mkdir()
    code, _, err = told(tmp_path / "none")
    assert code == 2 and "no checkpoint and no clip in" in err


def test_the_librarys_own_models_are_pinned_by_their_bytes_and_stay():
    before = (SHIPPED / "starter.safetensors").stat().st_mtime_ns
    (one,) = migrate([SHIPPED / "starter.safetensors"])
    assert "comes with the library" in one.reason
    assert (SHIPPED / "starter.safetensors").stat().st_mtime_ns == before


def saved_as_format_1(file, motion, options):
    """A checkpoint whose motion model has `options` today, and had those of `motion` before format 2."""
    torch.manual_seed(0)
    TalkingFace.from_config(PARTS | {"motion": motion | options}).save(file)
    weights, notes = read_tensors(file)
    notes["config"]["motion"] = motion
    write_tensors(file, weights, notes | {"format": 1})


VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync": False}
POSTNET = {"name": "postnet", "compat": "official", "sync_weight": 0.0, "base": VAE | {"kl_weight": 1.0}}


@pytest.mark.parametrize(
    ("motion", "options"),
    [
        (VAE, {"kl_weight": 0.4}),
        (VAE | {"kl_weight": 0.01}, {}),
        ({"name": "closure", "base": VAE}, {"base": VAE | {"kl_weight": 0.4}}),
        (
            {"name": "postnet", "compat": "official", "sync_weight": 0.0, "base": VAE | {"kl_weight": 1.0}},
            {"order": "last"},
        ),
    ],
    ids=["assumed error", "said", "wrapped", "order"],
)
def test_a_motion_model_of_before_keeps_the_defaults_it_had(tmp_path, clip, motion, options):
    file = tmp_path / "model.safetensors"
    saved_as_format_1(file, motion, options)
    read, today = (
        TalkingFace.from_checkpoint(file),
        TalkingFace.from_config(PARTS | {"motion": motion | options}).eval(),
    )
    today.load_state_dict(read.state_dict())
    assert read.motion.config == today.motion.config
    features = read.audio(clip.speech)
    torch.testing.assert_close(read.motion(features, clip.subject).values, today.motion(features, clip.subject).values)


def test_a_regression_of_before_answers_what_it_did(tmp_path, clip, face):
    file, motion = tmp_path / "model.safetensors", {"name": "regression", "hidden": 8, "space": "landmarks"}
    saved_as_format_1(file, motion, {})
    weights = read_tensors(file)[0]
    read = TalkingFace.from_checkpoint(file)
    features = read.audio(clip.speech)
    hidden = read.motion.net(features.values)
    decimetres = hidden @ weights["motion.head.weight"].T + weights["motion.head.bias"]
    expected = decimetres + face.shape(clip.subject.identity).unsqueeze(1)
    torch.testing.assert_close(read.motion(features, clip.subject).values, expected)
