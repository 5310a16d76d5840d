import torch

from visemix.ops.planes import read_planes
from visemix.render.conditions import (
    ConditionEncoder,
    LandmarkEncoder,
    RunningPCA,
    RunningStats,
    TemporalAttention,
    pad_context,
)
from visemix.render.fields import BlendedPlanes, GridField, TriplaneEncoding, VanillaField, project_to_planes
from visemix.render.torso import VanillaTorso


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_printed_sizes():
    assert count(VanillaField(64)) == 595_844
    assert count(LandmarkEncoder(convolutions=True)) == 49_600
    assert count(TemporalAttention(64, 5)) == 3_643
    assert 2 * count(VanillaField(64)) + 49_600 + 3_643 == 1_244_931


def test_the_printed_torso_is_conditioned_by_158_numbers():
    torso = VanillaTorso(64, width=256, coarse=64, fine=128, head_aware=True)
    assert torso.nerf.fine.trunk[0].in_features == 63 + 158


def field():
    torch.manual_seed(0)
    return GridField(8, TriplaneEncoding([4, 8], 2), 16, 8, 2, 3)


def driven_by(points, directions, condition):
    grid = field()
    return grid(points, directions, grid.encode_condition(condition))


def test_a_grid_answers_for_every_sample():
    found = driven_by(torch.rand(2, 3, 5, 3), torch.randn(2, 3, 3), torch.randn(2, 8))
    assert found.density.shape == (2, 3, 5) and found.density.min() > 0
    assert found.colour.shape == (2, 3, 5, 3) and found.colour.min() >= 0 and found.colour.max() <= 1
    assert found.driven.shape == (2, 3, 5, 2 + 3)


def test_landmarks_move_a_grids_points():
    points, directions = torch.rand(1, 3, 5, 3), torch.randn(1, 3, 3)
    one, other = (driven_by(points, directions, condition) for condition in (torch.zeros(1, 8), torch.ones(1, 8)))
    assert (one.driven - other.driven).abs().amax((0, 1, 2)).min() > 1e-3


def test_shapes_are_blended_as_expressions_are():
    torch.manual_seed(0)
    shapes, points, condition = BlendedPlanes(4, 5, 6, 2), torch.rand(2, 7, 3) * 2 - 1, torch.randn(2, 4)
    weights, sets = shapes.weigh(condition), shapes.sets.tables[0].view(5, 3, 6, 6, 2)
    read = [read_planes(three, project_to_planes(points.flatten(0, 1))).reshape(2, 7, 6) for three in sets]
    wanted = sum(weights[:, k, None, None] * read[k] for k in range(5))
    torch.testing.assert_close(shapes(points, shapes.blend(condition)), wanted)


def test_moments_are_those_of_all_that_was_seen():
    torch.manual_seed(0)
    rows, moments = torch.randn(30, 4) * 3 + 1, RunningStats(4)
    for piece in rows.split(7):
        moments.update(piece)
    torch.testing.assert_close(moments.mean, rows.mean(0))
    torch.testing.assert_close(moments.spread, rows.std(0, unbiased=False))
    assert torch.equal(moments.low, rows.amin(0)) and torch.equal(moments.high, rows.amax(0))


def test_directions_are_the_principal_components_of_all_that_was_seen():
    torch.manual_seed(0)
    true = torch.linalg.qr(torch.randn(12, 4))[0]
    true, aside = true[:, :3], true[:, 3]
    rows = torch.randn(4000, 3) * torch.tensor([0.5, 0.2, 0.1]) @ true.mT + 0.3
    directions = RunningPCA(12, 3)
    assert torch.equal(directions.clamp_to_range(rows), rows)
    for piece in (rows + 0.002 * torch.randn_like(rows)).split(40):
        directions.update(piece)
    assert (directions.basis.mT @ true).abs().diagonal().min() > 0.999
    far = directions.project(rows)
    torch.testing.assert_close(far.std(0), torch.tensor([1.0, 0.4, 0.2]), atol=0.02, rtol=0)
    inner = (far.abs() < 2.9 * far.std(0)).all(1)
    assert (directions.clamp_to_range(rows) - rows)[inner].abs().max() < 0.01
    torch.testing.assert_close(directions.project(rows + aside), far, atol=0.02, rtol=0)
    torch.testing.assert_close(directions.project(rows * 100).abs().amax(0), 3 * far.std(0), atol=0.06, rtol=0)


def test_a_few_directions_are_heard_by_a_linear_driver():
    torch.manual_seed(0)
    driver, values = ConditionEncoder(12, 4, 1, False, 2), torch.randn(1, 50, 12)
    driver.moments.update(values)
    small = driver.moments.mean + 0.1 * torch.randn(1, 2, 12)
    middle = driver(small.mean(1, keepdim=True), 1)
    torch.testing.assert_close(driver(small, 2).mean(1, keepdim=True), middle)


def test_at_the_ends_the_first_and_last_frames_stand_still():
    assert pad_context(torch.tensor([[[1.0], [2.0]]]), 2, 1).flatten().tolist() == [1, 1, 2, 2]
    assert pad_context(torch.tensor([[[0.0], [1.0], [2.0], [3.0]]]), 2, 1).flatten().tolist() == [0, 1, 2, 3]


def test_neighbours_are_a_weighted_mean_of_the_frames_around():
    torch.manual_seed(0)
    mean = TemporalAttention(64, 3)(torch.full((1, 6, 64), 0.7))
    torch.testing.assert_close(mean, torch.full((1, 4, 64), 0.7))
