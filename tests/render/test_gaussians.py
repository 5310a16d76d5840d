import copy
from dataclasses import replace

import pytest
import torch
from conftest import make_clip

from visemix.face import layout
from visemix.face.eyes import closing
from visemix.face.shading import draw, landmarks_2d
from visemix.ops.camera import project, square_camera
from visemix.render import RENDER
from visemix.render.bindings import Bindings, inside
from visemix.render.drive import Drive
from visemix.render.mouth import FREEDOM
from visemix.types import Motion, Space, Video, VisemixError


def build(face, **options):
    torch.manual_seed(0)
    return RENDER.build({"name": "gaussians", "count": 600, "components": 3, **options}, face)


def one_person(face, frames=6, size=64, turn=0.1):
    """Truth drawn from the face model itself over a grey place: pixels of the head are labelled so."""
    clip = make_clip(face, batch=1, frames=frames, size=size)
    pose = torch.zeros(1, frames, 6)
    pose[..., 1] = torch.linspace(-turn, turn, frames)
    subject = replace(clip.subject, pose=pose, background=torch.full((1, 3, size, size), 0.5))
    picture = draw(face, subject.expression, subject, (size, size))
    frames_ = picture.image + 0.5 * (1 - picture.coverage)
    subject = replace(subject, footage=frames_, labels=(2 * picture.coverage[:, :, 0]).byte())
    return replace(clip, subject=subject, video=Video(frames_), motion=Motion(subject.expression, Space.EXPRESSION))


def single(clip, t):
    at = torch.tensor([t])
    subject = clip.subject.at(at)
    return replace(
        clip, subject=subject, motion=Motion(subject.expression, Space.EXPRESSION), video=Video(subject.footage)
    )


def begun(face, clip, **options):
    render = build(face, **options)
    whole = replace(clip, subject=replace(clip.subject, footage=None, labels=None, background=None))
    render.begin([whole], [single(clip, t) for t in range(clip.subject.frames)])
    return render


def trained(face, clip, steps=150, **options):
    render = begun(face, clip, **options).train()
    groups = [
        {"params": list(m.parameters(recurse=False)), "lr": 0.001 * m.lr_scale}
        for m in render.modules()
        if hasattr(m, "lr_scale")
    ]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-12)
    for step in range(steps):
        one = single(clip, step % clip.subject.frames)
        optimiser.zero_grad()
        sum(render.loss(one.motion, one.subject, one.video).values()).backward()
        optimiser.step()
    return render.eval()


def psnr(a, b):
    return float(-10 * (a - b).square().mean().log10())


def test_it_learns_to_paint_a_head_that_turns_and_talks(face):
    clip = one_person(face)
    before, after = begun(face, clip, paste="whole").eval(), trained(face, clip, paste="whole")
    with torch.no_grad():
        first, last = (psnr(r(clip.motion, clip.subject).frames, clip.video.frames) for r in (before, after))
    assert last > 24 and last > first + 4


def test_an_opaque_skin_lets_nothing_show_through_in_poses_that_training_never_had(face):
    clip = one_person(face)
    turned = replace(clip.subject, pose=clip.subject.pose + torch.tensor([0, 0.3, 0, 0, 0, 0.0]))
    shown = {}
    for opaque in (True, False):
        render = trained(face, clip, count=4000, paste="whole", opaque=opaque)
        picture = draw(face, clip.motion.values, turned, (64, 64))
        white, black = (replace(turned, background=torch.full((1, 3, 64, 64), v)) for v in (1.0, 0.0))
        with torch.no_grad():
            through = render(clip.motion, white).frames - render(clip.motion, black).frames
        skin = -torch.nn.functional.max_pool2d(-picture.skin[0], 7, 1, 3)
        shown[opaque] = float((through[0] * skin).sum() / (3 * skin.sum()))
    assert shown[True] < 0.6 * shown[False]


def test_what_is_pasted_ends_within_six_cells_of_the_face_and_the_rest_is_the_footage(face, clip):
    render = build(face, count=6000, paste="face").eval()
    with torch.no_grad():
        frames = render(clip.motion, clip.subject).frames
    changed = (frames - clip.subject.footage).abs().amax(2) > 1e-4
    skin = draw(face, clip.motion.values, clip.subject, (64, 64)).skin.flatten(0, 1)
    near = torch.nn.functional.max_pool2d(skin, 25, 1, 12)  # a cell is two pixels here
    assert changed.any()
    assert not (changed.flatten(0, 1) & (near[:, 0] == 0)).any()


def test_eyes_stay_as_they_were_filmed_until_motion_moves_them(face):
    clip = one_person(face, frames=1, size=128)
    render = begun(face, clip, count=6000, paste="face").eval()
    blink = clip.motion.values + closing(face) * 0.8
    eyes = landmarks_2d(face, clip.motion.values, clip.subject)[0, 0, 36:48]
    (left, top), (right, bottom) = (edge(eyes, 0).values.round().long().tolist() for edge in (torch.min, torch.max))
    with torch.no_grad():
        still, shut = (render(Motion(m, Space.EXPRESSION), clip.subject).frames for m in (clip.motion.values, blink))
    changed = [(f - clip.subject.footage)[0, 0, :, top:bottom, left:right].abs().max() for f in (still, shut)]
    assert changed[0] == 0 and changed[1] > 0.05


def test_a_face_of_few_gaussians_is_pasted_too(face, clip):
    render = build(face, count=100, paste="face").eval()
    with torch.no_grad():
        assert (render(clip.motion, clip.subject).frames - clip.subject.footage).abs().amax() > 0.05


def test_the_whole_picture_needs_no_footage_and_a_pasted_face_does(face, clip):
    subject = replace(clip.subject, footage=None)
    assert build(face, paste="whole")(clip.motion, subject).frames.shape == clip.subject.footage.shape
    with pytest.raises(VisemixError, match=r"no footage of 'speaker0' to paste a face over; say render\.paste=whole"):
        build(face, paste="face")(clip.motion, subject)


def test_a_clip_without_a_scene_is_refused_with_the_way_out(face, clip):
    with pytest.raises(VisemixError, match="--scene mediapipe"):
        build(face)(clip.motion, replace(clip.subject, background=None))
    with pytest.raises(VisemixError, match="--scene mediapipe"):
        build(face).loss(clip.motion, replace(clip.subject, labels=None), clip.video)


def test_frames_are_painted_one_by_one_as_all_at_once(face):
    clip = one_person(face)
    render = begun(face, clip).eval()
    with torch.no_grad():
        together = render(clip.motion, clip.subject).frames
        alone = torch.cat([render(s.motion, s.subject).frames for s in (single(clip, t) for t in range(6))], 1)
    assert torch.equal(together, alone)


def test_a_larger_picture_of_the_same_person_needs_no_training(face):
    clip = one_person(face)
    render = trained(face, clip, paste="whole")
    large = replace(
        clip.subject,
        camera=square_camera(96)[None],
        background=torch.full((1, 3, 96, 96), 0.5),
        footage=None,
        labels=None,
        reference=None,
    )
    picture = draw(face, clip.motion.values, large, (96, 96))
    truth = picture.image + 0.5 * (1 - picture.coverage)
    with torch.no_grad():
        assert psnr(render(clip.motion, large).frames, truth) > 22


def test_gradients_reach_motion_so_that_both_can_be_trained_together(face):
    clip = one_person(face)
    values = clip.motion.values[:, :1].clone().requires_grad_()
    one = single(clip, 0)
    sum(begun(face, clip).loss(replace(one.motion, values=values), one.subject, one.video).values()).backward()
    assert values.grad.abs().sum() > 0


def test_it_begins_once_and_a_checkpoint_has_begun(face):
    clip = one_person(face)
    render, other = begun(face, clip), build(face)
    other.load_state_dict(render.state_dict())
    kept = other.places.clone()
    other.begin([clip], [single(clip, 5)] * 6)
    assert bool(other.begun) and torch.equal(other.places, kept)


def test_a_clip_that_shows_neither_hair_nor_torso_can_be_begun(face):
    clip = one_person(face)
    clip = replace(clip, subject=replace(clip.subject, labels=torch.zeros_like(clip.subject.labels)))
    render = begun(face, clip)
    with torch.no_grad():
        assert render(clip.motion, clip.subject).frames.isfinite().all()


def test_two_frames_are_enough_to_begin(face):
    clip = one_person(face, frames=2)
    with torch.no_grad():
        assert begun(face, clip)(clip.motion, clip.subject).frames.isfinite().all()


def test_too_few_gaussians_are_refused(face):
    with pytest.raises(VisemixError, match="count=3"):
        build(face, count=3)


def test_places_lie_on_their_triangles_and_go_with_them(face):
    bindings = Bindings(face, 400)
    mesh = face.mean[bindings.vertices]
    origin, axes, unit = bindings(mesh, torch.zeros(6))
    moved, turned, same = bindings(mesh + torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 0, torch.pi / 2, 0, 0, 0]))
    x, y, z = origin + torch.tensor([0.1, 0.2, 0.3])[:, None]
    torch.testing.assert_close(moved, torch.stack([-y, x, z]), atol=1e-6, rtol=0)
    torch.testing.assert_close(same, unit)
    identity = torch.einsum("can,cbn->nab", axes, axes)
    torch.testing.assert_close(identity, torch.eye(3).expand_as(identity), atol=1e-4, rtol=0)
    torch.testing.assert_close(turned[2], axes[2], atol=1e-5, rtol=0)


def test_a_mouth_has_more_places_than_a_cheek_of_its_size(face):
    origin = Bindings(face, 4000)(face.mean[Bindings(face, 4000).vertices], torch.zeros(6))[0].mT
    mouth = face.mean[face.landmark_ids[[51, 57]]].mean(0)
    cheek = face.mean[face.landmark_ids[[2, 31]]].mean(0)
    near = [int(((origin - place)[:, :2].norm(dim=-1) < 0.15).sum()) for place in (mouth, cheek)]
    assert near[0] > 2 * near[1]


def test_a_face_model_without_a_mouth_inside_gets_a_membrane(face, monkeypatch):
    monkeypatch.setattr("visemix.render.bindings.inside", lambda f: inside(f) & False)
    closed = Bindings(face, 2000)
    open_ = ~closed.on_skin & closed.lower
    spots = closed(face.mean[closed.vertices], torch.zeros(6))[0][:, open_]
    lips = face.mean[face.landmark_ids[60:68]]
    inner = ((spots[0] > lips[:, 0].min()) & (spots[0] < lips[:, 0].max())).float().mean()
    assert open_.sum() > 100 and inner > 0.5


def test_what_drives_it_has_a_spread_of_one_and_stays_where_training_was():
    torch.manual_seed(0)
    expression, pose = torch.randn(80, 5) @ torch.randn(5, 5), torch.randn(80, 6) * 0.1
    drive = Drive(5, 3)
    drive.begin(expression, pose)
    rows = torch.stack([torch.cat(drive(e, p)) for e, p in zip(expression, pose, strict=True)])
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(9), atol=1e-3, rtol=0)
    far, turn = drive(100 * expression[0], 100 * pose[0])
    assert (far.abs() <= rows[:, :3].abs().amax(0) + 1e-5).all()
    assert (turn.abs() <= rows[:, 3:].abs().amax(0) + 1e-5).all()


def test_a_still_face_of_one_frame_drives_nothing():
    drive = Drive(5, 3)
    drive.begin(torch.ones(1, 5), torch.zeros(1, 6))
    assert not any(part.any() for part in drive(torch.randn(5), torch.randn(6)))


def test_the_seam_takes_the_light_of_the_footage_and_the_middle_keeps_its_picture():
    from visemix.render.paste import over_footage

    footage, made = torch.full((3, 128, 128), 0.6), torch.full((3, 128, 128), 0.4)
    made[:, 60:68, 60:68] += 0.2
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    out = over_footage(made, footage, mask, 2)
    assert torch.equal(out[:, :20], footage[:, :20])
    torch.testing.assert_close(out[:, 34], footage[:, 34], atol=0.06, rtol=0)  # no step at the seam
    assert float(out[0, 64, 64] - out[0, 64, 50]) == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("size", [(64, 64), (61, 70)])
def test_a_pasted_face_is_drawn_no_further_than_it_is_seen_and_looks_the_same(face, monkeypatch, size):
    clip = one_person(face)
    footage, place = torch.rand(1, clip.subject.frames, 3, *size), torch.rand(1, 3, *size)
    subject = replace(clip.subject, footage=footage, background=place, reference=None, labels=None)
    render, motion = begun(face, clip), Motion(0.5 * clip.subject.expression, Space.EXPRESSION)
    part = render(motion, subject).frames
    everything = tuple(slice(0, 1000) for _ in size)
    monkeypatch.setattr("visemix.render.paste.seen_part", lambda mask: everything)
    torch.testing.assert_close(part, render(motion, subject).frames, atol=2e-3, rtol=0)


def test_of_a_face_outside_the_picture_nothing_is_pasted(face):
    clip = one_person(face)
    away = clip.subject.pose.clone()
    away[..., 3] = 30.0
    subject = replace(clip.subject, pose=away)
    made = begun(face, clip)(Motion(subject.expression, Space.EXPRESSION), subject)
    assert torch.equal(made.frames, subject.footage.clamp(0, 1))


def test_what_is_another_thing_beside_the_seam_lights_nothing():
    """The footage shows dark hair on one side of a face whose painted skin is a little too dark everywhere."""
    from visemix.render.paste import over_footage

    footage, made = torch.full((3, 128, 128), 0.7), torch.full((3, 128, 128), 0.65)
    footage[..., :32] = 0.1
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    out = over_footage(made, footage, mask, 2)[0, 64]
    assert out[40:].min() > 0.64 and out[90] == pytest.approx(0.69, abs=0.015)


def test_hair_starts_behind_the_ears_and_the_torso_behind_the_head(face):
    clip = one_person(face)
    labels = clip.subject.labels.clone()
    labels[..., :12, :] = 2
    labels[..., 56:, :] = 1
    render = begun(face, replace(clip, subject=replace(clip.subject, labels=labels)))
    _, hair, _ = render.counts
    seen = project(render.places.mT[hair:], square_camera(64))
    assert (seen[:, 1] > 55).all() and (seen[:, 2] > 10.5).all()
    neutral = face.vertices(clip.subject.identity, torch.zeros_like(clip.subject.expression[:, :1]))[0, 0]
    ears = float(neutral[face.landmark_ids[[0, 16]], 2].mean())
    torch.testing.assert_close(render.places[2, :hair], torch.full((hair,), ears - 0.1), atol=1e-3, rtol=0)


def test_a_torso_that_moves_by_itself_is_painted_where_it_is(face):
    clip = one_person(face, frames=6, turn=0.0)
    shift = torch.linspace(-0.08, 0.08, 6)
    footage, labels = clip.subject.footage.clone(), torch.zeros_like(clip.subject.labels)
    for t in range(6):  # beside the head, which hides nothing of it
        top = 28 + round(float(shift[t] * clip.subject.camera[0, 0]))
        footage[0, t, :, top : top + 8, 52:60] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
        labels[0, t, top : top + 8, 52:60] = 1
    torso = torch.zeros(1, 6, 4)
    torso[0, :, 3] = -shift
    red = {}
    for name, motion in {"its own": torso, "none": torch.zeros_like(torso)}.items():
        subject = replace(clip.subject, footage=footage, labels=labels, torso=motion)
        person = replace(clip, subject=subject, video=Video(footage))
        two = replace(person, subject=person.subject.at(torch.tensor([0, 5])))  # the ends of its way
        render = begun(face, two, count=2000, paste="whole").eval()
        with torch.no_grad():
            made = render(*(getattr(single(person, 2), part) for part in ("motion", "subject"))).frames[0, 0]
        red[name] = float((made[0] - made[1])[labels[0, 2] == 1].mean())
    assert red["its own"] > 3 * red["none"]


def test_directions_of_expression_are_none_at_least(face):
    with pytest.raises(VisemixError, match="components=-1"):
        build(face, components=-1)


def test_a_checkpoint_brings_the_places_that_another_seed_drew(face):
    clip = one_person(face)
    render = begun(face, clip, seed=0).eval()
    torch.nn.init.normal_(render.mouth.values)  # by the places' features, which are worked out anew
    others = (build(face, seed=seed) for seed in range(1, 100))
    alike = (other for other in others if other.bindings.vertices.shape == render.bindings.vertices.shape)
    other = next(alike).eval()
    assert not torch.equal(other.bindings.vertices, render.bindings.vertices)
    other.load_state_dict(render.state_dict())
    with torch.no_grad():
        assert torch.equal(*(r(clip.motion, clip.subject).frames for r in (render, other)))


def test_bfloat16_moves_no_gaussian(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip, paste="whole").eval()
    with torch.no_grad():
        exact = render(clip.motion, clip.subject).frames
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(render(clip.motion, clip.subject).frames, exact)


def test_bfloat16_moves_no_skin_that_was_filmed(face, monkeypatch):
    clip, seen = single(one_person(face), 0), []
    monkeypatch.setattr(
        "visemix.render.gaussians.paste", lambda draw, footage, places, *_: seen.append(places) or footage
    )
    render = begun(face, clip).eval()
    with torch.no_grad():
        render(clip.motion, clip.subject)
        with torch.autocast("cpu", torch.bfloat16):
            render(clip.motion, clip.subject)
    exact, coarse = seen
    assert all(torch.equal(a, b) for a, b in zip(exact, coarse, strict=True))


def test_gaussians_that_a_rate_too_high_threw_out_of_all_numbers_have_a_loss_that_is_none(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).train()
    with torch.no_grad():
        render.offset.values.fill_(torch.nan)
    assert sum(render.loss(clip.motion, clip.subject, clip.video).values()).isnan()  # `fit` says which rate to lower


def test_a_renderer_that_has_painted_can_be_moved(face):
    clip = single(one_person(face), 0)
    render = begun(copy.deepcopy(face), clip).eval()
    exact = replace(clip.motion, values=clip.motion.values.double())
    subject = clip.subject.map(lambda t: t.double() if t.is_floating_point() else t)
    with torch.no_grad():
        render.double()(exact, subject)
        assert render.float()(clip.motion, clip.subject).frames.dtype == torch.float32


def test_what_is_inside_a_mouth_moves_and_is_tinted_less_than_skin(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).eval()
    expression = clip.motion.values[0, 0] + 1
    placed = []
    for far in (0.0, 1.0):
        torch.nn.init.constant_(render.face_moves.values, far)
        torch.nn.init.constant_(render.face_tints.values, far)
        render.drive.basis.fill_(0.1)
        render.drive.low.fill_(-1)
        render.drive.high.fill_(1)
        with torch.no_grad():
            means, _, _, colour = render._gaussians(
                render._mesh(expression, clip.subject, 0, 0), expression, clip.subject, 0, 0
            )
        placed.append(torch.cat([means, colour], 1)[: render.counts[0]])
    inside = torch.zeros(render.counts[0], dtype=torch.bool)
    inside[render.mouth.ids] = True
    tinted = (placed[1] - placed[0])[:, 3:].abs().amax(1)
    torch.testing.assert_close(tinted[inside].mean(), FREEDOM * tinted[~inside].mean())
    moved = (placed[1] - placed[0])[:, :3].norm(dim=1)
    assert moved[inside].median() < 0.5 * moved[~inside].median()


def test_what_it_has_learnt_is_judged_by_pictures_alone(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip)
    assert {"alike", "rigid"} < render.train().loss(clip.motion, clip.subject, clip.video).keys()
    assert set(render.eval().loss(clip.motion, clip.subject, clip.video)) == {"pixels", "ssim", "edges", "clear"}


def test_edges_are_to_be_as_strong_as_the_footages_but_for_those_in_the_mouth(face):
    clip = single(one_person(face), 0)
    render = begun(face, clip).eval()
    spots = landmarks_2d(face, clip.subject.expression, clip.subject)[0, 0]

    def edges(where):
        frames = clip.video.frames.clone()
        x, y = spots[where].mean(0).round().long().tolist()
        frames[..., y - 1 : y + 1, x - 1 : x + 1] = 1 - frames[..., y - 1 : y + 1, x - 1 : x + 1]
        return render.loss(clip.motion, clip.subject, Video(frames))["edges"]

    as_filmed = render.loss(clip.motion, clip.subject, clip.video)["edges"]
    assert edges(layout.INNER_MOUTH) == as_filmed
    assert (edges(layout.NOSE_BRIDGE) - as_filmed).abs() > 1e-5
    assert build(face, edge_weight=0.0).edge_weight == 0


def test_the_more_training_shows_of_a_mouth_the_less_its_places_believe_their_neighbours(face):
    clip = one_person(face)
    often, once = begun(face, clip), begun(face, single(clip, 0))
    ids = often.mouth.ids
    assert often.mouth.unseen[ids].mean() < once.mouth.unseen[ids].mean() < 1
    assert often.mouth.unseen.amin() < 0.5


def test_what_training_shows_of_a_mouth_is_known_to_a_head_that_is_trained_on(face):
    clip = one_person(face)
    render, other = begun(face, clip), build(face)
    other.load_state_dict(render.state_dict())
    assert (other.mouth.unseen == 1).all()
    other.begin([clip], [single(clip, t) for t in range(6)])
    torch.testing.assert_close(other.mouth.unseen, render.mouth.unseen)
