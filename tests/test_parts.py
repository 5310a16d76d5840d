"""What parts say of themselves, and what is said to those that do not."""

import logging
import threading
import warnings
from types import MappingProxyType

import pytest
import standins
import torch
from torch import nn

from visemix.audio import AUDIO, AudioEncoder, Mel
from visemix.data import DATA
from visemix.face.toy import toy
from visemix.motion import MOTION, MotionModel
from visemix.ops.checkpoint import WEIGHTS
from visemix.parts import SeparateWeights, WeightNames, Wrapper, config_of, locate_parts
from visemix.pipeline import TalkingFace
from visemix.registry import Registry
from visemix.run import fit
from visemix.training.ownership import applicable_stages
from visemix.types import AudioFeatures, VisemixError


@pytest.fixture
def parts(monkeypatch):
    """Registries as they are, after the test as they were."""
    for registry in (AUDIO, MOTION, DATA):
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))


def test_a_part_knows_its_config_whoever_builds_it(face):
    hand, named = Mel(dim=8), AUDIO.build({"name": "mel", "dim": "8"})
    assert config_of(hand) == config_of(named) == {"name": "mel", "learned": True, "dim": 8, "bands": 80, "reach": 4}
    assert config_of(toy()) == {"name": "toy"}
    assert config_of(standins.GRUMotion(8, face, layers=2))["layers"] == 2
    config_of(hand)["dim"] = 9
    assert config_of(hand)["dim"] == 8


def test_a_part_of_two_names_has_the_one_that_it_was_asked_for_by(face):
    registry: Registry[MotionModel] = Registry("motion model")
    registry.register("other")(standins.GRUMotion)
    assert config_of(registry.build({"name": "other"}, 8, face))["name"] == "other"
    assert config_of(standins.GRUMotion(8, face))["name"] == "gru"


def test_a_model_of_parts_built_by_hand_comes_back(face, clip, tmp_path):
    torch.manual_seed(0)
    model = TalkingFace(toy(), Mel(dim=8), standins.GRUMotion(8, face), standins.Dots(face, radius=0.1)).eval()
    model.save(tmp_path / WEIGHTS)
    again = TalkingFace.from_checkpoint(tmp_path)
    assert again.config == model.config
    assert again.config["render"] == {"name": "dots", "radius": 0.1, "adversarial": False}
    with torch.inference_mode():
        assert torch.equal(again(clip.speech, clip.subject).frames, model(clip.speech, clip.subject).frames)


def test_a_part_that_is_in_no_registry_is_named_when_it_is_to_be_kept(face, clip, tmp_path):
    class Mine(standins.GRUMotion):
        pass

    model = TalkingFace(toy(), Mel(dim=8), Mine(8, face), standins.Dots(face))
    with pytest.raises(VisemixError, match=r"nobody knows how to build .*Mine again: it is in no registry; put @"):
        model.save(tmp_path / WEIGHTS)
    assert applicable_stages(model) == ["motion", "finetune", "render", "joint"]  # it can be trained for all that


def _forward(self, speech):
    return AudioFeatures(torch.zeros(1, speech.frames, 3))


@pytest.mark.parametrize(
    ("body", "bases", "message"),
    [
        ({"forward": _forward}, (AudioEncoder,), r"audio encoder 'plugin' has no `dim`, which it must say"),
        ({"dim": 3}, (AudioEncoder,), r"audio encoder 'plugin' has no forward; write it in Plugin"),
        (
            {"dim": 3, "forward": _forward},
            (nn.Module,),
            r"is a Plugin, which is no AudioEncoder: derive visemix\.audio",
        ),
        (
            {
                "dim": 3,
                "forward": _forward,
                "separate_weights": MappingProxyType({"recogniser": SeparateWeights(("listener",))}),
            },
            (AudioEncoder,),
            r"audio encoder 'plugin' has no `listener`, which it must say",
        ),
    ],
)
def test_a_plug_in_is_told_what_it_lacks(body, bases, message, parts):
    AUDIO.register("plugin")(type("Plugin", bases, body))
    with pytest.raises(VisemixError, match=message):
        AUDIO.build({"name": "plugin"})


def test_what_a_plug_in_calls_config_is_not_written_over(parts):
    @AUDIO.register("plugin")
    class Plugin(AudioEncoder):
        forward, dim = _forward, 3

        def __init__(self) -> None:
            super().__init__()
            self.config = {"layers": 12}

    with pytest.raises(VisemixError, match="'plugin' has a `config` of its own, where its options are noted; rename"):
        Plugin()


def test_a_plug_in_that_names_an_option_it_has_not_is_told_so(parts):
    separate = MappingProxyType({"sync": SeparateWeights((), ("halfs",))})
    with pytest.raises(ValueError, match=r"audio encoder 'plugin' has no option 'halfs'"):
        AUDIO.register("plugin")(type("Plugin", (AudioEncoder,), {"separate_weights": separate}))


def test_a_stage_that_there_is_not_is_named_by_the_weight_that_is_left_to_it(parts, face):
    class Odd(standins.GRUMotion):
        separate_weights = MappingProxyType({"tongue": SeparateWeights(("head",))})

    MOTION.register("odd")(Odd)
    model = TalkingFace(toy(), Mel(dim=8), Odd(8, face), standins.Dots(face))
    with pytest.raises(VisemixError, match=r"'motion\.head\.weight' is left to a stage 'tongue', which there is not"):
        applicable_stages(model)


def wrapper(*bases):
    """A plug-in around another motion model, of these bases."""

    class Around(*bases):
        def __init__(self, audio_dim, face, *, base: dict) -> None:
            super().__init__()
            self.base = MOTION.build(base, audio_dim, face)
            self.space, self.gain = self.base.space, nn.Parameter(torch.ones(()))

        def forward(self, audio, subject):
            return self.base(audio, subject)

        def loss(self, audio, subject, target):
            return self.base.loss(audio, subject, target)

    return MOTION.register("around")(Around)


def test_a_plug_in_that_wraps_another_part_says_so(parts, face, tmp_path):
    wrapper(MotionModel)
    config = {"name": "around", "base": {"name": "calibrated", "base": {"name": "gru"}}}
    with pytest.raises(VisemixError, match=r"motion model 'around' builds a part of its kind by its option `base` and"):
        MOTION.build(config, 8, face)
    del MOTION._parts["around"]
    wrapper(MotionModel, Wrapper)
    model = TalkingFace(toy(), Mel(dim=8), MOTION.build(config, 8, face), standins.Dots(face))
    names = model.names
    assert names.unwrapped("motion.base.base.head.bias") == "motion.head.bias"
    assert names.unwrapped("motion.gain") == "motion.gain"
    assert names.separate_stage("motion.base.calibration.scale") == "adapt"
    assert (names.separate_stage("motion.base.base.head.bias"), names.separate_stage("render.radius")) == (None, None)
    assert names.location_of("motion.base.base.head.bias").wrappers == 2
    model.save(tmp_path / WEIGHTS)
    assert TalkingFace.from_checkpoint(tmp_path).config == model.config


def test_caches_inside_other_encoders_are_in_no_name():
    config = {"name": "concat", "parts": {"mel": {"name": "cached", "base": {"name": "mel"}}, "hubert": None}}
    names = WeightNames(locate_parts(AUDIO, config, "audio"))
    assert names.unwrapped("audio.parts.mel.base.layers.0.weight") == "audio.parts.mel.layers.0.weight"
    assert names.unwrapped("motion.base.head.bias") == "motion.base.head.bias"  # nobody said what that is


def test_the_name_of_a_part_that_nobody_here_knows_hides_nothing():
    names = WeightNames(locate_parts(MOTION, {"name": "theirs", "base": {"name": "gru"}}, "motion"))
    assert names.unwrapped("motion.base.head.bias") == "motion.base.head.bias"
    assert names.separate_stage("motion.base.head.bias") is None


def test_a_data_module_of_another_kind_is_refused_by_name(parts):
    import lightning as L

    @DATA.register("foreign")
    class Foreign(L.LightningDataModule):
        def __init__(self, face) -> None:
            super().__init__()

    with pytest.raises(VisemixError, match=r"'foreign' is a .*Foreign, which is no DataModule: derive visemix\.data"):
        DATA.build({"name": "foreign"}, None)


def test_a_checkpoint_is_read_without_a_word_taken_from_others(parts, tmp_path, caplog):
    """What other parts of a program say meanwhile is heard; what parts advise before training is not."""
    inside, said = threading.Event(), threading.Event()

    @AUDIO.register("slow")
    class Slow(standins.Spectrum):
        def __init__(self, *, dim: int = 8) -> None:
            super().__init__(dim=dim)
            inside.set()
            said.wait(10)

    def other():
        inside.wait(10)
        logging.getLogger("somebody").warning("the disk is on fire")
        said.set()

    said.set()
    config = {"face": "toy", "audio": "slow", "motion": "gru", "render": "dots"}
    TalkingFace.from_config({part: {"name": name} for part, name in config.items()}).save(tmp_path / WEIGHTS)
    inside.clear(), said.clear()
    thread = threading.Thread(target=other)
    thread.start()
    TalkingFace.from_checkpoint(tmp_path)
    thread.join()
    assert "the disk is on fire" in caplog.text


def test_training_leaves_log_levels_and_warning_filters_as_they_were(tmp_path):
    logger = logging.getLogger("lightning.pytorch")
    before, filters = logger.level, list(warnings.filters)
    parts = {"face": "toy", "audio": "spectrum", "motion": "gru", "render": "dots", "data": "noise"}
    short = {"steps": 1, "batch": 1, "window": 4}
    config = {part: {"name": name} for part, name in parts.items()}
    logger.setLevel(logging.ERROR)
    try:
        fit(config | {"train": {"name": "cpu", "motion": short}, "fit": ["motion"], "out": str(tmp_path)})
        assert (logger.level, warnings.filters) == (logging.ERROR, filters)
    finally:
        logger.setLevel(before)
