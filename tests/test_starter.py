"""The models that come with the library."""

import hashlib
import inspect
from pathlib import Path

import pytest
import soundfile
import torch
from clip_maker import make
from omegaconf import OmegaConf

from visemix.audio.moonshine import Moonshine
from visemix.config import compose, signature
from visemix.face import FACE
from visemix.face.layout import lips_apart
from visemix.generation import generate, run_home
from visemix.motion import MOTION
from visemix.ops import checkpoint
from visemix.ops.checkpoint import SHIPPED, read_checkpoint, resolve_checkpoint
from visemix.ops.extras import NotInstalled
from visemix.ops.store import read_tensors
from visemix.run import check_unedited, complete_config
from visemix.types import SAMPLE_RATE, AudioFeatures, Subject, VisemixError

ROOT = Path(__file__).parents[1]
MADE_BY = {"starter": "starter.yaml", "starter_a2ep": "starter/a2ep.yaml"}
LARGEST = 15e6  # bytes of all of them
HEARD = 288 + 320  # moonshine, mel
AHEAD = 12  # frames, 0.48 s
WINDOW = {name: value.default for name, value in inspect.signature(Moonshine).parameters.items()}
PARTS = {
    "face": {"name": "toy"},
    "audio": {"name": "mel"},
    "motion": {"name": "regression"},
    "render": {"name": "mesh"},
    "data": {"name": "clips", "root": "x"},
}


def test_they_are_small_and_the_card_says_where_they_come_from():
    assert {file.stem for file in SHIPPED.glob("*.safetensors")} == set(MADE_BY)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < LARGEST
    card = (SHIPPED / "starter.md").read_text()
    for word in ("Licence", "flite", "espeak", "Kokoro", "Limits", "visemix fit starter", "starter_a2ep"):
        assert word in card


@pytest.mark.parametrize("name", MADE_BY)
def test_they_were_trained_as_their_experiments_say(name):
    weights, notes = read_checkpoint(name)
    assert notes["trained"] == ["motion"] and notes["face"] == "ict"
    asked = OmegaConf.to_container(compose(ROOT / "experiments" / MADE_BY[name]))
    features = asked["audio"]["parts"] | {"moonshine": WINDOW | asked["audio"]["parts"]["moonshine"]["base"]}
    audio = notes["config"]["audio"]
    audio["parts"]["moonshine"] = WINDOW | audio["parts"]["moonshine"]
    assert audio == {"name": "concat", "parts": features}  # no cache of ours
    have, want = notes["config"]["motion"]["base"], asked["motion"]["base"]
    assert have["base"] == want["base"] and have["name"] == want["name"]
    assert not [key for key, tensor in weights.items() if not tensor.isfinite().all()]


def test_a_name_stands_for_it_unless_a_run_here_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter").mkdir()  # no run
    assert resolve_checkpoint("starter") == SHIPPED / "starter.safetensors"
    assert run_home(Path("starter")) == Path("runs/starter")
    (tmp_path / "starter/model.safetensors").touch()
    assert resolve_checkpoint("starter") == Path("starter/model.safetensors") and run_home(Path("starter")) == Path(
        "starter"
    )
    assert resolve_checkpoint("elsewhere/starter") == Path("elsewhere/starter")
    with pytest.raises(VisemixError, match=r"no trained model at nobody; .*: starter, starter_a2ep"):
        read_checkpoint("nobody")


def test_a_run_that_loads_one_is_another_run_where_a_later_version_brings_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path / "weights")
    file = tmp_path / "weights/starter.safetensors"
    file.parent.mkdir()

    def brought(content):
        file.write_bytes(content)
        checkpoint.short_digest.cache_clear()
        return complete_config({**PARTS, "load": {"motion": "starter"}})

    first, again, later = brought(b"one"), brought(b"one"), brought(b"two")
    assert signature(first) == signature(again) != signature(later)
    assert first.load.motion == f"starter@{hashlib.sha256(b'one').hexdigest()[:8]}"
    assert complete_config(first) == first  # as it stands in the run's config.yaml
    assert resolve_checkpoint(later.load.motion) == file
    with pytest.raises(VisemixError, match=rf"{first.load.motion} is asked for, .* brings {later.load.motion}"):
        resolve_checkpoint(first.load.motion)


def test_a_run_of_before_keeps_its_name_and_one_here_is_not_of_the_library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = complete_config(PARTS)
    cfg.load = {"motion": "starter"}
    folder = tmp_path / signature(cfg)
    folder.mkdir()
    OmegaConf.save(cfg, folder / "config.yaml")
    check_unedited(folder)
    (tmp_path / "starter").mkdir()
    (tmp_path / "starter/model.safetensors").touch()
    assert complete_config({**PARTS, "load": {"motion": "starter"}}).load.motion == "starter"


def speaker(name):
    """The motion model, a subject who is still for eight seconds, and something to hear."""
    weights, notes = read_tensors(SHIPPED / f"{name}.safetensors")
    face = FACE.build({"name": "ict"})
    motion = MOTION.build(notes["config"]["motion"], HEARD, face).eval()
    motion.load_state_dict({key.removeprefix("motion."): t for key, t in weights.items() if key[:7] == "motion."})
    still = torch.zeros
    subject = Subject(
        ("anna",), still(1, face.identity.shape[-1]), still(1, 200, 53), still(1, 200, 6), still(1, 3),
        still(1, 200, 27), face.albedo[None],
    )  # fmt: skip
    return motion, subject, 0.5 * torch.randn(1, 200, HEARD, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MADE_BY)
def test_they_hear_half_a_second_ahead_and_no_more(name, assets):
    motion, subject, features = speaker(name)
    window = WINDOW | read_checkpoint(name)[1]["config"]["audio"]["parts"]["moonshine"]
    ahead = AHEAD - (window["chunk"] + window["look_ahead"] - 1)
    later = features.clone()
    later[:, 100:] += 1.0
    with torch.no_grad():
        before, after = (motion(AudioFeatures(rows), subject).values for rows in (features, later))
    changed = (before - after).abs().amax((0, 2)) > 1e-5
    assert changed[100:].any() and not changed[: 100 - ahead].any()


@pytest.mark.parametrize("name", MADE_BY)
def test_the_mouth_moves_in_sound_it_knows_as_speech_and_lips_close_in_some_of_it_only(name, assets):
    motion, subject, features = speaker(name)
    face = motion.face
    with torch.no_grad():
        points = face.landmarks(motion(AudioFeatures(features), subject), subject)[0]
    opening = 100 * lips_apart(points)  # millimetres
    assert 1 < opening.std() < 10 and opening.max() < 40
    assert 0 < (opening < 2).float().mean() < 0.5


def test_it_speaks_for_a_prepared_person_at_once(assets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = make(tmp_path / "anna_000", FACE.build({"name": "ict"}), frames=12, size=64)
    wave = 0.1 * torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    soundfile.write(tmp_path / "speech.wav", wave.numpy(), SAMPLE_RATE)
    try:
        made = generate("starter", tmp_path / "speech.wav", clip.path, tmp_path / "out.mp4", progress=False)
    except NotInstalled as error:
        pytest.skip(str(error))
    assert made.is_file() and not (tmp_path / "data").exists()
