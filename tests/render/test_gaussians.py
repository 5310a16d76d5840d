import copy
from dataclasses import replace

import pytest
import torch
from gaussians_maker import begun, build, one_person, psnr, single, trained

from visemix.face.shading import draw
from visemix.ops.camera import project, square_camera
from visemix.render.bindings import Bindings
from visemix.render.motion_pca import MotionPCA
from visemix.types import Video, VisemixError


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
    other.init_from_data([clip], [single(clip, 5)] * 6)
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


def test_what_drives_it_has_a_spread_of_one_and_stays_where_training_was():
    torch.manual_seed(0)
    expression, pose = torch.randn(80, 5) @ torch.randn(5, 5), torch.randn(80, 6) * 0.1
    drive = MotionPCA(5, 3)
    drive.fit(expression, pose)
    rows = torch.stack([torch.cat(drive(e, p)) for e, p in zip(expression, pose, strict=True)])
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(9), atol=1e-3, rtol=0)
    far, turn = drive(100 * expression[0], 100 * pose[0])
    assert (far.abs() <= rows[:, :3].abs().amax(0) + 1e-5).all()
    assert (turn.abs() <= rows[:, 3:].abs().amax(0) + 1e-5).all()


def test_a_still_face_of_one_frame_drives_nothing():
    drive = MotionPCA(5, 3)
    drive.fit(torch.ones(1, 5), torch.zeros(1, 6))
    assert not any(part.any() for part in drive(torch.randn(5), torch.randn(6)))


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
    with pytest.raises(VisemixError, match=r"render\.components is -1; it must be at least 0"):
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


def test_a_renderer_that_has_painted_can_be_moved(face):
    clip = single(one_person(face), 0)
    render = begun(copy.deepcopy(face), clip).eval()
    exact = replace(clip.motion, values=clip.motion.values.double())
    subject = clip.subject.map(lambda t: t.double() if t.is_floating_point() else t)
    with torch.no_grad():
        render.double()(exact, subject)
        assert render.float()(clip.motion, clip.subject).frames.dtype == torch.float32
