"""Nothing that can be set is without effect: what nobody reads is refused, and whatever is taken is read."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from typer.testing import CliRunner

from visemix.audio import AUDIO
from visemix.cli.app import app
from visemix.config import compose, config_root, sweep_points
from visemix.experiment import GENERAL, complete_config, load_experiment
from visemix.metrics import METRICS
from visemix.motion import MOTION
from visemix.report.compare import compare
from visemix.training.optim import StageOptions
from visemix.types import VisemixError

ROOT = Path(__file__).parents[1]
APART = {"comparison", "wandb", "third_party"}  # which train nothing, or name parts that are installed beside
TRAINED = sorted(p for p in (ROOT / "experiments").rglob("*.yaml") if not APART & {*p.parts})
OWN = [config_root() / "demo.yaml", config_root() / "demo_gaussians.yaml"]
ABOVE = {"use", "sweep", "fallback"}  # what a complete config is made by, and does not hold
SOURCES = {path: ast.parse(path.read_text()) for path in sorted((ROOT / "src/visemix").rglob("*.py"))}


def leaves(node, at=()):
    """Every value of nested mappings under its path."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, (*at, str(key)))
    else:
        yield at, node


def alike(said, kept):
    """Whether a value came through, whatever the schema made of its type."""
    return said == kept or str(said) == str(kept) or (isinstance(said, list) and list(said) == list(kept))


@pytest.mark.parametrize("path", [*TRAINED, *OWN], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_key_of_every_experiment_arrives_in_its_complete_config(path):
    for point in sweep_points(compose(path)):
        said = OmegaConf.to_container(
            OmegaConf.merge({"data": {"root": "x"}}, compose(path, point.overrides)), resolve=True
        )
        full = OmegaConf.to_container(complete_config(OmegaConf.create(said)))
        kept = dict(leaves(full))
        idle = {*said.get("train", {})} - {*full["train"]}  # a parent's or a scale's, for stages that this one has not
        for key, value in leaves({key: value for key, value in said.items() if key not in ABOVE}):
            if key[0] == "load" or (key[0] == "train" and key[1] in idle):  # `load` is pinned
                continue
            assert key in kept and alike(value, kept[key]), f"{'.'.join(key)}={value} has no effect"


@pytest.mark.parametrize("path", sorted((config_root() / "metrics").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_file_of_a_metric_is_valid_and_named_after_it(path):
    cfg = yaml.safe_load(path.read_text())
    assert cfg["name"] == path.stem and METRICS.check(cfg)


def inner(node):
    """Parts inside parts: under `base` and under each of `parts`."""
    if node.get("base"):
        yield node["base"]
        yield from inner(node["base"])
    for name, options in (node.get("parts") or {}).items():
        one = {"name": name} | (options or {})
        yield one
        yield from inner(one)


@pytest.mark.parametrize("path", TRAINED, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_an_experiment_says_of_parts_inside_parts_is_known_to_them(path):
    for point in sweep_points(compose(path)):
        cfg = OmegaConf.to_container(compose(path, [*point.overrides, "data.root=x"]), resolve=True)
        for group, registry in {"audio": AUDIO, "motion": MOTION}.items():
            for one in inner(cfg[group]):
                registry.check(one)


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "# ?\nuse: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}\ndata: {root: x}\n"
        "sweep: {seed: [0, 1]}\n"
    )
    return path


@pytest.mark.parametrize("given", ["metrics.nonsense.foo=1", "metrics=fid", "use.metrics=fid", "metrics.fid.weights=x"])
def test_metrics_have_no_say_in_a_run(experiment, given):
    with pytest.raises(VisemixError, match="visemix evaluate RUN --metrics"):
        load_experiment(experiment, [given])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("train.joint.stesp=3", "train.joint has no option 'stesp'; did you mean 'steps'"),
        ("train.sync.stesp=3", "train.sync has no option 'stesp'; did you mean 'steps'"),
        ("fallback.audio=nel", "no audio encoder named 'nel'; did you mean 'mel'"),
        ("fallback.audio.name=mel fallback.audio.lerned=false", "no option 'lerned'; did you mean 'learned'"),
        ("use.rendr=mesh", "an experiment knows no 'rendr'; did you mean 'render'"),
        ("sede=1", "an experiment knows no 'sede'; did you mean 'seed'"),
        ("motion.layres=1", "no option 'layres'; did you mean 'layers'"),
    ],
)
def test_what_nobody_reads_is_refused_with_the_nearest_name(experiment, given, message):
    with pytest.raises(VisemixError, match=message):
        load_experiment(experiment, given.split())


def said(*args):
    answer = CliRunner().invoke(app, [str(arg) for arg in args])
    assert answer.exit_code == 2
    return answer.stderr


@pytest.mark.parametrize("command", ["fit", "show"])
def test_a_single_run_takes_no_option_of_a_sweep(experiment, command):
    assert "use visemix sweep" in said(command, experiment, "sweep.seed=[3]")


def test_where_clips_are_is_no_option_of_two_videos(tmp_path):
    assert "leave it out" in said("evaluate", tmp_path / "a.mp4", tmp_path / "b.mp4", "--clips", tmp_path)


def test_a_comparison_of_foreign_speech_knows_two_keys(tmp_path):
    (tmp_path / "x.yaml").write_text("real: r\nmethods: {}\nood: {real: r, methds: {}}\ntables: []\n")
    with pytest.raises(VisemixError, match="ood knows no 'methds'; did you mean 'methods'"):
        compare(tmp_path / "x.yaml", tmp_path / "out")


def functions():
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def loaded(nodes):
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def merged(path, node):
    """What a function reads of its options merged with a preset's: `o["norm"]`, or by a list of names in its module."""
    inside = list(ast.walk(node))
    if not any(isinstance(n, ast.Call) and ast.unparse(n) == "locals()" for n in inside):
        return set()
    named = loaded(node.body)
    lists = [n for n in SOURCES[path].body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) in named]
    keys = [n.slice for n in inside if isinstance(n, ast.Subscript)]
    keys += [one for n in lists if isinstance(n.value, ast.Tuple) for one in n.value.elts]
    return {key.value for key in keys if isinstance(key, ast.Constant)}


def read_anywhere():
    """Names of attributes that something reads, or asks for by their name."""
    nodes = [node for tree in SOURCES.values() for node in ast.walk(tree)]
    asked = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    return asked | {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


INTERFACE = {("rnet.py", "__call__", "labels")}  # every reconstructor is handed them; a regressor does without


def test_every_option_of_a_function_is_read_in_its_body():
    unread = []
    for path, node in functions():
        if any("abstractmethod" in ast.unparse(one) for one in node.decorator_list) or _only_says(node):
            continue
        for option in node.args.kwonlyargs:
            if (
                option.arg not in loaded(node.body) | merged(path, node)
                and (path.name, node.name, option.arg) not in INTERFACE
            ):
                unread.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}({option.arg})")
    assert not unread


def _only_says(node):
    """Whether a function is a protocol's: dots, and nothing else."""
    return isinstance(node.body[-1], ast.Expr) and isinstance(node.body[-1].value, ast.Constant)


def test_every_option_that_a_part_keeps_is_asked_for_somewhere():
    asked, unread = read_anywhere(), []
    for path, node in functions():
        options = {option.arg for option in node.args.kwonlyargs}
        for one in (n for n in ast.walk(node) if isinstance(n, ast.Assign)):
            pairs = zip(_each(one.targets[0]), _each(one.value), strict=False)
            for target, value in pairs:
                kept = isinstance(target, ast.Attribute) and isinstance(value, ast.Name) and value.id in options
                if kept and target.attr not in asked:
                    unread.append(f"{path.relative_to(ROOT)}:{one.lineno} {target.attr}")
    assert not unread


def _each(node):
    return node.elts if isinstance(node, ast.Tuple) else [node]


def test_every_argument_of_every_command_is_read():
    unread = []
    for path, node in functions():
        if any(".command(" in ast.unparse(one) for one in node.decorator_list):
            arguments = {one.arg for one in [*node.args.args, *node.args.kwonlyargs]}
            unread += [f"{path.name}:{node.name} --{name}" for name in arguments - loaded(node.body)]
    assert not unread


def looked_up():
    """What is asked of some object or mapping: `x.key`, `x["key"]` and `x.get("key")`."""
    for node in (node for tree in SOURCES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr
        elif (
            isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.ctx, ast.Load)
        ):
            yield node.slice.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".get") and node.args:
            yield getattr(node.args[0], "value", None)


def test_everything_an_experiment_may_say_beside_its_parts_is_looked_up_somewhere():
    assert not {*GENERAL} - {*looked_up()}


def test_every_option_of_a_stage_is_looked_up_somewhere():
    assert not {*StageOptions.__dataclass_fields__} - {*looked_up()}
