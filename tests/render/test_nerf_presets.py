"""What the presets of the landmark NeRF decide: sizes and losses of the paper, arithmetic of the authors' code."""

import math

import pytest
import torch
from nerf_maker import TINY, VANILLA, driven, nerf

from visemix.render import RENDER, LandmarkNeRF
from visemix.render.conditions import ConditionEncoder
from visemix.render.fields import VanillaField
from visemix.render.heads import VanillaHead
from visemix.render.published import NERF_PRESETS
from visemix.training.watch import reached, starts

VANILLAS = ("paper", "official")
EMPTY = (torch.tensor([[0.0, 0.0, 10.0]]), torch.tensor([[[0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]]), torch.zeros(1, 4))


@pytest.mark.parametrize("relu", [False, True])
def test_all_of_space_starts_with_the_same_thin_fog_whatever_the_seed(relu):
    for seed in range(20):
        torch.manual_seed(seed)
        field = VanillaField(4, width=8, start=0.25, relu=relu)
        density = field(torch.randn(1, 5, 6, 3), torch.randn(1, 5, 3), torch.randn(1, 1, 4)).density
        torch.testing.assert_close(density, torch.full((1, 5, 6), 0.25))


@pytest.mark.parametrize("compat", VANILLAS)
def test_every_net_of_every_preset_learns_from_the_first_step_whatever_the_seed(face, clip, compat):
    frames = NERF_PRESETS[compat]["window"]
    motion, subject, video = driven(face, clip, frames)
    for seed in range(20):
        torch.manual_seed(seed)
        options = {"name": "landmark_nerf"} | VANILLA | {"compat": compat, "vanilla_width": 64, "rays": 32}
        render = RENDER.build(options, face).train()
        sum(render.loss(motion, subject, video).values()).backward()
        later = {name for name, step in starts(render).items() if step}
        weights = {name: p for name, p in render.named_parameters() if name not in later}
        assert weights.keys() == {*reached(weights)}, seed
        assert {*later} == ({n for n in render.state_dict() if "neighbours" in n} if compat == "official" else set())


def test_a_density_pushed_out_of_the_picture_comes_back_and_a_relus_does_not():
    for relu in (False, True):
        torch.manual_seed(0)
        field = VanillaField(4, width=8, relu=relu)
        torch.nn.init.constant_(field.density.bias, -3.0)
        field(torch.rand(1, 5, 6, 3), torch.randn(1, 5, 3), torch.zeros(1, 1, 4)).density.sum().backward()
        assert bool(field.density.bias.grad) is not relu


@pytest.mark.parametrize("compat", VANILLAS)
def test_the_papers_loss_is_the_squared_error_alone(face, clip, compat):
    render = nerf(face, **VANILLA | {"compat": compat}).train()
    assert set(render.loss(*driven(face, clip, 5))) == {"head", "torso"}
    given = nerf(face, **VANILLA | {"compat": compat, "mask_weight": 0.1}).train()
    assert set(given.loss(*driven(face, clip, 5))) == {"head", "torso", "mask", "torso_mask"}


def test_our_own_preset_pays_for_masks_depth_fog_and_motion(face, clip):
    names = {"head", "torso", "mask", "torso_mask", "surface", "entropy", "ambient"}
    assert set(nerf(face).train().loss(*driven(face, clip, 3))) == names


@pytest.mark.parametrize(("compat", "widths"), [("paper", [128, 128, 16]), ("official", [16, 32, 16])])
def test_the_encoder_of_the_heads_colour_has_the_printed_sizes(face, compat, widths):
    colours = nerf(face, **VANILLA | {"compat": compat}).torso.colours
    assert [layer.out_features for layer in colours if hasattr(layer, "out_features")] == widths


def test_the_authors_count_in_metres_from_sample_to_sample_and_their_last_one_is_background(monkeypatch):
    """Density 5 a metre: four samples of a way of 0.27 m, of which the last one's stretch is nothing's."""
    torch.manual_seed(0)
    head, asked = VanillaHead(4, width=8, coarse=4, fine=2, released=True).eval(), []
    for field in (head.coarse, head.fine):
        torch.nn.init.constant_(field.density.bias, 5.0)
        field.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    seen, _ = head(*EMPTY)
    places = 10 - torch.tensor([0.5625, -0.1125, -0.7875, -1.4625]) - 0.0  # the box is 2.7 dm deep, from 0.9 down
    torch.testing.assert_close(seen.places[0, 0], places)
    torch.testing.assert_close(asked[0][0, 0, :, 2], (10 - places) / 10)
    through = math.exp(-5 * 0.0675)
    wanted = torch.tensor([1 - through, through - through**2, through**2 - through**3, 0.0])
    torch.testing.assert_close(seen.weights[0, 0], wanted, atol=1e-6, rtol=1e-5)
    assert seen.weights[0, 1].sum() == 0  # a ray that misses the box


def test_neighbours_have_a_say_once_training_is_that_far():
    torch.manual_seed(0)
    early, late = (ConditionEncoder(12, 4, 3, False, attention_from=start) for start in (0, 2))
    late.load_state_dict(early.state_dict() | {"steps": torch.tensor(0)})
    values = torch.randn(1, 5, 12)
    alone = late.encoder(values / (1 + 1e-3))[:, 1:4]
    torch.testing.assert_close(late(values, 3), alone)
    late.update(values)
    assert not torch.allclose(late.update(values) or late(values, 3), alone)
    early.moments = late.moments
    torch.testing.assert_close(late(values, 3), early(values, 3))
    assert "steps" not in early.state_dict() and late.neighbours.learns_from == 2


def test_a_preset_decides_nothing_that_is_given(face):
    assert isinstance(nerf(face, **TINY | {"compat": "paper", "field": "grid"}), LandmarkNeRF)
    assert nerf(face, mask_weight=0.0).weights["mask"] == 0.0
