"""What made the figures can be run: no script of `benchmarks/` names what is not there any more."""

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_them(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_finds_what_it_imports(name):
    runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name=name)


def test_frames_of_a_small_head(footage, monkeypatch, tmp_path):
    script = runpy.run_path(str(BENCHMARKS / "frames.py"), run_name="frames")
    monkeypatch.setattr(sys.modules["_report"], "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    monkeypatch.setattr(sys, "argv", ["frames.py", str(footage.path), "--counts", "300", "--rounds", "1"])
    script["main"]()
    assert (tmp_path / "results/frames.json").is_file()
