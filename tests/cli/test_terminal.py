"""What commands write reaches any terminal, and nothing that a file says steers it."""

import logging
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.evaluation.result import ClipScores, Details, Mean, Result
from visemix.ops.progress import Console, batch_progress
from visemix.report import console
from visemix.terminal import PrintableFormatter, printable, sentence
from visemix.types import VisemixError

HOSTILE = "anna\x1b[2J\a\nfake line\u202e[bold]"
SEEN = "anna\\x1b[2J\\x07\\nfake line\\u202e[bold]"
LOOSE = ("from rich.console import Console\n", "typer.echo(", "click.echo(", "stdout.write(", "stderr.write(")
SOURCE = Path(__file__).parents[2] / "src/visemix"


def visemix(*args, **env):
    here = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHONUTF8"))}
    done = subprocess.run([sys.executable, "-m", "visemix.cli", *args], capture_output=True, env=here | env)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_what_an_encoding_lacks_is_written_as_its_code(encoding, tmp_path):
    (tmp_path / "日本.yaml").write_text("motion: 3\n", encoding="utf-8")
    code, out, err = visemix("show", str(tmp_path / "日本.yaml"), PYTHONIOENCODING=encoding)
    assert (code, out) == (2, b"") and b"Traceback" not in err
    assert b"\\u65e5\\u672c.yaml: 'motion: 3' picks no part" in err


def test_a_plain_c_locale_can_show_every_part():
    code, out, err = visemix("parts", LANG="C", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    assert ((code, err) == (0, b"") and out.isascii() and b"\\u2026" in out) or b"\\xb7" in out


def test_what_steers_a_terminal_is_shown_as_its_code():
    assert printable(HOSTILE) == SEEN
    assert printable("Zoë 日本 …") == "Zoë 日本 …"
    assert printable("\udcff") == "\\udcff"  # a byte of a name that is no UTF-8
    assert len(sentence("x" * 100_000)) < 5_000


def test_an_error_is_one_line_that_steers_nothing(monkeypatch):
    def broken(*_):
        raise VisemixError(f"no clip {HOSTILE}")

    monkeypatch.setattr("visemix.run.load_experiment", broken)
    done = CliRunner().invoke(app, ["show", "smoke"])
    assert done.exit_code == 2
    assert done.stderr == "visemix: no clip anna\\x1b[2J\\x07 fake line\\u202e[bold]\n"


def test_a_line_of_the_log_steers_nothing_and_begins_no_other():
    handler = logging.StreamHandler(StringIO())
    handler.setFormatter(PrintableFormatter("%(message)s"))
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, "%s has %d frames, %.1f s", (HOSTILE, 3, 0.5), None))
    handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, HOSTILE, None, None))
    lines = handler.stream.getvalue().splitlines()
    assert lines == [f"{SEEN} has 3 frames, 0.5 s", *SEEN.split("\\n")]


def test_tables_and_bars_steer_nothing_and_take_no_markup():
    wide, said = StringIO(), Console(file=StringIO(), width=300)
    shown, score = Console(file=wide, width=300), Mean(1.0, "ok", "dB", "", "full")
    clip = ClipScores(Path("real.mp4"), Path("fake.mp4"), 1, 25.0, (64, 64), [HOSTILE])
    result = Result({"psnr": score}, {"psnr": score}, {"psnr": Details(caution=HOSTILE)}, {HOSTILE: clip})
    shown.print(console.table(result))
    assert wide.getvalue().count(SEEN) >= 3 and "\x1b" not in wide.getvalue() and "\a" not in wide.getvalue()
    with batch_progress(said, 1) as bars:
        bars.update(f"[/]{HOSTILE}", "tracking", 1, 2)
    assert "\x1b[2J" not in said.file.getvalue() and "\a" not in said.file.getvalue()


def test_nobody_writes_to_a_terminal_past_what_makes_it_printable():
    loose = [
        f"{path.relative_to(SOURCE)}: {word}"
        for path in sorted(SOURCE.rglob("*.py"))
        for word in (
            "from rich.console import Console\n",
            "typer.echo(",
            "click.echo(",
            "sys.stdout.write",
            "sys.stderr.write",
        )
        if word in path.read_text(encoding="utf-8") and path.name not in ("progress.py", "options.py")
    ]
    assert loose == []


TRACED = pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here, which sees who is called")


@TRACED
@pytest.mark.parametrize("words", [["--help"], ["show", "smoke", "data.root=x"], ["evaluate", "real.mp4", "fake.mp4"]])
def test_no_command_calls_anybody_on_the_internet(words, tmp_path):
    assert called(["-m", "visemix.cli", *words], tmp_path) == []


@TRACED
@pytest.mark.slow
def test_nobody_is_called_from_nothing_to_a_scored_video(tmp_path):
    words = "from visemix.demo import demo; demo('out', scale='tiny', progress=False)"
    assert called(["-c", words], tmp_path) == []
    assert (tmp_path / "out/report.html").is_file()


def called(words, folder):
    """The internet addresses that a command, and what it starts, tries to reach."""
    seen = folder / "calls.txt"
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(seen)]
    env = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    done = subprocess.run([*strace, sys.executable, *words], capture_output=True, env=env, text=True, cwd=folder)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not look here")
    assert done.returncode in (0, 2), done.stderr
    return [line for line in seen.read_text().splitlines() if "AF_INET" in line]
