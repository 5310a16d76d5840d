"""A third party's metric goes all the way: into numbers, tables and pages, by what it says of itself."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clip_maker import make
from test_wheel import wheel
from typer.testing import CliRunner

from visemix import plugins
from visemix.cli.app import app
from visemix.data import VideoWriter
from visemix.evaluation import pair as scoring
from visemix.evaluation.heldout import FOLDER
from visemix.metrics import METRICS
from visemix.report import make as make_report
from visemix.sweep.runner import _is_scored

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "experiments/third_party/tint"
PLUGIN = PROJECT / "visemix_tint.py"


@pytest.fixture(autouse=True)
def alone(monkeypatch, folders):
    """What a plug-in registers here is forgotten at the end of a test."""
    monkeypatch.chdir(folders)
    monkeypatch.setattr(METRICS, "_parts", dict(METRICS._parts))
    monkeypatch.setattr(plugins, "_files_loaded", set())
    for place in (scoring, make_report):
        monkeypatch.setattr(place, "make_tracker", lambda: (None, "no tracker in this test"))


def visemix(*words, code=0):
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Grey recordings of two clips, and the same with more red: 12 levels in the one, 6 in the other."""
    folder = tmp_path_factory.mktemp("videos")
    for side, share in (("real", 0), ("red", 1)):
        (folder / side).mkdir()
        for clip, levels in (("a", 12), ("b", 6)):
            colour = torch.tensor([100 + share * levels, 100, 100]) / 255
            with VideoWriter(folder / side / f"{clip}.mp4", crf=1) as writer:
                for _ in range(5):
                    writer.write(colour[:, None, None].expand(3, 64, 64))
    return folder


def test_it_is_measured_beside_ours_in_every_process(folders):
    said = visemix(
        "evaluate", "real", "red", "--metrics", "psnr,tint", "--jobs", 2, "--plugin", PLUGIN, "--out", "s.json"
    )
    found = json.loads(Path("s.json").read_text())
    row = found["summary"]["tint"]
    assert row["value"] == pytest.approx(9, abs=1.5) and (row["status"], row["unit"]) == ("ok", "levels")
    assert [clip["metrics"]["tint"]["value"] for clip in found["clips"].values()] == [
        pytest.approx(12, abs=2),
        pytest.approx(6, abs=2),
    ]
    assert found["truth"]["tint"]["value"] == 0 and "levels" in said.stdout


def test_without_it_nobody_knows_the_name():
    assert "no metric named 'tint'" in visemix("evaluate", "real", "red", "--metrics", "tint", code=2).stderr


def test_it_stands_in_tables_and_on_the_page_where_it_says(monkeypatch):
    words = ("--metrics", "psnr,tint", "--plugin", PLUGIN, "--out", "scores.json", "--table", "t.md")
    visemix("evaluate", "real", "red", *words)
    head = Path("t.md").read_text().splitlines()[0]
    assert [word.strip() for word in head.split("|")[2:-1]] == ["psnr (dB) ↑", "tint (levels) ↓"]
    visemix("report", "red=scores.json", "--out", "r.html", "--plugin", PLUGIN, "--table", "r.tex")
    page = Path("r.html").read_text()
    scores = page[page.index('id="scores"') : page.index('id="mouths"')]
    assert "tint\n(levels)" in scores.replace("\u00a0", " ") and ">tint (levels)</text>" in page
    assert "tint (levels)" in Path("r.tex").read_text()
    monkeypatch.setattr(METRICS, "_parts", {name: part for name, part in METRICS._parts.items() if name != "tint"})
    visemix("report", "red=scores.json", "--out", "s.html")
    assert ">tint (levels)</text>" not in Path("s.html").read_text()


def test_a_comparison_has_it_among_the_headlines():
    Path("which.yaml").write_text("real: real\nmethods: {red: red, none: real}\ntables: [headlines]\n")
    visemix("compare", "which.yaml", "--out", "out", "--plugin", PLUGIN)
    rows = csv.DictReader(Path("out/headlines.csv").read_text().splitlines())
    better = {row["method"]: row["better"] for row in rows if row["metric"] == "tint"}
    assert better == {"recorded": "lower", "red": "lower", "none": "lower"}


def test_parts_lists_it_with_unit_and_direction():
    said = visemix("parts", "--plugin", PLUGIN).stdout
    assert "  tint (levels, lower is better): How far a picture's mean colour" in said
    found = json.loads(visemix("parts", "--json").stdout)["metrics"]["tint"]
    assert (found["unit"], found["better"]) == ("levels", "lower")
    assert (found["headline"], found["without_truth"]) == (True, False)


def test_installed_it_needs_no_option(folders, tmp_path):
    wheel(PROJECT, tmp_path)
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    words = ("evaluate", "real", "red", "--metrics", "tint", "--table", tmp_path / "t.csv")
    command = [sys.executable, "-m", "visemix.cli", *map(str, words)]
    done = subprocess.run(command, cwd=folders, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "red,tint" in (tmp_path / "t.csv").read_text()


@pytest.mark.slow
def test_a_sweep_is_scored_by_it_too_and_once_more_where_it_was_not(tmp_path, face):
    make(tmp_path / "clips/anna_000", face, frames=40)
    experiment = tmp_path / "which.yaml"
    experiment.write_text(
        f"# Which one?\nextends: {os.path.relpath(ROOT / 'experiments/smoke.yaml', tmp_path)}\n"
        f"out: {tmp_path / 'runs'}\ndata: {{root: {tmp_path / 'clips'}, holdout: 0.4}}\n"
        "sweep: {variants: {plain: [motion=regression]}}\n"
    )
    visemix("sweep", experiment)
    table = tmp_path / "runs/which/table.csv"
    assert "plain,psnr" in table.read_text() and "tint" not in table.read_text()
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}
    visemix("sweep", experiment, "--plugin", PLUGIN)
    assert "plain,tint" in table.read_text()
    assert weights == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}
    (run,) = {path.parents[1] for path in tmp_path.glob("runs/**/held_out/scores.json")}
    assert _is_scored(run, FOLDER, [PLUGIN])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("    variant = ''\n    higher_is_better = True\n", "metric 'bare' has no `unit`, which it must say"),
        ("    unit = '1'\n", "has no `variant`, `higher_is_better` (or `ideal`, the number that is best)"),
    ],
)
def test_what_a_metric_does_not_say_of_itself_is_named(tmp_path, lines, said):
    head = "from visemix.metrics import METRICS, VideoMetric\n@METRICS.register('bare')\nclass Bare(VideoMetric):\n"
    body = "    def measure(self, fake, real):\n        return fake.frames.double().mean((1, 2, 3))[:, None]\n"
    (tmp_path / "bare.py").write_text(head + lines + body)
    done = visemix("evaluate", "real", "red", "--metrics", "bare", "--plugin", tmp_path / "bare.py", code=2)
    assert said in done.stderr.replace("\n", " ") and len(done.stderr.splitlines()) == 1


def test_one_that_answers_with_a_number_for_all_frames_is_named_in_a_sentence(tmp_path):
    head = "from visemix.metrics import METRICS, VideoMetric\n@METRICS.register('bare')\nclass Bare(VideoMetric):\n"
    said = "    unit = '1'\n    variant = 'mean'\n    higher_is_better = True\n"
    body = "    def measure(self, fake, real):\n        return fake.frames.double().mean()\n"
    (tmp_path / "bare.py").write_text(head + said + body)
    done = visemix("evaluate", "real", "red", "--metrics", "bare", "--plugin", tmp_path / "bare.py", code=2)
    assert "the metric Bare answers `measure` with a tensor of shape (); it must be (1, 1)" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
