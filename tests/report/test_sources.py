import os
from pathlib import Path

import pytest

import visemix.report.sources
from visemix.evaluation.result import ClipScores, Details, Mean, Result, write_result
from visemix.metrics.suite import Score
from visemix.report.sources import method


def result(value):
    """An evaluation of one clip by PSNR, made from another place than the tests'."""
    number, score = Mean(value, "ok", "dB", "", "full"), {"psnr": Score(value)}
    clip = ClipScores(Path("gone/real/a.mp4"), Path("gone/fake/a.mp4"), 3, 25.0, (64, 64), [], score, score)
    return Result({"psnr": number}, {"psnr": number}, {"psnr": Details()}, {"a": clip})


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that was scored, and a list of the times that it was scored again."""
    held = tmp_path / "run/held_out"
    held.mkdir(parents=True)
    parts = "audio: {name: mel}\nmotion: {name: a2ep}\nrender: {name: taft}\nface: {name: ict}\nfit: [render]\n"
    (tmp_path / "run/config.yaml").write_text(f"name: mine\n{parts}")
    (tmp_path / "run/model.safetensors").write_bytes(b"weights")
    write_result(held / "scores.json", result(30.0))
    again = []

    def evaluate_run(path, **options):
        again.append(path)
        return result(99.0)

    monkeypatch.setattr(visemix.report.sources, "evaluate_run", evaluate_run)
    return tmp_path / "run", again


def later(path, seconds):
    os.utime(path, (path.stat().st_mtime + seconds,) * 2)


def test_a_runs_scores_are_read_and_measured_anew_where_its_weights_are_younger(run):
    folder, again = run
    assert method("mine", folder).result.summary["psnr"].value == 30.0 and not again
    later(folder / "model.safetensors", 10)
    assert method("mine", folder).result.summary["psnr"].value == 99.0 and again == [folder]


def test_scores_outlive_weights_that_are_gone(run):
    folder, again = run
    (folder / "model.safetensors").unlink()
    assert method("mine", folder).result.summary["psnr"].value == 30.0 and not again


def test_a_run_that_has_moved_shows_its_own_videos(run):
    folder, _ = run
    moved = folder.rename(folder.with_name("elsewhere"))
    found = method("mine", moved)
    assert found.result.clips["a"].fake == moved / "held_out/fake/a.mp4"
    assert found.about == "mine (elsewhere): mel → a2ep → taft, face model ict; trained: render"
