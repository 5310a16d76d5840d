import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from nerf_maker import VANILLA, driven, nerf

from visemix.ops.camera import square_camera
from visemix.ops.volume import camera_rays, render_weights
from visemix.render.fields import FieldOutput
from visemix.render.heads import OccupancyGrid, RenderOutput, VanillaHead, composite_over, composite_samples
from visemix.render.torso import VanillaTorso


def test_what_stands_behind_shows_through():
    half = RenderOutput(torch.full((1, 1, 3), 0.25), torch.tensor([[0.5]]))
    torch.testing.assert_close(composite_over(half, torch.ones(1, 1, 3)), torch.full((1, 1, 3), 0.75))


def test_what_landmarks_change_in_one_direction_does_not_make_up_for_another():
    """A sample half opaque, whose two numbers move by 1 and −3, before a wall that stands still."""
    density, driven = torch.tensor([[[math.log(2), 1e6]]]), torch.tensor([[[[1.0, -3.0], [0.0, 0.0]]]])
    found = FieldOutput(density, torch.zeros(1, 1, 2, 3), driven)
    seen = composite_samples(found, torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    torch.testing.assert_close(seen.driven, torch.tensor([[0.5 * 2.0]]))


def test_a_sample_of_the_fine_net_stands_for_the_way_to_the_middles_between_its_neighbours():
    torch.manual_seed(0)
    head = VanillaHead(4, width=8, coarse=4, fine=3).eval()  # untrained: the same fog everywhere, e^-2 a decimetre
    ray = torch.tensor([[0.0, 0.0, 10.0]]), torch.tensor([[[0.0, 0.0, -1.0]]])
    seen = head(*ray, torch.zeros(1, 4))[-1]
    places = seen.places[0, 0].tolist()
    assert len(places) == 7 and places == sorted(places)
    ends = [9.1, *((a + b) / 2 for a, b in pairwise(places)), 11.8]  # the box, 0.9 to −1.8
    left = [math.exp(-math.exp(-2) * (end - 9.1)) for end in ends]
    wanted = [before - after for before, after in pairwise(left)]
    torch.testing.assert_close(seen.weights[0, 0], torch.tensor(wanted), atol=1e-5, rtol=1e-4)


def test_an_occupied_cell_is_found_along_a_ray(face):
    head = nerf(face).head
    occupancy = OccupancyGrid(8)
    occupancy.density.zero_()
    occupancy.density[(4 * 8 + 4) * 8 + 6] = 100.0  # counts as 12: a cell is 0.34 dm deep
    middle = (head.box.low + head.box.high) / 2 + (head.box.high - head.box.low) / 16
    origin = torch.tensor([[middle[0], middle[1], 10.0]])
    direction = torch.tensor([[0.0, 0.0, -1.0]])
    near, far = 10 - head.box.high[2:], 10 - head.box.low[2:]
    mass = occupancy.ray_weights(head.box, origin, direction, near, far, 16)[0]
    torch.testing.assert_close(mass[2:4].sum(), torch.tensor(1 - math.exp(-12 * 2.7 / 8)))
    assert mass.argmax() == 2 and mass[:2].sum() == mass[4:].sum() == 0


def test_rays_past_the_head_are_skipped_and_the_others_are_those_of_a_walk_in_small_steps(face):
    head = nerf(face, cells=16, steps=32).head
    head.occupancy.density.zero_()
    head.occupancy.density.view(16, 16, 16)[5:9, 6:10, 7:9] = 3.0
    pixels = torch.rand(1, 400, 2) * 64
    origins, directions = camera_rays(pixels, torch.zeros(1, 6), square_camera(64)[None])
    near, far = head.box.intersect(origins, directions)
    mass = head.occupancy.ray_weights(head.box, origins.expand(400, 3), directions[0], near[0], far[0], 32)
    size = (far - near)[0] / 32
    at = near[0, :, None] + size[:, None] * (torch.arange(32) + 0.5)
    cell = ((head.box.normalise(origins + directions[0, :, None] * at[..., None]) + 1) * 8).long().clamp(0, 15)
    density = head.occupancy.density.view(16, 16, 16)[cell.unbind(-1)]
    torch.testing.assert_close(mass, render_weights(density, size[:, None].expand(400, 32)), atol=1e-5, rtol=1e-5)
    assert 0.02 < (mass.sum(-1) > 0).float().mean() < 0.9


@pytest.mark.parametrize("untold", [False, True])
def test_a_look_at_the_cells_is_seen_at_the_next_walk(untold):
    with torch.inference_mode(untold):
        occupancy = OccupancyGrid(4)
        before = occupancy._cached_cells()[0].clone()
        occupancy.density[5] = 3.0
        cells, wide = occupancy._cached_cells()
    assert before.flatten()[5] == 1.0 and cells.flatten()[5] == 3.0 and wide.max() == 3.0


def test_a_ray_that_is_stopped_on_its_way_is_seen_as_by_all_of_its_samples(face):
    head = nerf(face, samples=6, steps=16).head.eval()
    with torch.no_grad():
        head.field.body[-1].weight[0] *= 60  # opaque here, empty there
        head.field.body[-1].bias[0] = 4.0
        head.field.encoding.tables.tables[0].normal_(std=2.0)
        code = torch.randn(1, 64)
        head.occupancy.update(head.field, code, 50.0, 0.0)
        pixels = torch.rand(1, 300, 2) * 64
        origins, directions = camera_rays(pixels, torch.zeros(1, 6), square_camera(64)[None])
        near, far = head.box.intersect(origins, directions)
        mass = head._sampling_weights(origins, directions, near, far)
        condition = head.field.encode_condition(code)
        whole = head._render_samples(origins, directions, *head._place_samples(near, far, mass), condition)
        asked, field = [], head.field.forward
        head.field.forward = lambda points, *rest: asked.append(points.shape[1:3]) or field(points, *rest)
        colour, opacity = head._render_frame(origins, directions, near, far, mass, condition)
    going_on = [int((whole.weights[..., :k].sum(-1) < 1 - 1e-3).sum()) for k in (3, 5)]
    assert 30 < going_on[0] < 270 and 20 < going_on[1] < going_on[0]
    assert asked == [(300, 3), (going_on[0], 2), (going_on[1], 1)]
    torch.testing.assert_close(opacity, whole.opacity[0], atol=1.1e-3, rtol=0)
    torch.testing.assert_close(colour, whole.colour[0], atol=1.1e-3, rtol=0)


@pytest.mark.parametrize("options", [{}, VANILLA])
def test_a_torso_lies_over_the_head_and_a_head_over_the_background(face, clip, options):
    """Head half opaque and red, torso a quarter and blue, on a white place: blue over red over white."""
    render = nerf(face, **options).eval()
    motion, subject, _ = driven(face, clip, 1)
    white = replace(subject, background=torch.ones_like(subject.background))
    render.head.forward = flat(0.5, torch.tensor([0.5, 0.0, 0.0]))
    torso = flat(0.25, torch.tensor([0.0, 0.0, 0.25]))
    render._torso = lambda pixels, *_: torso(None, torch.zeros(*pixels.shape[:2], 3), None)
    with torch.inference_mode():
        frames = render(motion, white).frames
    behind = torch.tensor([0.5, 0.0, 0.0]) + 0.5
    wanted = torch.tensor([0.0, 0.0, 0.25]) + 0.75 * behind
    torch.testing.assert_close(frames, wanted[:, None, None].expand_as(frames))


@pytest.mark.parametrize("options", [{}, VANILLA])
def test_a_torso_is_shown_the_head_at_its_pixel(face, clip, options):
    render = nerf(face, **options).eval()
    motion, subject, _ = driven(face, clip, 1)
    white, asked = replace(subject, background=torch.ones_like(subject.background)), []
    render.head.forward = flat(0.5, torch.tensor([0.5, 0.0, 0.0]))
    render.torso.register_forward_pre_hook(lambda _, given: asked.append(given[-1]))
    with torch.inference_mode():
        render(motion, white)
    seen = [0.5, 0.0, 0.0, 0.5] if not options else [1.0, 0.5, 0.5]  # a NeRF of the paper sees it before its background
    torch.testing.assert_close(asked[0][0, 0], torch.tensor(seen))


def flat(opacity, colour):
    """A head that looks everywhere the same."""

    def look(origins, directions, codes):
        return [RenderOutput(colour.expand_as(directions), torch.full(directions.shape[:2], opacity))]

    return look


def test_the_torsos_camera_stands_still_however_the_head_turns():
    torso, asked = VanillaTorso(4, width=8, coarse=2, fine=2, head_aware=False), []
    torso.nerf.register_forward_pre_hook(lambda _, given: asked.append(given))
    g = torch.Generator().manual_seed(0)
    pixels, camera = 64 * torch.rand(2, 5, 2, generator=g), square_camera(64).expand(2, 3)
    still, pose = 0.2 * torch.randn(6, generator=g), 0.2 * torch.randn(2, 6, generator=g)
    torso(pixels, camera, still, pose, torch.zeros(2, 4), torch.zeros(2, 5, 3))
    origins, directions, driven = asked[0]
    wanted = camera_rays(pixels, torch.stack([still, still]), camera)
    torch.testing.assert_close((origins, directions), wanted, atol=0, rtol=0)
    assert not torch.equal(driven[0], driven[1])  # the pose is a condition
