"""What an experiment or an override may hold: the rest is a sentence that names its place, and exit code 2."""

import random
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from visemix.cli.app import app
from visemix.config import compose, sweep_points
from visemix.run import load_experiment
from visemix.types import VisemixError

ROOT = Path(__file__).parents[1]
USE = "use: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}\ndata: {root: x}\n"
DEEP = "{a: " * 5000 + "1" + "}" * 5000
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def refused(tmp_path):
    """The sentence with which a file, or overrides of it, are refused."""

    def sentence(text, *overrides):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = CliRunner().invoke(app, ["show", str(path), *overrides])
        assert done.exit_code == 2, (done.stdout, done.stderr)
        assert done.stderr.count("\n") == 1 and len(done.stderr) < 2000 and done.stderr[:-1].isprintable()
        return done.stderr

    return sentence


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "nan", "'inf'", "1e400"])
@pytest.mark.parametrize("key", ["motion.dropout", "train.motion.lr", "train.motion.clip_norm", "data.holdout"])
def test_a_number_that_is_not_finite_is_refused_by_its_place(refused, key, number):
    assert f"{key} is" in refused(USE, f"{key}={number}")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("motion.dim=0", "motion.dim is 0; it must be at least 1"),
        ("motion.dim=-3", "motion.dim is -3; it must be at least 1"),
        ("motion.dim=1.5", "motion.dim is 1.5; it must be a valid integer"),
        ("motion.dim=true", "motion.dim is true; a number or a word is wanted"),
        ("motion.dim=[1]", "motion.dim is [1]; it must be a valid integer"),
        ("motion.dim={a: 1}", "motion.dim is {'a': 1}; it must be a valid integer"),
        ("motion.dim=null", "motion.dim is None; it must be a valid integer"),
        ("motion.dropout=1.1", "motion.dropout is 1.1; it must be at least 0 and at most 1"),
        ("motion.speakers=[[anna]]", "motion.speakers[0] is ['anna']; it must be a valid string"),
        ("data.clips=anna", "data.clips is 'anna'; it must be a valid list"),
        ("train.motion.lr=-1", "train.motion.lr is -1.0; it must be at least 0"),
        ("train.motion.betas=[0.9,x]", "train.motion.betas[1] is 'x'; it must be a valid number"),
        ("train.motion.betas=[0.9,1]", "train.motion.betas[1] is 1.0; it must be at least 0 and less than 1"),
        ("train.motion.betas=[0.9]", "train.motion.betas[1] is"),
        ("train.motion.ema=2", "train.motion.ema is 2.0; it must be at least 0 and at most 1, or null for none"),
        ("train.motion.batch=0", "train.motion.batch is 0; it must be at least 1"),
        ("train.motion=3", "train.motion needs options by name, as train.motion.lr=1e-3, not '3'"),
        ("motion.dim=100000000000000000000", "motion.dim is 100000000000000000000, which is too large a number"),
        ("seed=-1", "seed is -1; it must be at least 0 and at most 4294967295"),
        ("seed=x", "seed is 'x'; it must be a valid integer"),
        ("fit=motion", "fit is 'motion'; it must be a valid list"),
        ("fit=[{motion: 1}]", "fit[0] is {'motion': 1}; it must be a valid string"),
        ("workers=-1", "workers is -1; it must be at least 0"),
        ("device=[cpu]", "device is ['cpu']; it must be a valid string"),
        ("plugins=x", "plugins is 'x'; it must be a valid list"),
        ("plugins=[3]", "no plugin file"),
        ("load=3", "load=3 says no stage that is to come from there"),
        ("fallback=3", "an experiment's fallback knows no '3'"),
        ("fallback.audio=[mel]", "fallback.audio needs a name and options by name, not '['mel']'"),
        ("fallback.audio=3", "fallback.audio needs a name and options by name, not '3'"),
        ("use=3", "'use: 3' picks no part"),
        ("use.motion=[a2ep]", "'motion: ['a2ep']' picks no part"),
        ("use.motion=${motion.name}", "'motion: ${motion.name}' picks no part"),
        ("motion.name={}", "'{}' names no motion model"),
        ("motion={a: 1}", "motion model 'a2ep' has no option 'a'"),
        ("train={a: 1}", "an experiment's train knows no 'a'"),
        ("name=../../escape", "'../../escape' names no folder below `out`"),
        ("name=/elsewhere/x", "'/elsewhere/x' names no folder below `out`"),
        ("name=''", "'' names no folder below `out`"),
        ("a..b=1", "'a..b=1' is no override; write key=value"),
        ("=1", "'=1' is no override; write key=value"),
        ("fit[0]=motion", "'fit[0]=motion' is no override; write key=value"),
        ("motion.dim=[1,", "motion.dim=[1,: the value is no YAML"),
        ("motion.dim=${", "motion.dim=${: the value is no YAML"),
        ("motion.dim=`", "motion.dim=`: the value is no YAML"),
        ("motion.dim=" + DEEP, "the value is no YAML: it is nested more than 32 deep in line 1"),
        ("a" + ".a" * 1000 + "=1", "is no override; write key=value"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_place(refused, override, said):
    assert said in refused(USE, override)


def test_options_of_a_part_inside_another_are_checked_too(refused):
    text = USE + "motion: {name: smooth, base: {name: a2ep, dim: -3}}\nuse: {motion: smooth}\n".replace(
        "use", "name: x #"
    )
    text = "use: {face: toy, audio: mel, motion: smooth, render: mesh, data: clips}\ndata: {root: x}\n"
    assert "motion.base.dim is -3; it must be at least 1" in refused(text, "motion.base={name: a2ep, dim: -3}")
    assert "motion.base: no motion model named 'a2pe'; did you mean 'a2ep'?" in refused(text, "motion.base.name=a2pe")
    sounds = text.replace("mel", "concat")
    assert "audio.parts.mel is 3; it must be a valid dictionary" in refused(sounds, "audio.parts={mel: 3}")
    assert "audio.parts.mel.dim is 0; it must be at least 1" in refused(sounds, "audio.parts={mel: {dim: 0}}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"use: {motion: \xff}", "mine.yaml is not a YAML file: 'utf-8' codec can't decode"),
        ("a: 1\na: 2", "mine.yaml is not a YAML file: while constructing a mapping"),
        ("x: " + "9" * 10_000, "mine.yaml is not a YAML file: "),
        ("a: " + DEEP, "mine.yaml is not a YAML file: it is nested more than 32 deep in line 1"),
        ("\n\na: " + "[" * 100_000, "mine.yaml is not a YAML file: it is nested more than 32 deep in line 3"),
        (BOMB, "mine.yaml is not a YAML file: YAML node expansion exceeds"),
        ("a: &a [*a]", "mine.yaml is not a YAML file: YAML recursive aliases"),
        ("# " + "x" * 300_000, "mine.yaml is larger than 200,000 bytes"),
        ("a: !!python/object/apply:os.getcwd []", "mine.yaml is not a YAML file: could not determine a constructor"),
        ("motion: {1: 2}", "mine.yaml: motion.1: the key 1 is no word"),
        ("true: 1", "mine.yaml: True: the key True is no word"),
        ("a: !!binary aGk=", "mine.yaml: a is a bytes; a config holds words, numbers, lists and keys"),
        ("extends: mine", "mine.yaml: an experiment cannot extend itself: mine.yaml extends mine.yaml"),
        ("extends: [a]", "mine.yaml: extends: '['a']' is no experiment"),
        ("extends: ${x}", "no experiment '${x}'"),
        ("extends: ''", "mine.yaml: extends: '' is no experiment"),
        ("extends: .", "no experiment '.'"),
        ("extends: " + "x" * 5000, "no experiment 'xxxx"),
        ("plugins: x.py", "mine.yaml: plugins must be a list of words, not 'x.py'"),
        (USE + "name: ${nobody}", "Interpolation key 'nobody' not found (name)"),
        (USE + "name: ${name}", "Recursive interpolation detected"),
        (USE + "name: ${name", "mine.yaml is not a YAML file: "),
        (USE + "name: ${nobody:1}", "Unsupported interpolation type nobody (name)"),
        (USE + "name: ${oc.env:NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused_by_its_place(refused, text, said):
    assert said in refused(text)


def test_experiments_that_extend_one_another_in_a_ring_are_named(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b\n")
    (tmp_path / "b.yaml").write_text("extends: c\n")
    (tmp_path / "c.yaml").write_text("extends: b\n")
    with pytest.raises(VisemixError, match=r"cannot extend itself: b\.yaml extends c\.yaml extends b\.yaml"):
        compose(tmp_path / "a.yaml")


def test_the_users_own_experiment_may_read_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIPS", "somewhere")
    (tmp_path / "mine.yaml").write_text(USE.replace("root: x", "root: '${oc.env:CLIPS}/clips'"))
    assert load_experiment(tmp_path / "mine.yaml").data.root == "somewhere/clips"


def test_an_experiment_may_take_back_what_another_has_picked(tmp_path):
    (tmp_path / "parent.yaml").write_text(USE.replace("use: {", "use: {scale: tiny, "))
    (tmp_path / "child.yaml").write_text("extends: parent\nuse: {scale: null}\n")
    assert load_experiment(tmp_path / "child.yaml").motion.dim == 1024


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("3", "sweep: it needs a list for each key, not '3'"),
        ("{variants: 3}", "sweep: 'variants' needs rows by name"),
        ("{variants: {a: 3}}", "sweep: 'a' needs a list"),
        ("{seed: []}", "sweep: a list without values leaves no point"),
        ("{seed: [%s], motion.dim: [%s]}" % (("1, " * 200,) * 2), "sweep: it has more than 10,000 points"),
        ("{quoted: nobody}", "sweep.quoted: no table 'nobody'"),
        ("{quoted: [geneface-3]}", r"sweep\.quoted is \['geneface-3'\]; it must be a valid string"),
        ("{variants: {a: [x]}}", "point 'a' of .*: 'x' is no override"),
        ("{motion.dim: [-1]}", "point 'motion.dim=-1' of .*: .*motion.dim is -1"),
        ("{'${x}': [1]}", r"'\$\{x\}=1' is no override"),
    ],
)
def test_a_sweep_that_is_none_is_refused_by_its_place(tmp_path, sweep, said):
    from visemix.sweep.runner import sweep as run

    (tmp_path / "mine.yaml").write_text(f"{USE}out: {tmp_path}\nsweep: {sweep}\n")
    with pytest.raises(VisemixError, match=said):
        run(tmp_path / "mine.yaml", progress=False)


def test_a_point_of_a_sweep_may_take_an_option_away_or_hold_a_list(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        USE + "sweep: {train.motion.ema: [null, 0.5], train.motion.betas: [[0.5, 0.9]]}\n"
    )
    first, _ = sweep_points(compose(tmp_path / "mine.yaml"))
    assert load_experiment(tmp_path / "mine.yaml", first.overrides).train.motion.ema is None
    assert [*load_experiment(tmp_path / "mine.yaml", first.overrides).train.motion.betas] == [0.5, 0.9]


def test_a_part_that_cannot_be_built_of_its_options_is_named_with_them():
    from visemix.registry import Registry

    registry = Registry("lamp", group="lamp")

    @registry.register("bulb")
    class Bulb:
        def __init__(self, *, watts: int = 40, volts: int = 1) -> None:
            self.amps = watts / volts

    with pytest.raises(VisemixError, match=r"lamp 'bulb' cannot be built of volts=0: ZeroDivisionError: division by"):
        registry.build({"name": "bulb", "volts": 0})


def test_mutated_experiments_and_overrides_are_shown_or_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = runpy.run_path(str(ROOT / "benchmarks/fuzz_config.py"), run_name="fuzz_config")
    sys.modules.pop("_report", None)
    found = script["run"](90, random.Random(22).randrange(10**6), tmp_path, plans=False)
    faults = [(case.kind, case.overrides, case.body, one) for case, one in found if not one.good]
    assert not faults
    assert sum(one.verdict == "refused" for _, one in found) > 45
