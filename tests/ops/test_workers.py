import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MAIN = """
from standins import sleep_long
from visemix.ops.workers import Workers

if __name__ == "__main__":
    with Workers(1, print, ()) as workers:
        list(workers.map(sleep_long, ["{pid}"]))
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_began_it(tmp_path, ending):
    pid, main = tmp_path / "pid", tmp_path / "main.py"
    main.write_text(MAIN.format(pid=pid))
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    parent = subprocess.Popen([sys.executable, main], env=env)
    worker = int(eventually(lambda: pid.exists() and pid.read_text()))
    assert Path(f"/proc/{worker}").exists()
    parent.send_signal(ending)
    parent.wait()
    eventually(lambda: not alive(worker))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(answer, patience=60):
    end = time.monotonic() + patience
    while not (found := answer()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found
