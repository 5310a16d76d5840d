import logging
from dataclasses import replace

import pytest
import torch
from nerf_maker import TINY, VANILLA, driven, nerf

from visemix.audio import AUDIO
from visemix.ops import device
from visemix.pipeline import TalkingFace
from visemix.types import AudioFeatures, Motion, Space, Speech, Video, VisemixError


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
        device.batched_map(greedy, 100, 64, torch.device("cpu"))
    assert sizes == [64, 8]


def test_what_is_no_want_of_memory_is_not_hidden():
    def broken(at):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        device.batched_map(broken, 4, 4, torch.device("cpu"))


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
    motion, subject, video = driven(face, clip, 3)
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
    render.driver.moments.update(driven(face, clip, 3)[0].values)
    middle = render.driver.moments.mean.view(68, 3)
    open_ = middle.clone()
    open_[6:11, 1] -= 0.5
    chin = (face.mean[face.landmark_ids] + open_)[8]
    asked, encode = [], render.head.field.encoding.forward
    render.head.field.encoding.forward = lambda points: asked.append(points) or encode(points)
    with torch.inference_mode():
        codes = render._conditions(Motion(open_.view(1, 1, -1).expand(1, 3, -1), Space.LANDMARKS), 1)
        render.head.field.get_density(
            render.head.box.normalise(chin).view(1, 1, 3), render.head.field.encode_condition(codes)
        )
    was = render.head.box.normalise(chin + torch.tensor([0.0, 0.5, 0.0]) if warp else chin)
    torch.testing.assert_close(asked[0], was[None], atol=0.04, rtol=0)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "=0 of 204"), (-1, " is -1; it must be at least 0"), (205, "=205 of 204")]
)
def test_directions_that_landmarks_do_not_have_are_refused(face, count, said):
    with pytest.raises(VisemixError, match=f"render.directions{said}"):
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
    render.poses.update(torch.randn(3, 6))
    sum(render.loss(*driven(face, clip, 1)).values()).backward()
    moved = {name.split(".")[0] for name, p in render.named_parameters() if p.grad is not None}
    assert learn in moved and still not in moved


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
    render.poses.update(torch.zeros(3, 6))
    before = {name: value.clone() for name, value in render.named_buffers()}
    render.loss(motion, subject, video)
    assert all(torch.equal(value, before[name]) for name, value in render.named_buffers())


def test_it_streams_with_the_neighbours_that_one_pass_sees(face, clip, monkeypatch):
    torch.manual_seed(0)
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf"} | TINY}).eval()
    model.render.driver.moments.update(torch.randn(50, 204) * 0.1)
    for parameter in model.motion.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)  # a head that starts at zero says the same of every frame

    class Loop:
        def subject(self, frames, footage=True):
            one = clip.subject.map(lambda t: t[:1])
            return replace(one, speaker=one.speaker[:1]).at(frames)

    speech, subject = Speech(clip.speech.wave[:1, : 5 * 640]), Loop().subject(torch.arange(5))
    with torch.inference_mode():
        whole = model(speech, subject).frames
        said = model.predict_motion(model.audio(speech), subject).values
    draw, shown = model.draw, []
    monkeypatch.setattr(model, "draw", lambda motion, footage: shown.append(motion.values) or draw(motion, footage))
    pieces = torch.cat([video.frames for video in model.stream(speech, Loop(), batch=2)], 1)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)
    around = torch.cat([said[:, :1], said, said[:, -1:]], 1)  # at the ends it rests
    assert said.diff(dim=1).abs().amax(2).min() > 1e-3 and len(shown) == 3
    for first, rows in zip((0, 2, 4), shown, strict=True):
        torch.testing.assert_close(rows, around[:, first : first + rows.shape[1]])
    assert [rows.shape[1] for rows in shown] == [4, 4, 3]


def test_it_listens_to_features_with_no_motion_between(face, clip):
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf", "condition": "audio"} | TINY}).eval()
    assert model.render.driver.moments.mean.shape == (AUDIO.build({"name": "mel"}).dim,)
    features = model.audio(clip.speech)
    moved = model.predict_motion(AudioFeatures(features.values[:, :2]), clip.subject)
    assert moved.space is Space.FEATURES and torch.equal(moved.values, features.values[:, :2])
    with torch.inference_mode():
        assert model.draw(moved, clip.subject.at(torch.arange(2))).frames.shape == (2, 2, 3, 64, 64)


def test_training_on_single_frames_says_that_their_neighbours_are_not_learnt(face, clip, caplog):
    render = nerf(face).train()
    for _ in range(2):
        render.loss(*driven(face, clip, 1))
    assert [r.message for r in caplog.records] == [
        "a frame without its neighbours teaches nothing of how to weigh these: show training more"
    ]
    caplog.clear()
    nerf(face).train().loss(*driven(face, clip, 3))
    nerf(face, window=1).train().loss(*driven(face, clip, 1))
    assert not caplog.records


def test_head_poses_are_calmed_over_time_and_each_number_by_itself(face, clip):
    cfg = {"face": {"name": "toy"}, "audio": {"name": "mel"}, "motion": {"name": "regression", "hidden": 8}}
    model = TalkingFace.from_config(cfg | {"render": {"name": "landmark_nerf", "steady": 1.0} | TINY})
    pose = torch.zeros(2, 10, 6)
    pose[0, 5, 2] = 1.0
    calm = model.smooth_poses(replace(clip.subject, pose=pose)).pose
    expected = torch.tensor([0.0, 0.0, 0.0044, 0.0540, 0.2420, 0.3991, 0.2420, 0.0540, 0.0044, 0.0])
    torch.testing.assert_close(calm[0, :, 2], expected, atol=4e-4, rtol=0)  # 3 σ beyond the ends
    calm[0, :, 2] = 0
    assert not calm.any()
    model.render.pose_smoothing = 0.0
    assert model.smooth_poses(clip.subject) is clip.subject
