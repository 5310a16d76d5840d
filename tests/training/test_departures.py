import pytest
from omegaconf import OmegaConf

from visemix.audio import AUDIO
from visemix.config import compose
from visemix.motion import MOTION
from visemix.render import RENDER
from visemix.run import complete_config, load_experiment
from visemix.training.departures import departures, report

REGISTRIES = {"audio": AUDIO, "motion": MOTION, "render": RENDER}
PARTS = [(group, name) for group, registry in REGISTRIES.items() for name in registry.names()]


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text(
        "# What is it?\nuse: {face: toy, audio: mel, motion: regression, render: taft, data: clips}\n"
        "data: {root: x}\nfit: [render]\n"
    )
    return path


def of(experiment, *overrides):
    return {str(one).split(" (")[0]: one for one in departures(load_experiment(experiment, overrides))}


def test_an_option_that_is_not_as_published_is_said_with_its_place_and_why(experiment):
    found = of(experiment, "render.base=32", "render.vgg=x.pth")
    assert str(found["render.base is 32, not 64"]) == "render.base is 32, not 64 (the paper, Fig. 4)"
    assert str(found["eyes is blinking, not driven"]).startswith(
        "eyes is blinking, not driven (the paper, IV-B); eyes and brows"
    )
    assert "render.union is true, not false" in found  # which `compat` decides, not the config
    assert "render.levels is 3, not 3" not in found and not any("vgg" in line for line in found)
    assert "render.vgg is null, not set" in of(experiment)


def test_what_a_preset_alone_decides_is_not_said_as_if_it_were_an_option(experiment):
    found = of(experiment, "use.render=landmark_nerf")
    decided = "which render.compat=corrected decides, is"
    assert f"render: colour_widths, {decided} [16, 32], not [128, 128]" in found
    assert not any("render.colour_widths" in line or "render.released" in line for line in found)
    found = of(experiment, "use.render=landmark_nerf", "render.compat=official", "render.field=grid")
    assert "render.field is grid, not vanilla" in found and not any("released" in line for line in found)


def test_one_switch_at_the_top_reaches_parts_and_their_training(experiment):
    for told in (of(experiment, "compat=paper"), of(experiment, "compat=official")):
        assert {line for line in told if line != "render"} == {"render.vgg is null, not set"}
    cfg = load_experiment(experiment, ["compat=official"])
    assert (cfg.render.compat, cfg.eyes, cfg.train.render.ema) == ("official", "driven", 0.99778)


def test_training_counts_where_a_run_trains_the_stage(experiment):
    line = "train.render.lr is 0.001, not 0.0001"
    assert line in of(experiment, "train.render.lr=0.001")
    assert line not in of(experiment, "train.render.lr=0.001", "fit=[motion]")


def test_official_is_held_against_the_code_and_everything_else_against_the_paper(experiment):
    assert report(load_experiment(experiment))[0] == "departs from the papers in:"
    assert report(load_experiment(experiment, ["compat=official"]))[0] == "departs from the authors' code in:"
    assert report(load_experiment(experiment, ["render=mesh"])) == []


def test_a_part_inside_another_is_looked_at_too_and_takes_the_switch(tmp_path):
    path = tmp_path / "wrapped.yaml"
    path.write_text(
        "# What is it?\nuse: {face: toy, audio: cached, motion: smooth, render: mesh, data: clips}\n"
        "audio: {base: {name: hubert}}\nmotion: {base: {name: a2ep, norm: squared}}\n"
        "data: {root: x}\n"
    )
    assert "audio.base.trainable is true, not false" in of(path)
    cfg = compose(path, ["compat=paper"])
    assert (cfg.motion.base.compat, cfg.motion.base.norm) == ("paper", "squared")  # what is written stays
    assert (cfg.audio.base.trainable, cfg.train.motion.steps) == (False, 36400)


def test_a_scale_has_the_last_word_on_how_long_a_preset_is_trained(experiment):
    cfg = compose(experiment, ["compat=official", "scale=tiny"])
    assert (cfg.render.compat, cfg.render.base, cfg.train.render.steps, cfg.train.render.batch) == ("official", 4, 4, 1)
    assert cfg.train.render.lr == 1e-4  # which the scale leaves alone


@pytest.mark.parametrize(("group", "name"), PARTS, ids=lambda one: one)
def test_what_was_published_is_of_options_that_exist(group, name):
    kind = REGISTRIES[group].kind_of(name)
    whole = complete_config({"name": "x", "fit": [], **_smallest()})
    for one in kind.published:
        own = {*REGISTRIES[group].schema(name).__dataclass_fields__, *kind.presets.get("paper", ())}
        known = not one.option or one.option in own
        assert known or OmegaConf.select(whole, one.option, default=KeyError) is not KeyError, one.option
        assert one.source, one
    options = {one.option for one in kind.published if not one.code}
    assert options >= {*kind.presets.get("paper", ())} - {"sampling", "overflow"} or not kind.presets


def test_of_one_option_the_paper_says_one_thing():
    for group, name in PARTS:
        said = [(one.option, one.code) for one in REGISTRIES[group].kind_of(name).published if one.option]
        assert len(said) == len({*said}), (group, name)


def _smallest():
    parts = {"face": "toy", "audio": "mel", "motion": "regression", "render": "mesh"}
    return {group: {"name": name} for group, name in parts.items()} | {"data": {"name": "clips", "root": "x"}}


@pytest.mark.parametrize(("group", "name"), PARTS, ids=lambda one: one)
def test_a_preset_is_what_it_is_named_after(group, name):
    kind = REGISTRIES[group].kind_of(name)
    for one in kind.published:
        preset = kind.presets.get("official" if one.code else "paper", {})
        assert one.option not in preset or preset[one.option] == one.value, one


@pytest.mark.parametrize(("group", "name"), PARTS, ids=lambda one: one)
def test_whatever_a_default_has_otherwise_than_the_paper_is_said_with_a_reason(group, name):
    kind = REGISTRIES[group].kind_of(name)
    ours, papers = kind.presets.get("corrected", {}), kind.presets.get("paper", {})
    said = {one.option for one in kind.published if one.why and not one.code}
    assert {option for option in ours if ours[option] != papers[option]} <= said
