"""What others install: our wheel, and a third party's that adds a part to it."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


def wheel(project, folder):
    """Build a project's wheel and lay it out as an installer would."""
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, folder], cwd=project, check=True, capture_output=True, text=True
    )
    with ZipFile(folder / made.stdout.split()[-1]) as file:
        file.extractall(folder)
        return file.namelist()


def test_the_wheel_brings_its_configs_and_nothing_else_beside_the_package(tmp_path):
    names = wheel(ROOT, tmp_path)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"visemix"}
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}
    assert {f"visemix/{name}" for name in ours} <= set(names)
    assert {"visemix/py.typed", "visemix/cli/app.py", "visemix/weights/starter.safetensors"} <= set(names)
    ask = "import visemix.config as c; print(c.config_root()); print(c.load_part('motion', 'a2ep').name)"
    said = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert said.stdout.split() == [str(tmp_path / "visemix/configs"), "a2ep"]


def test_the_wheels_experiments_go_by_the_names_that_they_have_in_a_checkout(tmp_path):
    names = wheel(ROOT, tmp_path)
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "experiments").rglob("*.yaml")}
    ours = {name for name in ours if name.split("/")[1] not in ("third_party", "wandb")}  # of others, and for others
    assert {f"visemix/{name}" for name in ours} == {name for name in names if name.startswith("visemix/experiments/")}

    there = tmp_path / "experiments/of_mine"  # its name is none of an experiment's
    there.mkdir(parents=True)

    def visemix(*words):
        command = [sys.executable, "-m", "visemix.cli", *words]
        done = subprocess.run(command, cwd=there, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert visemix("show", "smoke", "data.root=clips").startswith("# runs/smoke/")
    assert ", for Full model (small, moonshine + mel), " in visemix("sweep", "ablations/gsmoothface", "--plan")
    (there / "smoke.yaml").write_text("# Whose smoke?\nextends: gsmoothface/motion\nname: mine\n")
    assert visemix("show", "smoke").startswith("# runs/mine/")


def test_a_third_partys_renderer_is_found_by_its_entry_point_and_keeps_the_contracts(tmp_path):
    wheel(ROOT / "experiments/third_party/lights", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-k", "lights", "-p", "no:cacheprovider"]
    command += [str(ROOT / "tests/test_contracts.py"), f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}"]
    path = f"{tmp_path}:{ROOT / 'src'}"
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    passed = int(done.stdout.strip().splitlines()[-1].split(" passed")[0])
    if passed < 10:
        pytest.fail(f"only {passed} contracts were tried")
