"""Runs that end in the middle, by a kill, a full disk or another process, and go on as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import standins
from omegaconf import OmegaConf
from short_runs import SHORT, config, table

from visemix.ops.locks import hold
from visemix.pipeline import read_checkpoint
from visemix.run import complete_config, fit, folder_of
from visemix.training.logs import Table
from visemix.types import VisemixError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return fit(config(tmp_path_factory.mktemp("runs")))


DIES = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/data"]
import short_runs, standins
from visemix.run import fit
asked = 0
def dying(self, index, get=standins.Windows.__getitem__):
    global asked
    asked += 1
    if asked > {examples}:
        os.kill(os.getpid(), signal.SIGKILL)
    return get(self, index)
standins.Windows.__getitem__ = dying
fit(short_runs.config({out!r}))
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(trained, tmp_path):
    # 2 validations take one example each; step 5 of the render stage is the 12 + 2 + 8 + 1 + 1st example
    program = DIES.format(tests=str(Path(__file__).parent), out=str(tmp_path), examples=23)
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    folder = folder_of(complete_config(config(tmp_path)))
    assert read_checkpoint(folder)[1]["trained"] == ["motion"]
    assert (folder / "resume" / "render.safetensors").is_file()
    assert fit(config(tmp_path)) == folder
    assert (folder / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    assert table(folder) == table(trained)


KILLED = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {tests!r} + "/data"]
import short_runs, standins
from visemix.run import fit
from visemix.training.logs import Table
done = 0
def dying(self, metrics, step=None, real=Table.log_metrics):
    global done
    done += 1
    if done == {rows}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, metrics, step)
Table.log_metrics = dying
fit(short_runs.config({out!r}, **{every!r}))
"""
EVERY = {"fit": ["motion"], "train": {"name": "cpu", "motion": SHORT | {"save_every": 2, "val_every": 2}}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return fit(config(tmp_path_factory.mktemp("undisturbed"), **EVERY))


@pytest.mark.parametrize(
    "rows", [2, 3, 4, 6, 9]
)  # 2: step 1 is saved, its row is not; 3: nor its validation; 9: the end
def test_a_run_that_is_killed_between_a_step_and_its_validation_has_the_same_rows_and_pictures(
    rows, undisturbed, tmp_path
):
    program = KILLED.format(tests=str(Path(__file__).parent), out=str(tmp_path), rows=rows, every=EVERY)
    died = subprocess.run([sys.executable, "-c", program], capture_output=True, env=os.environ)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    folder = fit(config(tmp_path, **EVERY))
    assert table(folder) == table(undisturbed)
    files, expected = (
        {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
        for run in (folder, undisturbed)
    )
    files.pop(Path("config.yaml")), expected.pop(Path("config.yaml"))  # says where it is
    assert files == expected


def test_a_table_that_cannot_be_made_anew_is_kept(undisturbed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    path = shutil.copy(undisturbed / "metrics.csv", tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VisemixError, match="No space left"):
        Table(Path(path), "motion", 4)
    assert Path(path).read_bytes() == (undisturbed / "metrics.csv").read_bytes()


def test_a_disk_that_is_full_when_the_config_is_written_does_not_spoil_the_run(trained, tmp_path, monkeypatch):
    folder = folder_of(complete_config(config(tmp_path)))
    with monkeypatch.context() as patch:

        def full(self, *_):
            raise OSError(28, os.strerror(28))

        patch.setattr(os, "fsync", full)
        patch.setattr(OmegaConf, "save", lambda cfg, path: (Path(path).touch(), full(path)))
        with pytest.raises((VisemixError, OSError), match="No space left on device"):
            fit(config(tmp_path))
        assert not folder.exists() or not [*folder.iterdir()]
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_an_empty_config_of_an_older_version_is_written_anew(trained, tmp_path):
    folder = folder_of(complete_config(config(tmp_path)))
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
    (folder / "config.yaml").write_text("")
    assert complete_config(OmegaConf.load(fit(config(tmp_path)) / "config.yaml")) == complete_config(config(tmp_path))


def test_a_second_fit_of_a_run_is_refused_by_who_is_at_it_or_waits(trained, tmp_path):
    folder = folder_of(complete_config(config(tmp_path)))
    with hold(folder), pytest.raises(VisemixError, match=rf"is being made by process {os.getpid()} on "):
        fit(config(tmp_path))
    assert fit(config(tmp_path), wait=True) == folder
    with hold(trained):
        assert fit(config(trained.parents[1])) == trained  # nothing is to do


def test_what_a_kill_after_the_last_stage_leaves_is_tidied_up(undisturbed, tmp_path):
    folder = folder_of(complete_config(config(tmp_path, **EVERY)))
    shutil.copytree(undisturbed, folder)
    (folder / "resume").mkdir()
    (folder / ".visemix-abc.part").mkdir()
    fit(config(tmp_path, **EVERY))
    assert {p.name for p in folder.iterdir()} == {"config.yaml", "metrics.csv", "model.safetensors", "samples"}


def test_a_run_that_is_stopped_says_so_and_can_go_on(trained, tmp_path, monkeypatch):
    seen = []

    def interrupted(self, index, get=standins.Windows.__getitem__):
        seen.append(index)
        if len(seen) == 11:  # in the motion stage's step 4, after the validation that follows step 2
            raise KeyboardInterrupt
        return get(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(standins.Windows, "__getitem__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(config(tmp_path))
    folder = folder_of(complete_config(config(tmp_path)))
    assert [path.name for path in (folder / "resume").iterdir()] == ["motion.safetensors"]
    assert (fit(config(tmp_path)) / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
