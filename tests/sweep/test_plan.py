from pathlib import Path

import pytest
from omegaconf import OmegaConf

from visemix.run import folder_of
from visemix.sweep.plan import listing, plan
from visemix.types import VisemixError

ROOT = Path(__file__).parents[2]
VAE = "name: flow_vae, channels: 8, encoder_layers: 1, decoder_layers: 1, sync_dim: 16, sync_windows: 8"
SWEEP = f"""# Which one?
use: {{face: toy, audio: mel, motion: postnet, render: mesh, data: clips}}
audio: {{learned: false, dim: 8}}
data: {{root: many, target: person}}
motion: {{base: {{{VAE}}}}}
sweep:
  variants:
    whole: []
    no flow: [motion.base.flow=false]
    no expert: [motion.base.sync=false, motion.sync_weight=0]
    no post-net: ["fit=[sync,motion,render]"]
    tuned: ["fit=[sync,motion,finetune,render]"]
    bare: [use.motion=flow_vae, motion.channels=8, motion.encoder_layers=1, motion.decoder_layers=1, motion.sync_dim=16,
           motion.sync_windows=8]
    painted: [render.over=black]
    joint: ["fit=[joint]", load.sync=a, load.motion=a, load.render=b]
    wide: [motion.base.sync_dim=32]
    eyes: [eyes=driven]
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "which.yaml"
    file.write_text(SWEEP)
    return file


def stages(cell):
    return {config["fit"][0]: str(folder_of(OmegaConf.create(config))) for config in cell.stages}


def test_a_stage_is_one_run_for_all_points_that_do_not_differ_in_it(experiment):
    cells = {cell.row: cell for cell in plan(experiment)}
    runs = {row: stages(cell) for row, cell in cells.items()}
    whole = runs["whole"]
    assert list(whole) == ["sync", "motion", "postnet", "render"]
    assert runs["no flow"]["sync"] == whole["sync"] and runs["no flow"]["motion"] != whole["motion"]
    assert list(runs["no expert"]) == ["motion", "postnet", "render"]
    assert runs["no post-net"] == {stage: whole[stage] for stage in ("sync", "motion", "render")}
    assert list(runs["tuned"]) == ["sync", "motion", "finetune", "render"]
    assert runs["tuned"]["motion"] == runs["bare"]["motion"] == whole["motion"]
    assert runs["painted"]["postnet"] == whole["postnet"] and runs["painted"]["render"] != whole["render"]
    assert runs["wide"]["sync"] != whole["sync"]
    assert runs["eyes"] == whole  # whose they are is decided when pictures are made
    assert len({run for each in runs.values() for run in each.values()}) == 4 + 2 + 2 + 1 + 1 + 1 + 3


def test_a_stage_builds_on_the_runs_of_those_before_it(experiment):
    cells = {cell.row: cell for cell in plan(experiment)}
    whole, loads = stages(cells["whole"]), [config["load"] for config in cells["whole"].stages]
    assert loads == [{}, {"sync": whole["sync"]}, {"sync": whole["sync"], "motion": whole["motion"]}, {}]
    (joint,) = cells["joint"].stages
    assert joint["load"] == {"sync": "a", "motion": "a", "render": "b"}
    assert joint["motion"]["name"] == "postnet" and joint["render"]["name"] == "mesh"


def test_only_what_is_of_the_person_is_learnt_from_the_target(experiment):
    for config in next(cell for cell in plan(experiment) if cell.row == "tuned").stages:
        personal = config["fit"][0] in ("finetune", "render")
        assert (config["data"]["root"], config["data"]["target"]) == ("person" if personal else "many", None)


def test_parts_that_do_not_fit_are_known_before_anything_is_trained(experiment):
    with experiment.open("a") as file:
        file.write("    learns on: [audio.learned=true]\n")
    *others, cell = plan(experiment)
    assert "the sync-expert hears audio 'mel', which would learn on after it" in cell.reason and not cell.stages
    assert not any(other.reason for other in others)
    with pytest.raises(VisemixError, match=r"no point of .* can be trained; the first, 'learns on': the sync-expert"):
        experiment.write_text(SWEEP.split("    whole")[0] + "    learns on: [audio.learned=true]\n")
        plan(experiment)


def test_a_sweeps_runs_share_a_group_and_the_plan_can_be_read(experiment, tmp_path):
    experiment.write_text(SWEEP.split("    no flow")[0] + "  seed: [0, 1]\n")
    cells = plan(experiment, ["log=wandb", f"out={tmp_path}"])
    assert {config["log"]["group"] for cell in cells for config in (cell.config, *cell.stages)} == {"which"}
    lines = listing(cells).splitlines()
    assert len(lines) == 2 * 4 + 1 and lines[-1] == "2 points, 8 stages to train or there"
    assert lines[0].startswith(f"to train  sync      {tmp_path}/stages/") and lines[0].endswith("seed 0, for whole")


def test_a_recogniser_is_trained_once_for_all_that_hear_through_it(tmp_path):
    (tmp_path / "heard.yaml").write_text("""# By whom?
use: {face: toy, audio: ctc, motion: regression, render: mesh, data: clips}
audio: {weights: random, characters: 58, dim: 16, layers: 1, heads: 2, conv_dim: 8}
data: {root: many}
fit: [recogniser, motion]
sweep:
  variants:
    narrow: [motion.hidden=8]
    wide: [motion.hidden=16]
    deep: [audio.layers=2, motion.hidden=8]
    deaf: [audio=mel, motion.hidden=8, "fit=[motion]"]
""")
    narrow, wide, deep, deaf = plan(tmp_path / "heard.yaml")
    assert list(stages(narrow)) == ["recogniser", "motion"] and list(stages(deaf)) == ["motion"]
    assert stages(narrow)["recogniser"] == stages(wide)["recogniser"] != stages(deep)["recogniser"]
    assert [config["load"] for config in wide.stages] == [{}, {"recogniser": stages(wide)["recogniser"]}]
    assert "recogniser" not in deaf.stages[0]["train"]  # so that runs without one keep their names


def test_a_stage_keeps_the_wrappers_around_what_it_builds_on(tmp_path):
    """The run that finds a person's amplitude loads the one that also taught the lips to close, outside of it."""
    file = tmp_path / "which.yaml"
    file.write_text("""# Whose?
use: {face: toy, audio: mel, motion: closure, render: mesh, data: clips}
audio: {learned: false, dim: 8}
data: {root: many, target: person}
motion: {base: {name: calibrated, base: {name: regression, hidden: 8}}}
fit: [motion, adapt]
""")
    (cell,) = plan(file)
    assert [config["motion"]["name"] for config in cell.stages] == ["closure", "closure"]
