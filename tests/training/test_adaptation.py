import pytest
import torch

from visemix.training.adaptation import CheckpointChoice
from visemix.training.pictures import domain_map, offset_curves


def settled(**changes):
    choice = CheckpointChoice(real=0.5, fake=0.48, lowest_sync=0.4, last_error=0.2)
    for name, value in changes.items():
        setattr(choice, name, value)
    return choice


def test_the_first_checkpoint_at_which_all_is_settled_is_taken():
    assert settled().objections(sync=0.43, spread=0.85, error=0.19) == []


@pytest.mark.parametrize(
    ("changes", "values", "why"),
    [
        ({"fake": 0.44}, (0.41, 0.9, 0.19), r"not at rest (scores 0.50 of true frames, 0.44 of made ones)"),
        ({"real": 0.33, "fake": 0.31}, (0.41, 0.9, 0.19), "critic is not at rest"),  # it has not begun to learn
        ({"real": None, "fake": None}, (0.41, 0.9, 0.19), "critic"),
        ({}, (0.45, 0.9, 0.19), "sync loss 0.450 is above its lowest, 0.400"),
        ({}, (0.41, 0.79, 0.19), "spreads 0.79 times"),
        ({}, (0.41, 0.9, 0.15), "error still falls, to 0.15"),
        ({"last_error": float("inf")}, (0.41, 0.9, 0.15), "error still falls"),  # the first validation never ends it
    ],
)
def test_each_of_the_conditions_can_object(changes, values, why):
    (objection,) = settled(**changes).objections(*values)
    assert why in objection


def test_the_lowest_sync_loss_is_remembered():
    choice = settled()
    choice.objections(0.2, 1.0, 0.2)
    assert choice.lowest_sync == 0.2 and choice.objections(0.23, 1.0, 0.2)


def test_the_critics_scores_are_running_means():
    choice = CheckpointChoice()
    choice.add_scores(1.0, 0.0)
    choice.add_scores(0.0, 1.0)
    assert (choice.real, choice.fake) == (pytest.approx(0.98), pytest.approx(0.02))


COLOURS = {"many": (0.2, 0.6, 0.25), "before": (0.15, 0.35, 0.8), "after": (0.85, 0.1, 0.1), "truth": (0.6, 0.6, 0.6)}


def test_the_four_sets_of_figure_10_lie_in_one_map_each_in_its_colour():
    g = torch.Generator().manual_seed(0)
    rows = {name: torch.randn(9, 6, generator=g) + 30 * k for k, name in enumerate(COLOURS)}
    picture = domain_map(rows, side=240)
    assert picture.shape == (3, 240, 240)
    colours = {tuple(round(c, 2) for c in colour) for colour in picture.flatten(1).T.tolist()}
    assert colours == {(1.0, 1.0, 1.0), *COLOURS.values()}


def test_sets_of_one_domain_lie_together_in_the_map():
    """Two pairs of sets, 30 apart: only one map of all of them tells which pairs belong together."""
    g = torch.Generator().manual_seed(1)
    where = {"many": 0.0, "before": 0.0, "after": 30.0, "truth": 30.0}
    picture = domain_map({name: torch.randn(40, 6, generator=g) + at for name, at in where.items()}, side=480)

    def middle(name):
        is_it = (picture - torch.tensor(COLOURS[name])[:, None, None]).abs().amax(0) < 1e-6
        return is_it.nonzero().double().mean(0)

    near = [(middle(a) - middle(b)).norm() for a, b in (("many", "before"), ("after", "truth"))]
    far = [(middle(a) - middle(b)).norm() for a, b in (("many", "truth"), ("before", "after"), ("many", "after"))]
    assert max(near) < 0.4 * min(far)


def test_offset_curves_are_drawn_with_their_mean_on_top():
    curves = torch.stack([torch.arange(31.0), torch.arange(31.0)])
    picture = offset_curves(curves)
    assert picture.shape == (3, 160, 248)
    assert picture[:, 80].min(1).values.tolist() == pytest.approx([0.85, 0.1, 0.1])  # equal curves: red covers grey
