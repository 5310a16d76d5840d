import pytest
import standins
import torch

from visemix.audio import AUDIO
from visemix.motion import MOTION, MotionModel
from visemix.plugins import load_plugin_file
from visemix.registry import Registry
from visemix.types import Space, Speech, VisemixError


def test_keyword_only_parameters_are_the_config():
    assert MOTION.check({"name": "gru", "layers": "2"}) == {"hidden": 8, "layers": 2, "space": "expression"}


def test_a_misspelt_option_is_answered_with_the_nearest():
    with pytest.raises(
        VisemixError, match=r"no option 'hiden'; did you mean 'hidden'\? \(has: hidden, layers, space\)"
    ):
        MOTION.build({"name": "gru", "hiden": 3}, 8, None)


def test_a_value_outside_the_choices_is_refused():
    with pytest.raises(VisemixError, match=r"gru.*motion\.space is 'mesh'; it must be 'expression' or 'landmarks'"):
        MOTION.build({"name": "gru", "space": "mesh"}, 8, None)


def test_a_value_of_another_type_is_refused():
    with pytest.raises(VisemixError, match=r"gru.*motion\.layers is 'many'; it must be a valid integer"):
        MOTION.build({"name": "gru", "layers": "many"}, 8, None)


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(VisemixError, match=r"no motion model named 'grru'; did you mean 'gru'\?"):
        MOTION["grru"]


def test_a_config_without_a_name_is_told_the_names():
    with pytest.raises(
        VisemixError, match=r"which motion model\? say its name \(have: .*a2ep.*use: {motion: NAME}.*visemix parts"
    ):
        MOTION.check({"layers": 1})


def test_a_required_option_is_asked_for():
    with pytest.raises(VisemixError, match=r"smooth.*\(base\)"):
        MOTION.check({"name": "smooth"})


class Plain(MotionModel):
    """A model with no constructor of its own."""

    space = Space.EXPRESSION

    def forward(self, audio, subject): ...

    def loss(self, audio, subject, target): ...


def plugin(init):
    registry: Registry[MotionModel] = Registry("motion model", MotionModel)
    registry.register("mine")(type("Mine", (Plain,), {"__init__": init}))
    return registry


def test_an_option_among_the_wiring_is_refused_where_it_is_written():
    def init(self, audio_dim, face, gain: float = 0.1): ...

    with pytest.raises(ValueError, match=r"'mine' could never be told its 'gain': .*write `\*,` before them"):
        plugin(init)


def test_an_option_without_a_type_is_refused_where_it_is_written():
    def init(self, audio_dim, face, *, gain=0.1): ...

    with pytest.raises(ValueError, match="motion model 'mine' does not say the type of its option 'gain'"):
        plugin(init)


def fewer(self, audio_dim): ...


def more(self, audio_dim, face, gain): ...


@pytest.mark.parametrize("init", [fewer, more])
def test_wiring_that_is_not_what_is_handed_over_is_named(init):
    with pytest.raises(VisemixError, match=r"'mine' is handed 2 things .*otherwise \(.*options are keyword-o"):
        plugin(init).build({"name": "mine"}, 8, None)


def test_a_name_is_given_once():
    registry: Registry[MotionModel] = Registry("toy")
    registry.register("a")(standins.GRUMotion)
    registry.register("a")(standins.GRUMotion)
    with pytest.raises(ValueError, match="toy 'a' is already GRUMotion"):
        registry.register("a")(standins.Refined)


def test_shapes_are_checked_in_tests():
    with pytest.raises(Exception, match="wave"):
        Speech(torch.zeros(3))


def test_a_loose_file_can_add_a_part(tmp_path):
    plugin = tmp_path / "loose.py"
    plugin.write_text(
        "from visemix.audio import AUDIO, AudioEncoder\n"
        "@AUDIO.register('loose')\n"
        "class Loose(AudioEncoder):\n"
        "    def __init__(self, *, dim: int = 3) -> None:\n"
        "        super().__init__()\n"
        "        self.dim = dim\n"
        "    def forward(self, speech): ...\n"
    )
    load_plugin_file(plugin)
    load_plugin_file(plugin)
    assert AUDIO.build({"name": "loose", "dim": "5"}).dim == 5
    del AUDIO._parts["loose"]


def test_a_missing_plugin_is_named(tmp_path):
    with pytest.raises(VisemixError, match=r"no plugin file .*absent\.py"):
        load_plugin_file(tmp_path / "absent.py")


def test_a_name_that_nobody_knows_may_be_one_of_your_own():
    with pytest.raises(VisemixError, match="one of your own is known once its file is named, by --plugin FILE"):
        MOTION["mine"]


def test_a_plugin_that_cannot_be_run_is_named(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("from visemix.types import Nonsense\n")
    for _ in range(2):  # the second time, too
        with pytest.raises(
            VisemixError, match=r"the plugin .*mine\.py cannot be run: ImportError: cannot import name 'N"
        ):
            load_plugin_file(plugin)
