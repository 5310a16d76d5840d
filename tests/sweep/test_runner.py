import errno
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from clip_maker import make
from omegaconf import OmegaConf
from rich.progress import Progress
from standins import die_of_one
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.config import plain
from visemix.evaluation.result import Details, Mean, Result
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.report.ablation import verdicts
from visemix.run import complete_config, fit, folder_of
from visemix.sweep import runner
from visemix.sweep.engines import ENGINES, _threads
from visemix.sweep.plan import Cell
from visemix.sweep.runner import (
    DIED,
    Outcome,
    _claim,
    _joined,
    _run_logged,
    _run_tasks,
    plan,
    score,
    sweep,
    write_sweep,
)
from visemix.types import VisemixError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "which.yaml"
    file.write_text(
        "# Which one?\n"
        f"extends: {os.path.relpath(ROOT / 'experiments/smoke.yaml', tmp_path)}\n"
        f"out: {tmp_path / 'runs'}\n"
        f"data: {{root: {tmp_path / 'clips'}, holdout: 0.4}}\n"
        "sweep:\n"
        "  variants:\n"
        "    small: []\n"
        "    plain: [motion=regression]\n"
        "    painted: [render.base=4]\n"
        "    wild: [motion.dim=8, train.motion.lr=1e30, train.motion.clip_norm=null]\n"
    )
    return file


def test_a_full_disk_is_said_with_its_way_out_and_stops_nothing(experiment, tmp_path, monkeypatch):
    full = tmp_path / "full"
    full.mkdir()
    (full / "log.txt").symlink_to("/dev/full")
    said = "the disk is full; make room, and the same command goes on from there"
    assert _run_logged(full, lambda: os.write(1, b"")) == ""  # nothing to say, nothing lost

    def write(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert _run_logged(full, write) == said

    def save():
        raise VisemixError("model.safetensors could not be written (I/O error: No space left on device (os error 28))")

    assert _run_logged(full, save) == said
    monkeypatch.setattr("visemix.sweep.runner.fit", write)
    assert [score({"config": plain(_joined(cell)), "speech": None}) for cell in plan(experiment)[:2]] == [said, said]


def test_a_point_whose_run_cannot_be_joined_says_why(experiment):
    config = plain(_joined(plan(experiment)[0]))
    assert "no trained model at" in score({"config": config, "speech": None})


def test_a_second_experiment_of_the_same_name_is_refused_and_the_first_goes_on(experiment, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other/which.yaml"
    other.write_text(experiment.read_text().replace(str(os.path.relpath(ROOT, tmp_path)), str(ROOT)))
    cell = plan(experiment)[0]
    _claim(experiment, cell)
    _claim(experiment, cell)
    with pytest.raises(VisemixError, match=r"two experiments are called 'which'.*another `name`"):
        _claim(other, cell)
    (tmp_path / "copy").mkdir()
    _claim(Path(shutil.copy(experiment, tmp_path / "copy")), cell)
    _claim(experiment, cell)
    experiment.rename(tmp_path / "moved.yaml")
    _claim(other, cell)


def test_a_run_that_was_edited_by_hand_is_refused(tmp_path):
    parts = {"face": "toy", "audio": "spectrum", "motion": "gru", "render": "dots", "data": "noise"}
    short = {"steps": 1, "batch": 1, "window": 4}
    config = {part: {"name": name} for part, name in parts.items()}
    config |= {"train": {"name": "cpu", "motion": short}, "fit": ["motion"], "out": str(tmp_path)}
    folder = fit(config)
    assert folder == folder_of(complete_config(config)) == fit(config)
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    with pytest.raises(VisemixError, match=r"config.yaml was changed after the run was named.*delete .* and fit again"):
        fit(config)


def test_equal_stages_of_different_points_have_equal_configs(experiment):
    small, plain, painted, wild = plan(experiment)
    assert small.stages[1] == plain.stages[1] == wild.stages[1]
    assert small.stages[0] == painted.stages[0] != plain.stages[0]
    assert painted.stages[1] != small.stages[1]
    assert small.stages[0]["render"] == {"name": "mesh"} | small.stages[0]["render"]
    assert small.stages[1]["motion"]["name"] == "regression"


def test_every_point_is_checked_before_anything_is_trained(experiment, tmp_path):
    with experiment.open("a") as file:
        file.write("    broken: [motion.dimm=3]\n")
    with pytest.raises(VisemixError, match=r"point 'broken' of .*which.yaml: .*did you mean 'dim'"):
        sweep(experiment)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(VisemixError, match="no engine 'rey'; did you mean 'ray'"):
        sweep(experiment, engine="rey")


def test_clips_that_are_missing_are_said_before_anything_is_trained(experiment, tmp_path, face):
    make(tmp_path / "clips/anna_000", face, frames=40)
    with experiment.open("a") as file:
        file.write(f"    elsewhere: [data.target={tmp_path / 'nowhere'}]\n")
    reasons = {cell.row: cell.reason for cell in plan(experiment, with_data=True)}
    assert "nowhere" in reasons.pop("elsewhere") and not any(reasons.values())
    shutil.rmtree(tmp_path / "clips")
    with pytest.raises(VisemixError, match=r"no point of .*which.yaml can be trained; .*clips"):
        sweep(experiment, progress=False)
    assert not (tmp_path / "runs").exists()


def test_shared_stages_are_trained_once_and_a_failure_costs_only_its_own_points(experiment, tmp_path, face):
    make(tmp_path / "clips/anna_000", face, frames=40)
    outcomes = sweep(experiment, jobs=2, progress=False)
    assert [o.cell.row for o in outcomes] == ["small", "plain", "painted", "wild"]
    assert [bool(o.reason) for o in outcomes] == [False, False, False, True], [o.reason for o in outcomes]
    assert "lower train.motion.lr" in outcomes[3].reason
    assert len(list((tmp_path / "runs/stages").glob("*/model.safetensors"))) == 4  # a2ep, regression; two painters
    small, painted = (read_checkpoint(o.folder)[0] for o in (outcomes[0], outcomes[2]))
    assert all(torch.equal(small[name], painted[name]) for name in small if name.startswith("motion."))
    assert TalkingFace.from_checkpoint(outcomes[1].folder).notes["loaded"] == ["motion", "render"]
    text = write_sweep(experiment, outcomes)[0][0].read_text()
    assert all(f"| {row} |" in text for row in ("small", "plain", "painted"))
    assert "- wild, seed 0: the motion loss is" in text
    departs = text[text.index("The first row departs from the papers in:") :].splitlines()
    assert any(line.startswith("- motion.dim is ") and "not 1024 (the paper, V-B)" in line for line in departs)
    assert "motion.dim is " in (tmp_path / "runs/which/report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}
    edited = outcomes[1].folder / "config.yaml"
    edited.write_text(edited.read_text().replace("seed: 0", "seed: 1"))
    again = sweep(experiment, jobs=1, progress=False)
    assert [bool(o.reason) for o in again] == [False, True, False, True]
    assert "config.yaml was changed after the run was named" in again[1].reason
    assert [o.folder for o in again] == [o.folder for o in outcomes]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}


def scored(lmd):
    mean = Mean(lmd, "ok", "px", "", "")
    return Result({"lmd": mean}, {"lmd": mean}, {"lmd": Details(higher_is_better=False)}, {})


def test_the_console_counts_the_papers_directions_alone_and_together_from_one_reading(monkeypatch, tmp_path):
    said = {
        "Full model": {seed: scored(1 + 0.01 * seed) for seed in (0, 1)},
        "w/o TempAud": {seed: scored(2.0) for seed in (0, 1)},
    }
    config, read, judged = {"name": "which", "out": str(tmp_path)}, [], []
    outcomes = [Outcome(Cell("Full model", 0, config, ()), None)]
    monkeypatch.setattr("visemix.sweep.runner.sweep", lambda *_, **__: outcomes)
    monkeypatch.setattr("visemix.sweep.runner.sweep_page", lambda *_: "")
    monkeypatch.setattr("visemix.sweep.runner._rows", lambda outcomes: read.append(1) or said)
    monkeypatch.setattr("visemix.sweep.runner.verdicts", lambda *of: judged.append(1) or verdicts(*of))
    done = CliRunner().invoke(app, ["sweep", "ablations/gsmoothface"])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert lines[0].startswith("The paper prints 28 differences to the full model, of which 1 could be tested and 27")
    assert lines[1].startswith("Each judged alone, at 95%: 1 have its direction, 0 the other, and 0 cannot be told")
    assert lines[2].startswith("All 1 judged together, with Holm's correction: 1 have its direction")
    assert lines[3:] == [str(tmp_path / "which/table.md")] and (read, judged) == ([1], [1])
    lines = CliRunner().invoke(app, ["sweep", "mixed/matrix"]).stdout.splitlines()[1:]
    assert lines == [str(tmp_path / "which/table.md")]  # no paper's table


def test_a_stage_begins_when_its_own_sources_are_done_and_not_at_all_when_one_has_failed():
    last = threading.Event()

    def work(task):
        if task["at"] == "last":
            last.set()
        if task["at"] == "slow" and not last.wait(60):
            return "waited for what it does not build on"
        return {"broken": "broke", "dead": None}.get(task["at"], "")

    sources = {
        "slow": [],
        "first": [],
        "broken": [],
        "last": ["first"],
        "lost": ["broken"],
        "lost too": ["lost"],
        "dead": [],
    }
    tasks = {name: {"at": name, "load": {k: k for k in found}} for name, found in sources.items()}
    with ThreadPoolExecutor(2) as threads, Progress(disable=True) as shown:
        failed = _run_tasks(work, tasks, threads.submit, shown, "training")
    assert failed == dict.fromkeys(["broken", "lost", "lost too"], "broke") | {"dead": DIED}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_killed_takes_only_its_own_run_with_it(engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with ENGINES[engine](2) as submit:
        assert [answer.result() for answer in [submit(die_of_one, {"at": k}) for k in range(3)]] == ["", None, ""]


def test_workers_share_the_cores_and_take_no_more_than_torch_was_given():
    cores, before = len(os.sched_getaffinity(0)), torch.get_num_threads()
    try:
        for given in (1, cores):
            torch.set_num_threads(given)
            assert _threads(1) == given and _threads(2 * cores) == 1
    finally:
        torch.set_num_threads(before)


def test_a_point_is_scored_with_its_experiments_plugins_and_those_of_the_command_line(tmp_path, monkeypatch):
    config = {"out": str(tmp_path), "name": "mine", "plugins": ["own.py"], "seed": 0}
    seen = []
    monkeypatch.setattr(runner, "load_plugin_file", lambda path: None)
    monkeypatch.setattr(runner, "fit", lambda config, wait: None)
    monkeypatch.setattr(runner, "evaluate_run", lambda run, **options: seen.append(options) or Result({}, {}, {}, {}))
    monkeypatch.setattr(runner, "read_config", lambda run: OmegaConf.create({"log": {}, "name": "mine"}))
    monkeypatch.setattr(runner, "publish", lambda *args: None)
    assert runner.score({"config": config, "speech": None}, ["theirs.py"]) == ""
    assert seen[0]["plugins"] == ["own.py", "theirs.py"]
