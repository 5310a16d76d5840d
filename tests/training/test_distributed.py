"""A Trainer of one's own with two processes: the same draws, gradients and numbers as by one process alone."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clip_maker import make
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("two_processes.py")


@pytest.fixture(scope="module")
def root(tmp_path_factory, face):
    folder = tmp_path_factory.mktemp("clips")
    for name in ("anna_000", "bert_000"):
        make(folder / name, face, frames=50)
    return folder


def trained(root, out, processes, batches):
    command = [sys.executable, SCRIPT, root, out, processes, batches]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return load_file(out)


def test_two_processes_do_what_one_does_that_takes_two_batches_to_a_step(root, tmp_path):
    together = trained(root, tmp_path / "two.safetensors", 2, 1)
    alone = trained(root, tmp_path / "one.safetensors", 1, 2)
    assert together["steps"] == alone["steps"] == 6  # six windows, twice
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
