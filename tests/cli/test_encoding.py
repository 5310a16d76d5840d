"""Output survives every terminal: what its encoding lacks is spelled out, and no command ends in an error of it."""

import os
import subprocess
import sys

import pytest
from tiny_videos import grey

from visemix.data import VideoWriter

NAMES = ["你好 Zoë → x", os.fsdecode(b"caf\xe9")]


def visemix(*words, encoding):
    env = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "visemix.cli", *map(str, words)], capture_output=True, env=env)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "utf-8"])
def test_scores_of_any_name_are_printed_to_any_terminal(tmp_path, encoding):
    for side in ("real", "fake"):
        for name in NAMES:
            with VideoWriter(tmp_path / side / f"{name}.mp4") as out:
                out.write(grey(2))
    (tmp_path / "real/caf\u00e9.mp4").write_bytes((tmp_path / "real" / f"{NAMES[0]}.mp4").read_bytes())
    status, out, err = visemix(
        "evaluate", tmp_path / "real", tmp_path / "fake", "--metrics", "psnr", "--out", tmp_path / "r.json",
        encoding=encoding,
    )  # fmt: skip
    assert status == 0, err
    assert b"psnr" in out and b"left out" in out
