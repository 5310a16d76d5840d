"""The papers' own settings start: a few steps on stand-ins for the face, the weights and the data."""

import pytest
from clip_maker import make
from corpus_maker import recipe

from visemix.corpus.clip_specs import make_clip
from visemix.corpus.make import plan_clips
from visemix.pipeline import read_checkpoint
from visemix.run import fit, load_experiment

HUBERT = ["audio.base.weights=random", "audio.base.dim=16", "audio.base.layers=1", "audio.base.heads=2"]
WAV2VEC2 = ["audio.weights=random", "audio.dim=16", "audio.layers=1", "audio.heads=2", "audio.conv_dim=8"]
VAE = ["channels=8", "encoder_layers=1", "decoder_layers=1", "sync_dim=16", "sync_windows=8"]


def short(*stages, window=40, steps=2):
    options = {"steps": steps, "batch": 1, "window": window, "val_every": steps, "val_batches": 1}
    return [f"train.{stage}.{key}={value}" for stage in stages for key, value in options.items()]


@pytest.fixture(scope="module")
def root(face, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    for name in load_experiment("paper/gsmoothface").data.clips[:2]:
        make(folder / "hdtf" / name, face, frames=100, size=32)
    person = recipe(folder / "person", seconds=6.0)
    make_clip(person, plan_clips(person, 1, "train")[0], face)
    return folder


def run(name, root, out, *overrides):
    cfg = load_experiment(name, ["face=toy", f"out={out}", "device=cpu", *overrides])
    return fit(cfg)


def test_gsmoothface(root, tmp_path):
    clips = sorted(path.name for path in (root / "hdtf").iterdir())
    small = ["motion.dim=16", "motion.heads=2", "motion.feedforward=16", "render.vgg=random", "render.base=4"]
    data = [f"data.root={root}/hdtf", f"data.clips=[{','.join(clips)}]"]
    folder = run(
        "paper/gsmoothface", root, tmp_path, *WAV2VEC2, *small, *data, *short("motion"), *short("render", window=1)
    )
    assert read_checkpoint(folder)[1]["trained"] == ["motion", "render"]


def test_geneface_and_then_its_torso(root, tmp_path):
    small = [f"motion.base.{one}" for one in VAE] + ["audio.base.conv_dim=8", f"audio.folder={tmp_path}/heard"]
    nerf = ["render.vanilla_width=8", "render.coarse=4", "render.fine=4", "render.rays=16"]
    data = [f"data.root={root}/hdtf", f"data.target={root}/person"]
    said = [*HUBERT, *small, *nerf, *data, *short("sync", "motion", "postnet")]
    head = run("paper/geneface", root, tmp_path, *said, *short("render", window=3))
    loads = [f"load.{stage}={head}" for stage in ("sync", "motion", "postnet", "render")]
    torso = run("paper/geneface_torso", root, tmp_path, *said, *loads, *short("render", window=3))
    assert read_checkpoint(head)[1]["trained"] == ["sync", "motion", "postnet", "render"]
    assert read_checkpoint(torso)[1]["trained"] == ["render"]
