"""What every registered part owes the pipeline, whoever wrote it."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import standins  # noqa: F401 – a third party's parts keep the contracts too
import torch
from conftest import make_clip
from frozen_parts import one_frame
from tiny_parts import config

from visemix.audio import AUDIO, stream_features
from visemix.face import FACE
from visemix.motion import MOTION
from visemix.pipeline import PARTS, TalkingFace
from visemix.render import RENDER
from visemix.training.pictures import first_clips
from visemix.training.watch import reached, starts
from visemix.types import Adversarial, Space, Speech, Streaming, VisemixError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a cache is kept relative to the folder one is in


@cache
def encoder(name):
    torch.manual_seed(0)
    try:
        return AUDIO.build(config(name)).eval()
    except VisemixError as error:
        if "is not installed" in str(error):
            pytest.skip(str(error))
        raise


def motion_model(name, face):
    torch.manual_seed(0)
    return MOTION.build(config(name), encoder("spectrum").dim, face)


def features(clip):
    with torch.no_grad():
        return encoder("spectrum")(clip.speech)


def unreached(part, losses):
    """The trainable weights that have no gradient in a step, or one that is 0 everywhere, of those that learn from the
    start. It is the second step: in the first, nothing goes back through weights that start at 0."""
    later = {name for name, step in starts(part).items() if step}
    weights = {name: p for name, p in part.named_parameters() if p.requires_grad and name not in later}
    optim = torch.optim.Adam(weights.values(), 1e-3)
    for _ in range(2):
        optim.zero_grad()
        sum(losses().values()).backward()
        optim.step()
    return weights.keys() - {*reached(weights)}


@pytest.mark.parametrize("name", AUDIO.names())
def test_encoder_gives_one_row_per_video_frame(name, clip):
    assert encoder(name)(clip.speech).values.shape == (2, clip.speech.frames, encoder(name).dim)


@pytest.mark.parametrize("name", AUDIO.names())
def test_features_reach_every_trainable_weight(name, clip):
    learning = deepcopy(encoder(name)).train()
    if not any(p.requires_grad for p in learning.parameters()):
        pytest.skip(f"{name} has nothing to learn")
    assert not unreached(learning, lambda: {"square": learning(clip.speech).values.square().mean()})


@pytest.mark.parametrize("name", AUDIO.names())
def test_features_change_over_time(name, clip):
    assert encoder(name)(clip.speech).values.std(1).max() > 1e-4


@pytest.mark.parametrize("name", AUDIO.names())
def test_sound_heard_piece_by_piece_is_heard_as_in_one_pass(name, monkeypatch):
    if name in ("wav2vec2", "hubert", "ctc", "cached", "concat"):
        pytest.skip(f"{name} hears the whole sound's loudness, here through wav2vec 2.0")
    monkeypatch.setattr("visemix.audio.base.BLOCK_FRAMES", 52)
    speech = Speech(torch.randn(1, 130 * 640, generator=torch.Generator().manual_seed(0)) * 0.1)
    with torch.no_grad():
        streamed = torch.cat([piece.values for piece in stream_features(encoder(name), speech)], 1)
        torch.testing.assert_close(streamed, encoder(name)(speech).values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MOTION.names())
def test_motion_keeps_the_clock_and_its_space(name, clip, face):
    motion = motion_model(name, face).eval()
    out = motion(features(clip), clip.subject)
    assert out.space is motion.space
    assert out.values.shape == (2, clip.speech.frames, face.width(motion.space))


@pytest.mark.parametrize("name", MOTION.names())
def test_motion_that_streams_says_the_same_as_in_one_pass(name, clip, face):
    motion = motion_model(name, face).eval()
    if not isinstance(motion, Streaming):
        pytest.skip(f"{name} does not stream")
    encoded = features(clip)
    pieces = [type(encoded)(values) for values in encoded.values.split(3, dim=1)]
    with torch.no_grad():
        streamed = torch.cat([piece.values for piece in motion.stream(pieces, clip.subject)], 1)
        torch.testing.assert_close(streamed, motion(encoded, clip.subject).values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MOTION.names())
def test_motion_loss_reaches_every_trainable_weight(name, clip, face):
    motion = motion_model(name, face).train()
    target = face.convert(clip.motion, motion.space, clip.subject)
    assert not unreached(motion, lambda: motion.loss(features(clip), clip.subject, target))


@pytest.mark.parametrize("name", RENDER.names())
def test_renderer_fills_the_frame_within_range(name, clip, face):
    render = RENDER.build(config(name), face).eval()
    few = clip.subject.at(torch.arange(2))
    motion = type(clip.motion)(clip.motion.values[:, :2], clip.motion.space)
    frames = render(face.convert(motion, render.space, few), few).frames
    assert frames.shape == few.footage.shape
    assert frames.min() >= 0 and frames.max() <= 1


@pytest.mark.parametrize("name", RENDER.names())
def test_render_loss_reaches_every_trainable_weight(name, face):
    render = RENDER.build(config(name), face).train()
    if not any(p.requires_grad for p in render.parameters()):
        pytest.skip(f"{name} has nothing to learn")
    clip = make_clip(face, batch=1, frames=2 * render.context + 4)
    render.init_from_data([replace(clip, video=None)], [one_frame(clip, k) for k in range(clip.speech.frames)])
    motion = face.convert(clip.motion, render.space, clip.subject)
    if isinstance(render, Adversarial) and render.critic is not None:
        render.critic.requires_grad_(False)
    assert not unreached(render, lambda: render.loss(motion, clip.subject, clip.video))


@pytest.mark.parametrize("name", RENDER.names())
def test_what_a_renderer_became_in_training_comes_back(name, clip, face):
    """At any sizes, where it grows; where it does not, at those that its constructor gave it."""
    render = RENDER.build(config(name), face).train()
    weights = [p for p in render.parameters() if p.requires_grad]
    if not weights:
        pytest.skip(f"{name} has nothing to learn")
    few, motion = clip.subject.at(torch.arange(2)), type(clip.motion)(clip.motion.values[:, :2], clip.motion.space)
    target, motion = type(clip.video)(clip.video.frames[:, :2]), face.convert(motion, render.space, few)
    optimiser = torch.optim.Adam(weights)
    for step in (97, 98, 99):  # who grows from time to time does so at the hundredth
        optimiser.zero_grad()
        sum(render.loss(motion, few, target).values()).backward()
        render.before_step(optimiser, step)
        optimiser.step()
        render.after_step(optimiser, step)
    assert {id(p) for group in optimiser.param_groups for p in group["params"]} == {id(p) for p in weights}
    again = RENDER.build(config(name), face)
    if again.grows:
        again.resize_to(render.state_dict())
    again.load_state_dict(render.state_dict())
    torch.manual_seed(0)
    before = render.eval()(motion, few).frames
    torch.manual_seed(0)
    assert torch.equal(again.eval()(motion, few).frames, before)


@pytest.mark.parametrize("audio", AUDIO.names())
@pytest.mark.parametrize("motion", MOTION.names())
@pytest.mark.parametrize("render", RENDER.names())
def test_any_encoder_any_motion_any_renderer(audio, motion, render, clip, face, monkeypatch):
    encoded = encoder(audio)
    monkeypatch.setattr(AUDIO, "build", lambda cfg: encoded)
    monkeypatch.setattr(FACE, "build", lambda cfg: face)
    cfg = {"face": {"name": "toy"}, "audio": config(audio), "motion": config(motion), "render": config(render)}
    model = TalkingFace.from_config(cfg).eval()
    one = first_clips(clip, 1)
    speech = type(clip.speech)(one.speech.wave[:, : 2 * 640])
    with torch.inference_mode():
        assert model(speech, one.subject.at(torch.arange(2))).frames.shape == (1, 2, 3, 64, 64)


@pytest.mark.parametrize("name", AUDIO.names())
def test_a_checkpoint_comes_back_without_the_files_its_parts_came_from(name, tmp_path):
    encoder(name)
    cfg = {"face": {"name": "toy"}, "audio": config(name), "motion": config("gru"), "render": config("dots")}
    model = TalkingFace.from_config(cfg)
    model.save(tmp_path / "model.safetensors")
    again = TalkingFace.from_checkpoint(tmp_path / "model.safetensors")
    assert set(again.config) == {*PARTS, "eyes"}
    theirs, ours = again.names, model.names
    found = {theirs.unwrapped(key): value for key, value in again.state_dict().items()}
    for key, value in model.state_dict().items():
        assert torch.equal(found[ours.unwrapped(key)], value)


def test_space_conversion_round_trips(face, clip):
    there = face.convert(clip.motion, Space.LANDMARKS, clip.subject)
    back = face.convert(there, Space.EXPRESSION, clip.subject)
    again = face.convert(back, Space.LANDMARKS, clip.subject)
    torch.testing.assert_close(again.values, there.values, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("registry", [AUDIO, MOTION, RENDER], ids=lambda r: r.kind)
def test_a_part_has_no_children_among_parts(registry):
    parts = {registry[name] for name in registry.names()}
    assert not [part for part in parts for other in parts if part is not other and issubclass(part, other)]


@pytest.mark.parametrize("registry", [AUDIO, MOTION, RENDER, FACE], ids=lambda r: r.kind)
def test_every_part_says_what_it_is_and_refuses_what_it_does_not_know(registry):
    for name in registry.names():
        assert registry[name].__doc__
        with pytest.raises(VisemixError, match="has no option 'no_such_option'"):
            registry.check(config(name) | {"no_such_option": 1})
