import os
import signal
import subprocess
import sys
import time

import pytest

from visemix.ops.locks import hold, scratch, sweep
from visemix.types import VisemixError

WRITING = """
import os, sys
from pathlib import Path
from visemix.data.clipwriter import atomic_folder
from visemix.ops.locks import hold
from visemix.ops.store import atomic_write
with {context} as part:
    {work}
    print("there", flush=True)
    sys.stdin.read()
"""


class Beginner:
    """Another process, in the middle of writing."""

    def __init__(self, context, work="pass"):
        program = WRITING.format(context=context, work=work)
        self.process = subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True)
        assert self.process.stdout.readline() == "there\n"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def begin():
    begun = []

    def start(*words):
        begun.append(Beginner(*words))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_was_writing_is_swept_and_what_a_live_one_writes_is_left_alone(begin, tmp_path):
    dead = begin(f"atomic_write(Path({str(tmp_path / 'dead.txt')!r}))", "part.write_text('half')")
    live = begin(f"atomic_write(Path({str(tmp_path / 'live.txt')!r}))", "part.write_text('half')")
    both = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == both and len(both) == 2
    dead.kill()
    sweep(tmp_path)
    (left,) = tmp_path.iterdir()
    assert (left / "live.txt").read_text() == "half"
    live.process.communicate()
    assert names(tmp_path) == ["live.txt"]


def test_a_clip_that_was_being_replaced_when_its_process_was_killed_is_back(begin, tmp_path):
    clip = tmp_path / "anna"
    clip.mkdir()
    (clip / "meta.yaml").write_text("old")
    program = f"""
import os
from pathlib import Path
from visemix.data import clipwriter
clipwriter.settle = lambda *_: os.kill(os.getpid(), 9)
with clipwriter.atomic_folder(Path({str(clip)!r}), overwrite=True) as part:
    (part / "meta.yaml").write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert not clip.exists()
    sweep(tmp_path)
    assert names(tmp_path) == ["anna"] and (clip / "meta.yaml").read_text() == "old"


def test_a_folder_to_write_in_is_gone_afterwards_also_after_an_error(tmp_path):
    with pytest.raises(KeyError), scratch(tmp_path / "new") as place:
        (place / "half").write_text("x")
        raise KeyError
    assert names(tmp_path / "new") == []


def test_who_is_at_it_is_named_and_a_dead_process_keeps_nobody_out(begin, tmp_path):
    run = tmp_path / "runs" / "1a2b3c4d"
    other = begin(f"hold(Path({str(run)!r}))")
    with pytest.raises(VisemixError, match=rf"{run} is being made by process {other.process.pid} on .*: -c; wait"):
        hold(run).__enter__()
    with hold(run.with_name("other")):
        pass
    other.kill()
    with hold(run), pytest.raises(VisemixError, match=f"is being made by process {os.getpid()} on"):
        hold(run).__enter__()
    assert names(run.parent) == []


def test_who_may_wait_comes_in_when_the_other_one_has_ended(begin, tmp_path):
    other = begin(f"hold(Path({str(tmp_path / 'clip')!r}))")
    program = WRITING.format(context=f"hold(Path({str(tmp_path / 'clip')!r}), wait=True)", work="pass")
    second = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=-1, stdout=-1, stderr=-1, text=True,
    )  # fmt: skip
    assert f"is being made by process {other.process.pid} on" in second.stderr.readline()
    assert second.poll() is None
    other.process.communicate()
    assert second.stdout.readline() == "there\n"
    second.communicate()
    assert names(tmp_path) == []


def test_many_that_sweep_and_write_at_once_lose_nothing(tmp_path):
    program = f"""
import sys
from pathlib import Path
from visemix.ops.locks import sweep
from visemix.ops.store import write_text
for k in range(150):
    write_text(Path({str(tmp_path)!r}) / f"{{sys.argv[1]}}-{{k}}", "whole")
    sweep(Path({str(tmp_path)!r}))
"""
    writers = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "abc"]
    assert [one.wait() for one in writers] == [0, 0, 0]
    assert len(names(tmp_path)) == 450 and {path.read_text() for path in tmp_path.iterdir()} == {"whole"}


def test_only_one_of_many_holds_a_place_at_a_time(tmp_path):
    program = f"""
from pathlib import Path
from visemix.ops.locks import hold
place = Path({str(tmp_path / "count")!r})
for k in range(40):
    with hold(place, wait=True):
        place.write_text(str(int(place.read_text()) + 1))
"""
    (tmp_path / "count").write_text("0")
    began = time.monotonic()
    writers = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [one.wait() for one in writers] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "120", time.monotonic() - began


def test_a_command_line_that_is_no_text_is_named_in_a_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["visemix", "\udcff.mp4"])
    with hold(tmp_path / "\udcff.mp4"):
        pass
    assert not list(tmp_path.iterdir())
