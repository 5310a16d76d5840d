import os
from pathlib import Path

import pytest
import torch
from clip_maker import make
from standins import die_of_one

from visemix.engines import DIED, ENGINES
from visemix.pipeline import TalkingFace, read_checkpoint
from visemix.sweep import plan, sweep, write_sweep
from visemix.types import VisemixError

ROOT = Path(__file__).parents[1]


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
    text = write_sweep(experiment, outcomes)[0].read_text()
    assert all(f"| {row} |" in text for row in ("small", "plain", "painted"))
    assert "- wild, seed 0: the motion loss is" in text
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}
    again = sweep(experiment, jobs=1, progress=False)
    assert [o.folder for o in again] == [o.folder for o in outcomes]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/**/model.safetensors")}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_killed_takes_only_its_own_run_with_it(engine):
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra `ray` is not installed")
    ended = {task["at"]: reason for task, reason in ENGINES[engine](die_of_one, [{"at": k} for k in range(3)], 2)}
    assert ended == {0: "", 1: DIED, 2: ""}
