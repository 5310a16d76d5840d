from pathlib import Path

import pytest
from omegaconf import OmegaConf

from visemix.config import compose, config_root, find_experiment, load_part, signature, sweep_points
from visemix.motion import MOTION
from visemix.report.quoted import ABLATED
from visemix.run import REGISTRIES, complete_config, load_experiment
from visemix.training.modules import STAGES
from visemix.training.optim import stage_options
from visemix.types import VisemixError

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "experiments").rglob("*.yaml"))
APART = {"comparison", "wandb", "third_party"}  # which train nothing, or name parts that are installed beside
EXPERIMENTS = [path for path in FILES if not APART & {*path.parts}]
REQUIRED = {
    "clips": {"root": "x"},
    "concat": {"parts": {"mel": {}}},
    "cached": {"base": {"name": "mel"}},
    "smooth": {"base": {"name": "a2ep"}},
    "closure": {"base": {"name": "a2ep"}},
    "calibrated": {"base": {"name": "a2ep"}},
}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_point_of_every_experiment_is_valid(path):
    for point in sweep_points(compose(path)):
        cfg = OmegaConf.merge({"data": {"root": "x"}}, compose(path, point.overrides))
        assert complete_config(cfg).motion.name == cfg.motion.name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_experiment_begins_with_its_question(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ") and "?" in first


PART_FILES = sorted(p for p in config_root().rglob("*.yaml") if p.parent.name in REGISTRIES)


@pytest.mark.parametrize("path", PART_FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_part_file_is_valid_and_named_after_its_part(path):
    cfg = OmegaConf.to_container(OmegaConf.load(path))
    assert cfg["name"] == path.stem
    if path.parent.name in STAGES:
        stage_options(path.parent.name, cfg.pop("train", {}))
    REGISTRIES[path.parent.name].check(REQUIRED.get(path.stem, {}) | cfg)


def test_every_part_of_ours_has_a_file():
    for group, registry in REGISTRIES.items():
        ours = {name for name in registry.names() if registry[name].__module__.startswith("visemix.")}
        assert ours == {path.stem for path in PART_FILES if path.parent.name == group}


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "experiments" / "ablations").mkdir(parents=True)
    parent = tmp_path / "experiments" / "base.yaml"
    parent.write_text(
        "# What is this?\n"
        "use: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}\n"
        "motion: {dim: 32, heads: 2}\n"
        "data: {root: x}\n"
    )
    child = tmp_path / "experiments" / "ablations" / "width.yaml"
    child.write_text("# Does width matter?\nextends: ../base.yaml\nsweep: {motion.dim: [16, 32], audio.dim: [8, 16]}\n")
    return child


@pytest.mark.parametrize("name", ["../base.yaml", "../base", "base"])
def test_what_an_experiment_extends_is_a_file_beside_it_or_an_experiment_by_its_name(experiment, name, monkeypatch):
    monkeypatch.chdir(experiment.parents[2])
    experiment.write_text(f"# Does width matter?\nextends: {name}\n")
    assert compose(experiment).motion.dim == 32


def test_an_experiment_that_extends_what_is_not_there_is_told_what_there_is(experiment, monkeypatch):
    monkeypatch.chdir(experiment.parents[2])
    experiment.write_text("# Does width matter?\nextends: bass\n")
    with pytest.raises(VisemixError, match=r"no experiment 'bass'; did you mean 'base'\? \(have: .*base"):
        compose(experiment)


def test_a_sweep_is_a_grid_and_each_point_its_own_run(experiment):
    found = sweep_points(compose(experiment))
    assert found[1].overrides == ("motion.dim=16", "audio.dim=16")
    assert found[1].row == "motion.dim=16 audio.dim=16"
    assert len({signature(load_experiment(experiment, p.overrides)) for p in found}) == 4


def test_rows_have_names_and_seeds_share_a_row(experiment):
    experiment.write_text(
        "# Which of two?\nextends: ../base.yaml\n"
        "sweep: {variants: {full: [], narrow: [motion.dim=16, motion.heads=1]}, seed: [0, 1]}\n"
    )
    found = sweep_points(compose(experiment))
    assert [p.row for p in found] == ["full", "full", "narrow", "narrow"]
    assert found[3].overrides == ("motion.dim=16", "motion.heads=1", "seed=1")


@pytest.mark.parametrize("override", ["log.project=other", "out=elsewhere", "device=cpu", "workers=3"])
def test_where_and_how_it_runs_does_not_make_another_run(experiment, override):
    use = ["use.log=wandb"]
    assert signature(load_experiment(experiment, use)) == signature(load_experiment(experiment, [*use, override]))


@pytest.mark.parametrize("override", ["motion.dim=64", "seed=1", "train.motion.lr=1e-3", "fit=[motion]", "data.root=y"])
def test_what_can_change_the_result_makes_another_run(experiment, override):
    assert signature(load_experiment(experiment)) != signature(load_experiment(experiment, [override]))


def test_writing_a_default_out_does_not_make_another_run(experiment):
    assert signature(load_experiment(experiment)) == signature(load_experiment(experiment, ["motion.layers=1"]))


def test_a_run_is_named_after_its_experiment(experiment):
    assert load_experiment(experiment).name == "ablations/width"
    assert load_experiment(experiment, ["name=mine"]).name == "mine"


def test_swapping_a_part_drops_the_options_of_the_old_one(experiment):
    cfg = load_experiment(experiment, ["use.motion=regression"])
    assert cfg.motion.name == "regression" and "heads" not in cfg.motion
    assert cfg.data.root == "x"


@pytest.fixture
def wrapped(tmp_path):
    (tmp_path / "parent.yaml").write_text(
        "# ?\nname: mine\n"
        "use: {face: toy, audio: mel, motion: closure, render: mesh, data: clips}\n"
        "motion: {base: {name: calibrated, base: {name: flow_vae, channels: 8, sync: false}}}\n"
        "data: {root: x}\n"
    )
    return tmp_path / "child.yaml"


def said(path, text="", overrides=()):
    path.write_text(f"# ?\nextends: parent.yaml\n{text}")
    cfg = load_experiment(path, overrides)
    assert complete_config(cfg) == cfg and cfg.data.root == "x"
    return cfg.motion


def test_swapping_a_part_inside_another_drops_the_options_of_the_old_one(wrapped):
    inner = said(wrapped, "motion: {base: {base: {name: a2ep, dim: 32, heads: 2}}}\n").base.base
    assert (inner.name, inner.dim, "channels" in inner) == ("a2ep", 32, False)
    inner = said(wrapped, overrides=["motion.base.base.heads=2", "motion.base.base.name=a2ep"]).base.base
    assert (inner.name, inner.heads, "sync" in inner) == ("a2ep", 2, False)
    assert said(wrapped, "motion: {base: {name: flow_vae, channels: 4}}\n").base.channels == 4  # a wrapper less
    assert said(wrapped, "use: {motion: smooth}\nmotion: {base: {dim: 32}}\n").base.dim == 32


def test_options_of_a_part_inside_another_stay_as_long_as_it_does(wrapped):
    inner = said(wrapped, "name: yours\nmotion: {base: {base: {name: flow_vae, sync_dim: 4}}}\n").base.base
    assert (inner.channels, inner.sync, inner.sync_dim) == (8, False, 4)


def test_a_part_inside_another_is_known_by_the_file_of_that_one_too(wrapped):
    parent = wrapped.with_name("parent.yaml")
    parent.write_text(
        parent.read_text().replace(
            "base: {name: calibrated, base: {name: flow_vae, channels: 8, sync: false}}", "base: {channels: 8}"
        )
    )
    assert said(wrapped).base.channels == 8
    inner = said(wrapped, "motion: {base: {name: a2ep, dim: 32, heads: 2}}\n").base
    assert (inner.name, "channels" in inner) == ("a2ep", False)
    scaled = said(wrapped, "use: {scale: tiny, motion: postnet}\n", ["motion.base.name=a2ep"]).base
    assert (scaled.name, "channels" in scaled) == ("a2ep", False)


def test_a_plugin_is_found_beside_the_experiment_that_names_it(experiment, tmp_path):
    (experiment.parent / "tinted.py").write_text(
        "from visemix.motion import MOTION\n"
        "@MOTION.register('tinted')\n"
        "class Tinted:\n"
        "    def __init__(self, audio_dim, face, *, gain: float = 0.5) -> None: ...\n"
    )
    experiment.write_text("# ?\nextends: ../base.yaml\nplugins: [./tinted.py]\nuse: {motion: tinted}\n")
    assert load_experiment(experiment).motion == {"name": "tinted", "gain": 0.5}
    assert load_experiment(experiment, ["motion.gain=2"]).motion.gain == 2.0  # a file is run once
    del MOTION._parts["tinted"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("use: {motion: a2ep", "is not a YAML file"),
        ("- a\n- b\n", "must hold keys and values"),
        (
            "data: {root: x, window: 5}\nuse: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}",
            "stage by stage",
        ),
        ("use: {face: toy, audio: mel, render: mesh, data: clips}\ndata: {root: x}", "which motion model"),
        ("use: {face: toy, audio: mel, motion: a2ep, render: mesh, data: clips}", "data module 'clips'.*root"),
    ],
)
def test_a_bad_experiment_is_refused_in_a_sentence(tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(VisemixError, match=message):
        load_experiment(tmp_path / "bad.yaml")


def test_an_override_without_a_value_is_refused(experiment):
    with pytest.raises(VisemixError, match=r"'motion\.dim' is no override; write key=value"):
        compose(experiment, ["motion.dim"])


def test_a_part_is_picked_by_its_bare_name_in_a_file_and_in_an_override(experiment):
    cfg = compose(experiment, ["motion=regression", "render.shininess=0"])
    assert (cfg.use.motion, cfg.motion.name, "dim" in cfg.motion) == ("regression", "regression", False)
    cfg = compose(experiment, ["motion=regression", "motion.extra=1"])
    assert (cfg.motion.name, cfg.motion.extra) == ("regression", 1)
    experiment.write_text("# Is short as good as long?\nextends: ../base.yaml\nmotion: regression\n")
    assert compose(experiment).motion.name == "regression"


@pytest.mark.parametrize("given", ["motion=3", "motion=null", "motion=[a2ep]"])
def test_what_is_no_name_of_a_part_is_refused(experiment, given):
    with pytest.raises(VisemixError, match=r"motion: .* picks no part"):
        compose(experiment, [given])


def test_a_scale_sizes_the_parts_that_are_used_and_gives_way_to_what_is_said(experiment):
    cfg = compose(experiment, ["scale=tiny", "motion=a2ep", "motion.heads=4"])
    assert (cfg.motion.dim, cfg.motion.heads, cfg.motion.feedforward, cfg.train.motion.steps) == (32, 4, 16, 4)
    assert "dim" not in compose(experiment, ["scale=tiny", "motion=regression"]).motion
    with pytest.raises(VisemixError, match="no scale 'tinny'; did you mean 'tiny'"):
        compose(experiment, ["scale=tinny"])


@pytest.mark.parametrize("path", sorted((config_root() / "scale").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_scale_names_parts_and_options_that_exist(path):
    cfg = OmegaConf.to_container(OmegaConf.load(path))
    for stage, options in cfg.pop("train").items():
        stage_options(stage, options)
    for group, parts in cfg.items():
        for name, options in parts.items():
            stage_options(group, options.pop("train")) if "train" in options else None
            REGISTRIES[group].check({"name": name} | REQUIRED.get(name, {}) | options)


def test_an_unknown_experiment_is_answered_with_the_nearest(experiment, monkeypatch):
    monkeypatch.chdir(experiment.parents[2])
    with pytest.raises(VisemixError, match="no experiment 'ablations/widht'; did you mean 'ablations/width'"):
        find_experiment("ablations/widht")


def test_what_comes_with_the_library_is_found_from_anywhere_and_the_users_own_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = config_root().parent / "experiments"
    for name in ("gsmoothface/motion", "experiments/gsmoothface/motion.yaml"):
        assert find_experiment(name) == ours / "gsmoothface/motion.yaml"
    with pytest.raises(VisemixError, match=r"no experiment 'smoek'; did you mean .smoke.\? \(have: ablations/"):
        find_experiment("smoek")
    mine = Path("experiments/gsmoothface/motion.yaml")
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert find_experiment("gsmoothface/motion") == mine


def test_a_part_without_a_file_is_its_name():
    assert load_part("motion", "of_a_plugin") == {"name": "of_a_plugin"}


def test_a_part_brings_how_it_is_trained_over_what_was_written_for_the_one_it_replaces(experiment):
    with experiment.open("a") as file:
        file.write("train: {render: {steps: 7, ema: 0.9}, motion: {steps: 5}}\n")
    ours = load_part("render", "gaussians").train
    cfg = load_experiment(experiment, ["render=gaussians", "train.render.lr=1e-2"])
    assert (cfg.train.render.steps, cfg.train.render.ema, cfg.train.render.lr) == (ours.steps, None, 1e-2)
    assert cfg.train.motion.steps == 5 and cfg.train.render.steps != 7
    assert load_experiment(experiment, ["render=taft"]).train.render.steps == 7  # which brings none
    cfg = load_experiment(experiment, ["render=gaussians", "scale=small", "train=gpu"])
    assert (cfg.train.render.steps, cfg.train.render.batch) == (ours.steps, 1)
    assert load_experiment(experiment, ["render=gaussians", "scale=tiny"]).train.render.steps == 4


@pytest.mark.parametrize("name", ["geneface", "gsmoothface"])
def test_our_gaussians_stand_in_the_papers_tables_as_no_row_of_theirs(name):
    path = ROOT / f"experiments/ablations/{name}.yaml"
    cfg = compose(path)
    found = {point.row: load_experiment(path, point.overrides) for point in sweep_points(cfg)}
    full, ours = found[next(iter(cfg.sweep.variants))], {row: c for row, c in found.items() if "ours" in row}
    assert ours and not {*ours} & {*ABLATED[cfg.sweep.quoted].rows}
    recipe = stage_options("render", load_part("render", "gaussians").train)
    for config in ours.values():
        assert config.render.name == "gaussians" and config.motion == full.motion
        assert stage_options("render", config.train.render) == recipe
        assert config.data.target is not None  # one person's footage
    named = {row: row.partition(" (")[0] for row in found}  # what stands in brackets is ours
    assert {row for row in found if named[row] not in ABLATED[cfg.sweep.quoted].rows} == {*ours}
