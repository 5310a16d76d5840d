import math
from dataclasses import replace

import pytest
import torch
from nerf_maker import driven, nerf

from visemix.face.layout import MOUTH
from visemix.face.shading import landmarks_2d, posed
from visemix.render.heads import RenderOutput
from visemix.render.losses import RayBatch, depth_deviation, head_losses, peak_opacity, torso_losses
from visemix.render.rays import Regions, mouth_patch, sample_pixels, skin_distance
from visemix.types import Label, Video


@pytest.mark.parametrize("frames", [1, 2])
def test_every_frame_of_a_step_is_looked_at_by_as_many_rays(face, clip, frames, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "visemix.render.losses.sample_pixels",
        lambda regions, count: asked.append((len(regions.head), count)) or sample_pixels(regions, count),
    )
    nerf(face, rays=96).loss(*driven(face, clip, frames))
    assert asked == [(2 * frames, 96)]  # two people, so many frames of each


def test_the_mouth_is_in_the_face_and_most_rays_are_where_the_head_is(face, clip):
    _, subject, _ = driven(face, clip)
    labels = torch.zeros_like(subject.labels)
    labels[..., 16:48, 20:44] = 2
    labels[..., 52:, :] = 1
    regions = Regions.from_subject(face, subject, labels)
    assert (regions.mouth & ~regions.face).sum() == 0 and regions.mouth.any()
    pixels, index = sample_pixels(regions, 2000)
    on = {
        name: getattr(regions, name).flatten(1).gather(1, index).float().mean() for name in ("head", "mouth", "torso")
    }
    assert on["head"] > 0.45 and on["mouth"] > 0.2 and on["torso"] > 0.15
    torch.testing.assert_close((pixels[..., 0] - 0.5) + 64 * (pixels[..., 1] - 0.5), index.float())  # the centres


def test_the_boxes_hold_every_landmark_of_face_and_mouth(face, clip):
    _, subject, _ = driven(face, clip)
    regions = Regions.from_subject(face, subject, subject.labels)
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
        regions = replace(Regions.from_subject(face, subject, subject.labels), face=box)
        monkeypatch.setattr(Regions, "from_subject", lambda *_, regions=regions: regions)
        assert bool(render.loss(motion, subject, video)["ambient"] > 0) is costs


def test_fog_costs_and_what_is_solid_or_empty_does_not(face, clip, monkeypatch):
    render = nerf(face, entropy_weight=1.0)
    motion, subject, video = driven(face, clip, 1)

    def fog(opacity):
        def look(origins, directions, codes):
            return [RenderOutput(torch.zeros_like(directions), torch.full(directions.shape[:2], opacity))]

        monkeypatch.setattr(render.head, "forward", look)
        return render.loss(motion, subject, video)["entropy"].item()

    assert fog(0.5) == pytest.approx(1.0) and max(fog(0.0), fog(1.0)) < 1e-3


def batch(label, truth, plate):
    """One pixel of this label."""
    grey = [torch.full((1, 1, 3), value) for value in (truth, plate)]
    return RayBatch(
        torch.zeros(1, 1, 2), *grey, torch.tensor([[label]], dtype=torch.uint8), torch.zeros(1, 1), torch.ones(1, 1)
    )


def seeing(opacity, colour):
    return RenderOutput(torch.full((1, 1, 3), opacity * colour), torch.full((1, 1), opacity))


def test_the_whole_picture_is_the_torso_over_the_head_over_the_background():
    head, torso = seeing(0.5, 1.0), seeing(0.25, 0.0)
    losses = torso_losses([torso], head, batch(Label.HEAD, 0.0, 0.2))
    assert losses["torso"].item() == pytest.approx((0.75 * (0.5 + 0.5 * 0.2)) ** 2)


def test_a_torso_before_a_head_is_cheap_beside_one_before_the_background():
    """In nats, of clamped opacities. The picture forbids it, too; in a gap between the two it is welcome."""
    certain = -math.log(1e-4)
    for opacity, label, costs in (
        (1.0, Label.HEAD, 0.05 * certain),
        (1.0, Label.BACKGROUND, certain),
        (1.0, Label.TORSO, 0.0),
        (0.0, Label.HEAD, 0.0),
        (0.0, Label.BACKGROUND, 0.0),
        (0.0, Label.TORSO, certain),
        (0.5, Label.HEAD, 0.05 * math.log(2)),
        (0.5, Label.TORSO, math.log(2)),
    ):
        losses = torso_losses([seeing(opacity, 0.5)], seeing(1.0, 0.5), batch(label, 0.5, 0.5))
        assert losses["torso_mask"].item() == pytest.approx(costs, abs=2e-4), (opacity, label)


def test_a_head_stops_where_the_torso_begins():
    """There it is to show the empty background, as in the authors' pictures of heads."""
    for label, wanted in ((Label.HEAD, 0.8), (Label.TORSO, 0.2), (Label.BACKGROUND, 0.2)):
        losses = head_losses([seeing(0.5, 0.6)], batch(label, 0.8, 0.2))
        assert losses["head"].item() == pytest.approx((0.5 * 0.6 + 0.5 * 0.2 - wanted) ** 2)
    dear = [head_losses([seeing(1.0, 0.6)], batch(label, 0.8, 0.2))["mask"].item() for label in (0, 1, 2)]
    assert dear == pytest.approx([-math.log(1e-4), -math.log(1e-4), 1e-4], abs=2e-4)


def test_the_greatest_opacity_is_that_where_something_has_to_be_drawn():
    seen = RenderOutput(torch.zeros(1, 3, 3), torch.tensor([[0.2, 0.9, 0.4]]))
    assert peak_opacity(seen, torch.tensor([[True, False, True]])).item() == pytest.approx(0.4)
    assert peak_opacity(seen, torch.zeros(1, 3, dtype=torch.bool)).item() == 1.0


def test_the_perceptual_loss_looks_at_the_heads_pixels_around_the_mouth(face, clip):
    render = nerf(face, patch=16, patch_weight=0.5, vgg="random").train()
    motion, subject, video = driven(face, clip, 1)
    losses = render.loss(motion, subject, video)
    losses["patch"].backward()
    moved = {name.split(".")[0] for name, p in render.named_parameters() if p.grad is not None and p.grad.abs().sum()}
    assert moved == {"head", "driver"}
    background = subject.background[:, None].clone()
    nobody = replace(subject, labels=torch.zeros_like(subject.labels))
    render.head.forward = lambda o, d, c: [RenderOutput(torch.zeros_like(d), torch.zeros(d.shape[:2]))]
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


def test_the_patch_has_the_mouth_in_its_middle(face, clip):
    _, subject, _ = driven(face, clip)
    regions = Regions.from_subject(face, subject, subject.labels)
    pixels, index = mouth_patch(face, subject, 16, (64, 64))
    torch.testing.assert_close((pixels[..., 0] - 0.5) + 64 * (pixels[..., 1] - 0.5), index.float())
    mouth = regions.mouth[0].nonzero().flip(1).float().mean(0) + 0.5
    assert (pixels.mean(1)[0] - mouth).abs().max() < 2


def test_what_is_seen_off_the_surface_costs_its_distance():
    seen = RenderOutput(
        torch.zeros(1, 1, 3), torch.ones(1, 1), None, torch.tensor([[[0.25, 0.75]]]), torch.tensor([[[2.0, 4.0]]])
    )
    torch.testing.assert_close(depth_deviation(seen, torch.tensor([[3.0]]), 0.5), torch.tensor([[0.5]]))


def test_how_far_a_pixel_is_off_costs_only_where_the_heads_own_skin_is_seen():
    off = RenderOutput(torch.zeros(1, 1, 3), torch.ones(1, 1), None, torch.ones(1, 1, 1), torch.full((1, 1, 1), 3.55))
    for label, surface, costs in (
        (Label.HEAD, 3.0, 0.5),  # 0.55 dm, of which 0.05 are free
        (Label.HEAD, 0.0, 0.0),  # hair: nobody knows
        (Label.TORSO, 3.0, 0.0),
        (Label.BACKGROUND, 3.0, 0.0),
    ):
        at = replace(batch(label, 0.5, 0.5), surface=torch.full((1, 1), surface))
        assert head_losses([off], at)["surface"].item() == pytest.approx(costs, abs=1e-6), (label, surface)


def test_every_net_pays_for_what_it_shows_and_the_shown_one_alone_for_fog():
    places = torch.full((1, 1, 1), 3.55)
    coarse, fine = (replace(seeing(o, 0.6), weights=torch.full((1, 1, 1), o), places=places) for o in (0.3, 0.8))
    at = replace(batch(Label.HEAD, 0.8, 0.2), surface=torch.full((1, 1), 3.0))
    both, one, other = (head_losses(nets, at) for nets in ([coarse, fine], [coarse], [fine]))
    for name in ("head", "mask", "surface"):
        torch.testing.assert_close(both[name], one[name] + other[name])
    assert both["entropy"] == other["entropy"] != one["entropy"]
    both, one, other = (torso_losses(nets, seeing(0.5, 0.5), at) for nets in ([coarse, fine], [coarse], [fine]))
    for name in ("torso", "torso_mask"):
        torch.testing.assert_close(both[name], one[name] + other[name])


def test_the_skins_distance_is_along_the_ray_and_not_along_the_axis(face, clip):
    """A head in the corner of the picture, whose nose is half a centimetre further away than deep."""
    _, subject, _ = driven(face, clip, 1)
    pose = torch.zeros_like(subject.pose)
    pose[..., 3], pose[..., 4] = 0.7, 0.7
    aside = replace(subject, pose=pose)
    found = skin_distance(face, aside, (64, 64))
    points = posed(face, aside.expression, aside)[:, 0, face.landmark_ids[27:31]]  # the bridge of the nose
    column, row = landmarks_2d(face, aside.expression, aside)[:, 0, 27:31].long().unbind(-1)
    seen = found[torch.arange(2)[:, None], row, column]
    away = (points - torch.tensor([0.0, 0.0, 10.0])).norm(dim=-1)
    assert (seen - away).abs().max() < 0.02 and (seen - (10 - points[..., 2])).min() > 0.03
