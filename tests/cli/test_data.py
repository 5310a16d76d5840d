from pathlib import Path

import pytest
import torch
import yaml
from tiny_videos import beeps
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.cli.options import SOME_FAILED
from visemix.data import VideoWriter
from visemix.face import FACE
from visemix.prepare import rnet

FAKES = Path(__file__).parents[1] / "fake_parts.py"


def visemix(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tracker", "mediapip"], "no face tracker named 'mediapip'; did you mean 'mediapipe'?"),
        (
            ["--fit", "rnet"],
            "reconstructor 'rnet': an option without a default must be said (weights): weights=…",
        ),
        (["--fit", "rnet", "--option", "fit.weights=x", "--face", "toy"], "of the face model 'bfm'"),
        (["--refine", "fine"], "reconstructor 'landmarks': refine is 'fine'; it must be 'dense' or 'none'"),
        (
            ["--option", "fits.smooth=1"],
            "--option fits.…: no part 'fits'; did you mean 'fit'? (has: face, tracker, fit)",
        ),
    ],
)
def test_parts_that_prepare_takes_by_name_are_checked_before_any_video_is_read(words, said, tmp_path):
    done = visemix("prepare", tmp_path / "none.mp4", "--out", tmp_path / "out", "--scene", "none", *words)
    assert done.exit_code == 2 and said in done.stderr


def test_a_partly_failed_batch_is_exit_code_1(monkeypatch):
    from visemix.prepare import videos as prepare

    made = prepare.PrepareResult(done=["a"], failed={"b": "no face"})
    monkeypatch.setattr(prepare, "prepare", lambda *_, **__: made)
    assert visemix("prepare", "a.mp4", "b.mp4", "--out", "clips").exit_code == SOME_FAILED == 1


def test_prepare_takes_any_tracker_and_fit_with_their_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VideoWriter("a.mp4", sound=beeps(12)) as out:
        for k in range(12):
            picture = torch.full((3, 96, 128), 40, dtype=torch.uint8)
            picture[:, 30:60, 40 + k : 70 + k] = 250
            out.write(picture)
    words = ("--face", "toy", "--size", 64, "--holdout", 0, "--scene", "none", "--plugin", FAKES)
    words += ("--tracker", "blobs", "--fit", "still", "--option", "fit.shift=0.25")
    made = visemix("prepare", "a.mp4", "--out", "clips", *words)
    assert made.exit_code == 0, made.output
    parts = yaml.safe_load(Path("clips/a/meta.yaml").read_text())["parts"]
    assert parts == {"tracker": {"name": "blobs"}, "fit": {"name": "still", "shift": 0.25}, "scene": {"name": "none"}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--fit rnt", "no reconstructor named 'rnt'; did you mean 'rnet'?"),
        ("--fit rnet --option fit.weights=none.pth", "there is no file none.pth to read the weights of 'rnet' from"),
        ("--fit rnet", "reconstructor 'rnet': "),
        ("--fit rnet --refine none", "reconstructor 'rnet' has no option 'refine' (has: weights, batch)"),
        ("--option fitt.weights=x", "--option fitt.…: no part 'fitt'; did you mean 'fit'? (has: face, tracker, fit"),
        ("--option weights=x", "'weights=x' is no option of a part; write part.option=value"),
        ("--tracker blob", "no face tracker named 'blob'; did you mean 'blobs'?"),
    ],
)
def test_prepare_says_in_a_sentence_what_a_part_lacks(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").touch()
    toy = FACE.build({"name": "toy"})  # in the Basel face's place, which is not there
    monkeypatch.setattr(rnet, "HEADS", tuple(basis.shape[-1] for basis in (toy.identity, toy.expression, toy.texture)))
    common = ("--face", "toy", "--scene", "none", "--plugin", FAKES)
    common += () if "--tracker" in words else ("--tracker", "blobs")
    done = visemix("prepare", "a.mp4", "--out", "clips", *common, *words.split())
    assert done.exit_code == 2 and said in done.stderr, done.output
    assert len(done.stderr.strip().splitlines()) == 1
