"""Stages from other runs: whoever learnt from sound must go on hearing what it heard."""

import pytest
import standins  # noqa: F401 – registers its parts
import torch
from clip_maker import make

from visemix.audio import AUDIO, AudioEncoder
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.run import fit
from visemix.training.ownership import applicable_stages
from visemix.types import AudioFeatures, VisemixError

SHORT = {"steps": 2, "batch": 2, "window": 10, "val_every": 2, "log_every": 1}
VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 16, "sync_windows": 16}
HUBERT = {
    "name": "hubert", "weights": "random", "trainable": False, "dim": 16, "layers": 1, "heads": 2, "conv_dim": 8
}  # fmt: skip
CTC = {"name": "ctc", "weights": "random", "characters": 58, "dim": 16, "layers": 1, "heads": 2, "conv_dim": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory, face):
    root = tmp_path_factory.mktemp("clips")
    make(root / "anna_000", face, frames=40)
    return root


def run(root, out, audio, **changes):
    """A run with a sync-expert; by default nothing is trained in it."""
    train = {"name": "cpu"} | dict.fromkeys(("sync", "motion", "render"), SHORT)
    return fit(
        {
            "face": {"name": "toy"},
            "audio": audio,
            "motion": VAE,
            "render": {"name": "still"},
            "data": {"name": "clips", "root": str(root), "holdout": 0.4},
            "train": train,
            "fit": [],
            "out": str(out),
            "device": "cpu",
        }
        | changes
    )


@pytest.fixture(scope="module")
def expert(root, tmp_path_factory):
    return run(root, tmp_path_factory.mktemp("runs"), HUBERT, fit=["sync"])


def test_an_expert_is_not_joined_to_another_hubert(root, expert, tmp_path):
    """They have the same options, and other weights."""
    said = r"the sync stage in \S+ hears 'hubert' \(.*weights=(\w+)\), this run 'hubert' \(.*weights=(?!\1)\w+\)"
    with pytest.raises(VisemixError, match=said):
        run(root, tmp_path, HUBERT, load={"sync": str(expert)}, seed=1)


def test_the_same_weights_are_the_same_ears_wherever_they_come_from(root, expert, tmp_path):
    TalkingFace.from_checkpoint(expert).audio.model.save_pretrained(tmp_path / "hubert")
    folder = {"name": "hubert", "weights": str(tmp_path / "hubert"), "trainable": False, "dropout": 0.3, "dim": 99}
    cached = {"name": "cached", "base": folder, "folder": str(tmp_path / "features")}
    for audio in (folder, cached):
        joined = run(root, tmp_path, audio, load={"sync": str(expert)}, seed=1)
        assert read_checkpoint(joined)[1]["loaded"] == ["sync"]


def test_ears_that_come_with_the_motion_are_those_that_count(root, expert, tmp_path):
    """Whatever the order in which an experiment names them."""
    load = {"sync": str(expert)}
    moved = run(root, tmp_path, HUBERT, load=load, fit=["motion"])
    for names in (["motion", "sync"], ["sync", "motion"]):
        load = {name: str({"sync": expert, "motion": moved}[name]) for name in names}
        joined = run(root, tmp_path, HUBERT, load=load, seed=1)
        ours, theirs = (read_checkpoint(folder)[0] for folder in (joined, moved))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours if name.startswith(("audio.", "motion.")))


def test_an_expert_is_not_joined_to_motion_that_brings_another_hubert(root, expert, tmp_path):
    """Though the run begins with the expert's own."""
    other = run(root, tmp_path, HUBERT, fit=["sync", "motion"], seed=1)
    with pytest.raises(VisemixError, match=r"the sync stage in \S+ hears 'hubert' \(.*, this run 'hubert'"):
        run(root, tmp_path, HUBERT, load={"sync": str(expert), "motion": str(other)})


def test_a_recogniser_of_the_other_family_has_other_ears(root, tmp_path):
    first = run(root, tmp_path, CTC, motion={"name": "gru"}, fit=["motion"])
    with pytest.raises(VisemixError, match=r"hears 'ctc' \(family=Wav2Vec2.*, this run 'ctc' \(family=Hubert"):
        run(root, tmp_path, CTC | {"family": "Hubert"}, motion={"name": "gru"}, load={"motion": str(first)})


def test_options_of_a_plug_in_say_what_it_hears_unless_it_says_otherwise(root, tmp_path, monkeypatch):
    monkeypatch.setattr(AUDIO, "_parts", dict(AUDIO._parts))

    @AUDIO.register("deep")
    class Deep(AudioEncoder):
        def __init__(self, *, layer: int = 4) -> None:
            super().__init__()
            self.dim, self.layer = 8, layer

        def forward(self, speech):
            rows = torch.linspace(0, self.layer, speech.frames)[None, :, None]
            return AudioFeatures(rows.expand(len(speech.wave), -1, 8))

    first = run(root, tmp_path, {"name": "deep", "layer": 4}, fit=["sync"])
    with pytest.raises(VisemixError, match=r"sync stage in \S+ hears 'deep' \(layer=4\), this run 'deep' \(layer=24\)"):
        run(root, tmp_path, {"name": "deep", "layer": 24}, load={"sync": str(first)})
    monkeypatch.setattr(Deep, "feature_options", classmethod(lambda cls, options: {"name": "deep"}))
    assert run(root, tmp_path, {"name": "deep", "layer": 24}, load={"sync": str(first)})


def test_a_recogniser_beside_another_encoder_is_trained_too():
    parts = {"mel": {"learned": False}, "ctc": CTC}
    model = TalkingFace.from_config(
        {
            "face": {"name": "toy"},
            "audio": {"name": "concat", "parts": parts},
            "motion": {"name": "gru"},
            "render": {"name": "still"},
        }
    )
    assert applicable_stages(model) == ["recogniser", "motion", "finetune", "joint"]
