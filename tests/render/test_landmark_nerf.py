import logging
import math
from dataclasses import replace

import pytest
import torch

from visemix.audio import AUDIO
from visemix.face.layout import MOUTH
from visemix.face.shading import landmarks_2d
from visemix.ops import device
from visemix.ops.camera import square_camera
from visemix.ops.volume import camera_rays, render_weights
from visemix.pipeline import TalkingFace
from visemix.render import RENDER
from visemix.render.heads import Occupancy, Seen, over
from visemix.render.losses import astray
from visemix.render.rays import Regions, draw_pixels, mouth_patch
from visemix.types import AudioFeatures, Motion, Space, Speech, Video, VisemixError

TINY = {"samples": 4, "cells": 8, "steps": 16, "levels": [8], "width": 16, "torso_levels": [8], "rays": 128}
VANILLA = {"compat": "paper", "vanilla_width": 8, "coarse": 4, "fine": 4, "rays": 64}


def nerf(face, **options):
    torch.manual_seed(0)
    return RENDER.build({"name": "landmark_nerf"} | TINY | options, face)


def driven(face, clip, frames=2, start=0):
    few = clip.subject.at(torch.arange(start, start + frames))
    motion = Motion(clip.motion.values[:, start : start + frames], clip.motion.space)
    return face.convert(motion, Space.LANDMARKS, few), few, Video(clip.video.frames[:, start : start + frames])


@pytest.mark.parametrize(
    "options", [{}, {"head_aware": False}, {"encoding": "hash"}, VANILLA, VANILLA | {"compat": "official"}]
)
def test_every_form_of_it_draws_a_frame(options, face, clip):
    render = nerf(face, **options).eval()
    motion, subject, _ = driven(face, clip, 1)
    with torch.inference_mode():
        frames = render(motion, subject).frames
    assert frames.shape == (2, 1, 3, 64, 64) and frames.isfinite().all()


def test_the_same_frame_is_the_same_twice_and_alone_or_in_company(face, clip):
    render = nerf(face, window=1).eval()
    motion, subject, _ = driven(face, clip)
    with torch.inference_mode():
        once, twice = (render(motion, subject).frames for _ in range(2))
        alone = render(Motion(motion.values[:, 1:], motion.space), subject.at(torch.tensor([1]))).frames
    assert torch.equal(once, twice)
    torch.testing.assert_close(alone, once[:, 1:])


def test_little_memory_changes_nothing_but_the_time(face, clip):
    render = nerf(face).eval()
    motion, subject, _ = driven(face, clip, 1)
    with torch.inference_mode():
        whole = render(motion, subject).frames
        render.memory = 0
        torch.testing.assert_close(render(motion, subject).frames, whole)


def test_too_little_memory_is_tried_once_more_and_then_said():
    sizes = []

    def greedy(at):
        sizes.append(len(at))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(VisemixError, match="not enough memory on cpu for 8 rays"):
        device.in_pieces(greedy, 100, 64, torch.device("cpu"))
    assert sizes == [64, 8]


def test_what_is_no_want_of_memory_is_not_hidden():
    def broken(at):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        device.in_pieces(broken, 4, 4, torch.device("cpu"))


def test_a_few_steps_bring_it_nearer_to_the_picture(face, clip):
    render = nerf(face).train()
    motion, subject, video = driven(face, clip, 1)
    still = Video(torch.full_like(video.frames, 0.2))
    optim = torch.optim.Adam(render.parameters(), 1e-2)
    history = []
    for _ in range(30):
        loss = render.loss(motion, subject, still)["head"]
        optim.zero_grad()
        loss.backward()
        optim.step()
        history.append(loss.item())
    assert history[-1] < 0.3 * history[0]


def test_validation_scores_it_as_it_is_used(face, clip):
    render = nerf(face).eval()
    with torch.no_grad():
        losses = render.loss(*driven(face, clip))
    assert {"head", "mask", "torso"} <= set(losses) and all(value.isfinite() for value in losses.values())


def test_a_clip_without_labels_is_refused_in_a_sentence(face, clip):
    motion, subject, video = driven(face, clip)
    with pytest.raises(VisemixError, match="prepare it again with --scene mediapipe"):
        nerf(face).loss(motion, replace(subject, labels=None), video)
    with pytest.raises(VisemixError, match="prepare it again with --scene mediapipe"):
        nerf(face)(motion, replace(subject, background=None))


def test_a_pose_beyond_training_is_kept_inside_and_said_once(face, clip, caplog):
    render = nerf(face)
    motion, subject, video = driven(face, clip, 1)
    render.train().loss(motion, subject, video)
    render.eval()
    turned = replace(subject, pose=subject.pose + 0.5)
    with caplog.at_level(logging.WARNING), torch.inference_mode():
        render(motion, turned)
        render(motion, turned)
        inside = render(motion, subject).frames
    assert inside.isfinite().all()
    assert [record.message for record in caplog.records] == [
        "the head pose goes beyond what this NeRF was trained on, and is kept inside it"
    ]


def test_a_head_turns_a_little_further_than_was_seen_and_its_torso_does_not(face, clip):
    render = nerf(face)
    motion, subject, video = driven(face, clip, 1)
    render.train().loss(motion, subject, video)
    render.eval()
    heads, torsos = [], []
    render.head.register_forward_hook(lambda _, given, seen: heads.append(given[1]))
    render.torso.register_forward_hook(lambda _, given, seen: torsos.append(given[1]))
    with torch.inference_mode():
        for turn in (0.0, 0.2, 0.3, 0.5):
            render(motion, replace(subject, pose=subject.pose + turn))
    straight, turned, far, beyond = heads[::2]
    assert not torch.allclose(straight, turned, atol=0.01) and not torch.allclose(turned, far, atol=0.01)
    torch.testing.assert_close(far, beyond)
    assert all(torch.equal(torso, torsos[0]) for torso in torsos[2::2])


@pytest.mark.parametrize("warp", [True, False])
def test_a_jaw_beyond_what_was_seen_takes_its_chin_along(face, clip, warp):
    render = nerf(face, warp=warp).eval()
    render.driver.moments.see(driven(face, clip, 3)[0].values)
    middle = render.driver.moments.mean.view(68, 3)
    open_ = middle.clone()
    open_[6:11, 1] -= 0.5
    chin = (face.mean[face.landmark_ids] + open_)[8]
    asked, encode = [], render.head.field.encoding.forward
    render.head.field.encoding.forward = lambda points: asked.append(points) or encode(points)
    with torch.inference_mode():
        codes = render._codes(Motion(open_.view(1, 1, -1).expand(1, 3, -1), Space.LANDMARKS), 1)
        render.head.field.inside(render.head.box.inside(chin).view(1, 1, 3), render.head.field.hear(codes))
    was = render.head.box.inside(chin + torch.tensor([0.0, 0.5, 0.0]) if warp else chin)
    torch.testing.assert_close(asked[0], was[None], atol=0.04, rtol=0)


@pytest.mark.parametrize("count", [0, -1, 205])
def test_directions_that_landmarks_do_not_have_are_refused(face, count):
    with pytest.raises(VisemixError, match=rf"render\.directions={count} of 204 landmark coordinates"):
        nerf(face, directions=count)


def test_the_torso_looks_at_the_head_only_if_it_is_aware(face):
    places, pose = torch.rand(1, 9, 2) * 2 - 1, torch.zeros(1, 6)
    heads = (torch.zeros(1, 9, 4), torch.ones(1, 9, 4))
    for aware in (True, False):
        torso = nerf(face, head_aware=aware).torso
        one, other = (torso(places, pose, head).colour for head in heads)
        assert torch.equal(one, other) is not aware


@pytest.mark.parametrize(("learn", "still"), [("head", "torso"), ("torso", "head")])
def test_one_part_learns_while_the_other_rests(learn, still, face, clip):
    render = nerf(face, learn=learn).train()
    render.poses.see(torch.randn(3, 6))
    sum(render.loss(*driven(face, clip, 1)).values()).backward()
    moved = {name.split(".")[0] for name, p in render.named_parameters() if p.grad is not None}
    assert learn in moved and still not in moved


@pytest.mark.parametrize("frames", [1, 2])
def test_every_frame_of_a_step_is_looked_at_by_as_many_rays(face, clip, frames, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "visemix.render.losses.draw_pixels",
        lambda regions, count: asked.append((len(regions.head), count)) or draw_pixels(regions, count),
    )
    nerf(face, rays=96).loss(*driven(face, clip, frames))
    assert asked == [(2 * frames, 96)]  # two people, so many frames of each


def test_the_mouth_is_in_the_face_and_most_rays_are_where_the_head_is(face, clip):
    _, subject, _ = driven(face, clip)
    labels = torch.zeros_like(subject.labels)
    labels[..., 16:48, 20:44] = 2
    labels[..., 52:, :] = 1
    regions = Regions.of(face, subject, labels)
    assert (regions.mouth & ~regions.face).sum() == 0 and regions.mouth.any()
    pixels, index = draw_pixels(regions, 2000)
    on = {
        name: getattr(regions, name).flatten(1).gather(1, index).float().mean() for name in ("head", "mouth", "torso")
    }
    assert on["head"] > 0.45 and on["mouth"] > 0.2 and on["torso"] > 0.15
    torch.testing.assert_close(pixels[..., 0].floor() + 64 * pixels[..., 1].floor(), index.float())


def test_the_boxes_hold_every_landmark_of_face_and_mouth(face, clip):
    _, subject, _ = driven(face, clip)
    regions = Regions.of(face, subject, subject.labels)
    spots = landmarks_2d(face, subject.expression, subject).flatten(0, 1).long()
    frames = torch.arange(len(spots))[:, None]
    assert regions.face[frames, spots[..., 1], spots[..., 0]].all()
    assert regions.mouth[frames, spots[:, MOUTH, 1], spots[:, MOUTH, 0]].all()
    assert regions.mouth.float().mean() < 0.3 * regions.face.float().mean()


def test_motion_of_points_costs_outside_the_face_only(face, clip, monkeypatch):
    render = nerf(face, ambient_weight=1.0).train()
    motion, subject, video = driven(face, clip, 1)
    inside = torch.ones(2, 64, 64, dtype=torch.bool)
    for box, costs in ((inside, False), (~inside, True)):
        regions = replace(Regions.of(face, subject, subject.labels), face=box)
        monkeypatch.setattr(Regions, "of", lambda *_, regions=regions: regions)
        assert bool(render.loss(motion, subject, video)["ambient"] > 0) is costs


def test_fog_costs_and_what_is_solid_or_empty_does_not(face, clip, monkeypatch):
    render = nerf(face, entropy_weight=1.0)
    motion, subject, video = driven(face, clip, 1)

    def seeing(opacity):
        def look(origins, directions, codes):
            return [Seen(torch.zeros_like(directions), torch.full(directions.shape[:2], opacity))]

        monkeypatch.setattr(render.head, "forward", look)
        return render.loss(motion, subject, video)["entropy"].item()

    assert seeing(0.5) == pytest.approx(1.0) and max(seeing(0.0), seeing(1.0)) < 1e-3


def test_the_perceptual_loss_looks_at_the_heads_pixels_around_the_mouth(face, clip):
    render = nerf(face, patch=16, patch_weight=0.5, vgg="random").train()
    motion, subject, video = driven(face, clip, 1)
    losses = render.loss(motion, subject, video)
    losses["patch"].backward()
    moved = {name.split(".")[0] for name, p in render.named_parameters() if p.grad is not None and p.grad.abs().sum()}
    assert moved == {"head", "driver"}
    background = subject.background[:, None].clone()
    nobody = replace(subject, labels=torch.zeros_like(subject.labels))
    render.head.forward = lambda o, d, c: [Seen(torch.zeros_like(d), torch.zeros(d.shape[:2]))]
    assert render.loss(motion, nobody, video)["patch"] < 1e-4  # the plate is what is wanted where no head is
    assert render.loss(motion, subject, Video(background))["patch"] < 1e-4
    assert render.loss(motion, subject, video)["patch"] > 0.1


def test_bfloat16_where_it_is_safe_trains_like_float32(face, clip):
    motion, subject, video = driven(face, clip, 1)
    totals = []
    for half in (False, True):
        render = nerf(face).train()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = render.loss(motion, subject, video)
        total = sum(losses.values())
        total.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in render.parameters())
        totals.append(total.item())
    assert totals[1] == pytest.approx(totals[0], rel=0.03) and totals[1] != totals[0]


def test_a_person_who_has_left_the_picture_is_trained_on_and_not_drawn(face, clip):
    render = nerf(face).train()
    motion, subject, video = driven(face, clip, 1)
    away = subject.pose.clone()
    away[..., 3] += 20
    gone = replace(subject, pose=away, labels=torch.zeros_like(subject.labels))
    losses = render.loss(motion, gone, video)
    assert all(value.isfinite() for value in losses.values())
    render.torso.paint[-1].bias.data[3] = -40  # nothing learnt: no torso
    with torch.inference_mode():
        frames = render.eval()(motion, gone).frames
    torch.testing.assert_close(frames[:, 0], subject.background)


def test_a_torso_without_a_head_is_refused_and_leaves_a_heads_memory_alone(face, clip):
    render = nerf(face, learn="torso").train()
    motion, subject, video = driven(face, clip, 1)
    with pytest.raises(VisemixError, match=r"builds on a head: name the run that trained it in load\.render"):
        render.loss(motion, subject, video)
    render.poses.see(torch.zeros(3, 6))
    before = {name: value.clone() for name, value in render.named_buffers()}
    render.loss(motion, subject, video)
    assert all(torch.equal(value, before[name]) for name, value in render.named_buffers())


def test_the_patch_has_the_mouth_in_its_middle(face, clip):
    _, subject, _ = driven(face, clip)
    regions = Regions.of(face, subject, subject.labels)
    pixels, _ = mouth_patch(face, subject, 16, (64, 64))
    mouth = regions.mouth[0].nonzero().flip(1).float().mean(0) + 0.5
    assert (pixels.mean(1)[0] - mouth).abs().max() < 2


def test_what_is_seen_off_the_surface_costs_its_distance():
    seen = Seen(
        torch.zeros(1, 1, 3), torch.ones(1, 1), None, torch.tensor([[[0.25, 0.75]]]), torch.tensor([[[2.0, 4.0]]])
    )
    torch.testing.assert_close(astray(seen, torch.tensor([[3.0]]), 0.5), torch.tensor([[0.5]]))


def test_what_stands_behind_shows_through():
    half = Seen(torch.full((1, 1, 3), 0.25), torch.tensor([[0.5]]))
    torch.testing.assert_close(over(half, torch.ones(1, 1, 3)), torch.full((1, 1, 3), 0.75))


def test_an_occupied_cell_is_found_along_a_ray(face):
    head = nerf(face).head
    occupancy = Occupancy(8)
    occupancy.density.zero_()
    occupancy.density[(4 * 8 + 4) * 8 + 6] = 100.0  # counts as 12: a cell is 0.34 dm deep
    middle = (head.box.low + head.box.high) / 2 + (head.box.high - head.box.low) / 16
    origin = torch.tensor([[middle[0], middle[1], 10.0]])
    direction = torch.tensor([[0.0, 0.0, -1.0]])
    near, far = 10 - head.box.high[2:], 10 - head.box.low[2:]
    mass = occupancy.along(head.box, origin, direction, near, far, 16)[0]
    torch.testing.assert_close(mass[2:4].sum(), torch.tensor(1 - math.exp(-12 * 2.7 / 8)))
    assert mass.argmax() == 2 and mass[:2].sum() == mass[4:].sum() == 0


def test_it_streams_with_the_neighbours_that_one_pass_sees(face, clip):
    torch.manual_seed(0)
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf"} | TINY}).eval()
    model.render.driver.moments.see(torch.randn(50, 204) * 0.1)

    class Loop:
        def subject(self, frames, footage=True):
            one = clip.subject.map(lambda t: t[:1])
            return replace(one, speaker=one.speaker[:1]).at(frames)

    speech = Speech(clip.speech.wave[:1, : 5 * 640])
    with torch.inference_mode():
        whole = model(speech, Loop().subject(torch.arange(5))).frames
    pieces = torch.cat([video.frames for video in model.stream(speech, Loop(), batch=2)], 1)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)


def test_it_listens_to_features_with_no_motion_between(face, clip):
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf", "condition": "audio"} | TINY}).eval()
    assert model.render.driver.moments.mean.shape == (AUDIO.build({"name": "mel"}).dim,)
    features = model.audio(clip.speech)
    moved = model.move(AudioFeatures(features.values[:, :2]), clip.subject)
    assert moved.space is Space.FEATURES and torch.equal(moved.values, features.values[:, :2])
    with torch.inference_mode():
        assert model.draw(moved, clip.subject.at(torch.arange(2))).frames.shape == (2, 2, 3, 64, 64)


def test_rays_past_the_head_are_skipped_and_the_others_are_those_of_a_walk_in_small_steps(face):
    head = nerf(face, cells=16, steps=32).head
    head.occupancy.density.zero_()
    head.occupancy.density.view(16, 16, 16)[5:9, 6:10, 7:9] = 3.0
    pixels = torch.rand(1, 400, 2) * 64
    origins, directions = camera_rays(pixels, torch.zeros(1, 6), square_camera(64)[None])
    near, far = head.box.crossed(origins, directions)
    mass = head.occupancy.along(head.box, origins.expand(400, 3), directions[0], near[0], far[0], 32)
    size = (far - near)[0] / 32
    at = near[0, :, None] + size[:, None] * (torch.arange(32) + 0.5)
    cell = ((head.box.inside(origins + directions[0, :, None] * at[..., None]) + 1) * 8).long().clamp(0, 15)
    density = head.occupancy.density.view(16, 16, 16)[cell.unbind(-1)]
    torch.testing.assert_close(mass, render_weights(density, size[:, None].expand(400, 32)), atol=1e-5, rtol=1e-5)
    assert 0.02 < (mass.sum(-1) > 0).float().mean() < 0.9


@pytest.mark.parametrize("untold", [False, True])
def test_a_look_at_the_cells_is_seen_at_the_next_walk(untold):
    with torch.inference_mode(untold):
        occupancy = Occupancy(4)
        before = occupancy._cells()[0].clone()
        occupancy.density[5] = 3.0
        cells, wide = occupancy._cells()
    assert before.flatten()[5] == 1.0 and cells.flatten()[5] == 3.0 and wide.max() == 3.0


def test_a_ray_that_is_stopped_on_its_way_is_seen_as_by_all_of_its_samples(face):
    head = nerf(face, samples=6, steps=16).head.eval()
    with torch.no_grad():
        head.field.body[-1].weight[0] *= 60  # opaque here, empty there
        head.field.body[-1].bias[0] = 4.0
        head.field.encoding.tables.tables[0].normal_(std=2.0)
        code = torch.randn(1, 64)
        head.occupancy.refresh(head.field, code, 50.0, 0.0)
        pixels = torch.rand(1, 300, 2) * 64
        origins, directions = camera_rays(pixels, torch.zeros(1, 6), square_camera(64)[None])
        near, far = head.box.crossed(origins, directions)
        mass = head._mass(origins, directions, near, far)
        heard = head.field.hear(code)
        whole = head._at(origins, directions, *head._cut(near, far, mass), heard)
        asked, field = [], head.field.forward
        head.field.forward = lambda points, *rest: asked.append(points.shape[1:3]) or field(points, *rest)
        colour, opacity = head._glance(origins, directions, near, far, mass, heard)
    going_on = [int((whole.weights[..., :k].sum(-1) < 1 - 1e-3).sum()) for k in (3, 5)]
    assert 30 < going_on[0] < 270 and 20 < going_on[1] < going_on[0]
    assert asked == [(300, 3), (going_on[0], 2), (going_on[1], 1)]
    torch.testing.assert_close(opacity, whole.opacity[0], atol=1.1e-3, rtol=0)
    torch.testing.assert_close(colour, whole.colour[0], atol=1.1e-3, rtol=0)


def test_a_torso_behind_an_opaque_head_is_not_asked(face, clip):
    render = nerf(face).eval()
    motion, subject, _ = driven(face, clip, 1)
    asked = []
    look, draw = render.head.forward, render._torso

    def opaque(origins, directions, codes):
        (seen,) = look(origins, directions, codes)
        left = directions[..., 0] < 0
        return [Seen(torch.where(left[..., None], 0.5, seen.colour), torch.where(left, 1.0, seen.opacity * 0.5))]

    def torso(pixels, *rest):
        asked.append(pixels)
        return draw(pixels, *rest)

    render.head.forward, render._torso = opaque, torso
    with torch.inference_mode():
        frames = render(motion, subject).frames
    assert torch.equal(frames[..., :30], torch.full_like(frames[..., :30], 0.5))
    assert torch.cat(asked, 1)[..., 0].min() > 30


def test_head_poses_are_calmed_over_time_and_each_number_by_itself(face, clip):
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf", "steady": 1.0} | TINY})
    pose = torch.zeros(2, 10, 6)
    pose[0, 5, 2] = 1.0
    calm = model.steadied(replace(clip.subject, pose=pose)).pose
    expected = torch.tensor([0.0, 0.0, 0.0044, 0.0540, 0.2420, 0.3991, 0.2420, 0.0540, 0.0044, 0.0])
    torch.testing.assert_close(calm[0, :, 2], expected, atol=4e-4, rtol=0)  # 3 σ beyond the ends
    calm[0, :, 2] = 0
    assert not calm.any()
    model.render.steady = 0.0
    assert model.steadied(clip.subject) is clip.subject
