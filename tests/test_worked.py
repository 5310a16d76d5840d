"""The worked scripts of `experiments/worked/` do what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

from visemix.corpus.make import corpus
from visemix.data import VideoWriter, read_video
from visemix.pipeline import read_checkpoint

WORKED = Path(__file__).parents[1] / "experiments/worked"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    corpus(folder, speakers=1, minutes=0.06, size=48, synthesiser="formants")
    return folder


def run(script, *words):
    done = subprocess.run(
        [sys.executable, str(WORKED / f"{script}.py"), *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_swap_a_stage(clips, tmp_path):
    said = run("swap_a_stage", clips, tmp_path / "out")
    assert [line.split(":")[0] for line in said.splitlines()] == ["regression + mesh", "a2ep + mesh", "a2ep + taft"]
    assert len(set(said.split(" from ")[1:])) == 3 and "3, 48, 48)" in said


def test_write_a_stage(clips, tmp_path):
    table = Path(run("write_a_stage", clips, tmp_path / "out").splitlines()[-1]).read_text()
    assert all(f"| {row} |" in table for row in ("regression", "murmur", "murmur that hears further"))
    assert len(list((tmp_path / "out/stages").glob("*/model.safetensors"))) == 4  # three speakers, one painter


def test_own_trainer(clips, tmp_path):
    said = run("own_trainer", clips, tmp_path / "model.safetensors")
    told = [line.split() for line in said.splitlines() if line.startswith(("motion:", "render:"))]
    assert [(stage, " ".join(processes)) for stage, _, *processes in told] == [
        ("motion:", "(processes: 2)"),
        ("render:", "(processes: 1)"),
    ]
    assert read_checkpoint(tmp_path / "model.safetensors")[1]["trained"] == ["motion", "render"]
    assert len((WORKED / "own_trainer.py").read_text().splitlines()) <= 40


def test_evaluate_a_folder(clips, tmp_path):
    frames = read_video(next(clips.glob("*/frames.mp4")))[:8]
    for side, pictures in (("real", frames), ("same", frames), ("darker", frames // 2)):
        (tmp_path / side).mkdir()
        with VideoWriter(tmp_path / side / "a.mp4") as writer:
            for picture in pictures:
                writer.write(picture.float() / 255)
    folders = [f"{name}={tmp_path / name}" for name in ("same", "darker")]
    said = run("evaluate_a_folder", tmp_path / "real", tmp_path / "out", *folders)
    rows = {line.split("|")[1].strip(): line for line in said.splitlines() if line.startswith("| ")}
    assert "inf" in rows["same"] and "inf" in rows["recorded"] and "inf" not in rows["darker"]
    assert said.count("lse_c: ") == 2 and "\\toprule" in (tmp_path / "out/table.tex").read_text()
