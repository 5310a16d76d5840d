import pytest
import torch
from conftest import make_clip
from torch import nn

from visemix.motion import MOTION, PostNet, stream
from visemix.types import AudioFeatures, Motion, Space

VAE = {"name": "flow_vae", "channels": 8, "encoder_layers": 1, "decoder_layers": 1, "sync_dim": 16, "sync_windows": 32}
BASES = {
    "flow_vae": VAE,
    "a2ep": {"name": "a2ep", "dim": 16, "heads": 2, "feedforward": 16},
    "smooth": {"name": "smooth", "base": {"name": "regression", "hidden": 8}},
}


def build(face, base="flow_vae", *, moved=True, **options):
    torch.manual_seed(0)
    model = PostNet(6, face, base=BASES[base], sync_dim=16, sync_windows=32, **options).eval()
    if moved:
        nn.init.normal_(model.postnet.out.weight, std=0.05)
    return model


def sound(frames=10, batch=2, seed=1):
    return AudioFeatures(torch.randn(batch, frames, 6, generator=torch.Generator().manual_seed(seed)))


def example(clip, seed=1):
    return sound(seed=seed), clip.subject, clip.motion


@pytest.mark.parametrize("base", BASES)
def test_it_starts_as_any_base_says_it_and_then_moves_it(face, clip, base):
    model = build(face, base, moved=False)
    plain = face.convert(model.base(sound(), clip.subject), Space.LANDMARKS, clip.subject)
    torch.testing.assert_close(model(sound(), clip.subject).values, plain.values)
    model = build(face, base)
    assert (model(sound(), clip.subject).values - plain.values).abs().max() > 1e-3


@pytest.mark.parametrize("compat", ["corrected", "paper", "official"])
def test_streaming_equals_one_pass(face, clip, compat):
    model, long = build(face, compat=compat), sound(700)
    pieces = [AudioFeatures(v) for v in long.values.split([3, 600, 97], 1)]
    joined = torch.cat([m.values for m in stream(model, pieces, clip.subject)], 1)
    torch.testing.assert_close(joined, model(long, clip.subject).values, atol=1e-5, rtol=1e-4)


def test_its_losses_are_the_weighted_three(face, clip):
    model = build(face)
    losses, rows = model.adapt(example(clip), example(clip, 2))
    made = model.lm3d.pack(model(sound(), clip.subject), clip.subject)
    torch.testing.assert_close(rows, made.detach())
    assert not rows.requires_grad
    spoken = model.lm3d.pack(model(sound(seed=2), clip.subject), clip.subject)
    truth = model.lm3d.pack(clip.motion, clip.subject)
    torch.testing.assert_close(losses["adversarial"], 0.85 * (1 - model.postnet_critic(made)).square().mean())
    torch.testing.assert_close(losses["mse"], 5.0 * (spoken - truth).square().mean())
    every = model.base.sync_guide.loss(sound(), clip.subject, model(sound(), clip.subject))
    torch.testing.assert_close(losses["sync"], 0.1 * every)  # twelve windows are all drawn


def test_the_critic_learns_the_persons_frames_from_made_ones(face, clip):
    model = build(face)
    made = torch.randn_like(model.lm3d.pack(clip.motion, clip.subject))
    real, fake = model.critic_scores(made, clip.motion, clip.subject)
    torch.testing.assert_close(fake, model.postnet_critic(made))
    torch.testing.assert_close(real, model.postnet_critic(model.lm3d.pack(clip.motion, clip.subject)))
    loss = model.critic_loss(real, fake)["critic"]
    torch.testing.assert_close(loss, (real - 1).square().mean() + fake.square().mean())
    model.postnet_critic.requires_grad_(True)
    made = model.adapt(example(clip), example(clip, 2))[1]
    model.critic_loss(*model.critic_scores(made, clip.motion, clip.subject))["critic"].backward()
    assert all(p.grad is None for p in model.postnet.parameters())


def test_what_a_batch_is_judged_by_has_the_own_motions_of_both_domains(face, clip):
    model, other = build(face), Motion(clip.motion.values + 0.1, clip.motion.space)
    rows = model.measure((sound(seed=1), clip.subject, other), example(clip))
    torch.testing.assert_close(rows["many"], model.lm3d.pack(other, clip.subject))
    torch.testing.assert_close(rows["truth"], model.lm3d.pack(clip.motion, clip.subject))
    assert not torch.allclose(rows["many"], rows["truth"], atol=1e-3)


@pytest.mark.parametrize("compat", ["corrected", "official"])
def test_a_motion_is_seen_with_the_shape_of_whoever_makes_it(face, clip, compat):
    """Others and the person are different people; shape is known with the one preset and guessed with the other."""
    model, person = build(face, compat=compat), make_clip(face, seed=1)
    losses, _ = model.adapt(example(clip), example(person, 2))
    rows = model.measure(example(clip), example(person, 2))
    drawn = model.base.draw(sound(), clip.subject, 0)
    wanted = {
        "many": (clip.motion, clip),
        "before": (face.convert(drawn, Space.LANDMARKS, clip.subject), clip),
        "after": (model(sound(), clip.subject), clip),
        "spoken": (model(sound(seed=2), person.subject), person),
        "truth": (person.motion, person),
    }
    for name, (motion, whose) in wanted.items():
        torch.testing.assert_close(rows[name], model.lm3d.pack(motion, whose.subject), msg=name)
    torch.testing.assert_close(losses["mse"], model.weights["mse"] * (rows["spoken"] - rows["truth"]).square().mean())


def test_training_hears_another_draw_each_time_and_judging_the_same(face, clip):
    model = build(face)
    assert torch.equal(
        model.measure(example(clip), example(clip))["before"], model.measure(example(clip), example(clip))["before"]
    )
    model.training = True
    assert not torch.equal(
        model.measure(example(clip), example(clip))["before"], model.measure(example(clip), example(clip))["before"]
    )


def test_a_base_without_an_expert_is_given_one_and_with_one_shares_it(face):
    def experts(model):
        return {name.split(".expert")[0] for name in model.state_dict() if ".expert." in name}

    assert experts(build(face, "a2ep")) == {"sync_guide"}
    assert experts(build(face, "flow_vae")) == {"base.sync_guide"}
    assert experts(build(face, "a2ep", sync_weight=0.0)) == set()


def test_it_trains_its_base_by_the_bases_loss(face, clip):
    model = build(face, "smooth")
    target = face.convert(clip.motion, Space.LANDMARKS, clip.subject)
    ours, theirs = model.loss(sound(), clip.subject, target), model.base.loss(sound(), clip.subject, clip.motion)
    torch.testing.assert_close(ours["motion"], theirs["motion"], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("inner", ["regression", "a2ep"])
def test_smoothing_may_lie_around_it(face, clip, inner):
    base = {"name": "postnet", "base": {"name": inner}, "sync_dim": 16}
    model = MOTION.build({"name": "smooth", "base": base}, 6, face).eval()
    assert model(sound(), clip.subject).space is Space.LANDMARKS
    assert isinstance(model.draw(sound(), clip.subject, 3), Motion)


@pytest.mark.parametrize(("compat", "weight"), [("corrected", 5.0), ("paper", 1.0), ("official", 0.05)])
def test_the_weight_of_the_error_goes_with_what_has_to_be_guessed(face, compat, weight):
    assert build(face, compat=compat).weights["mse"] == weight
    assert build(face, compat=compat, mse_weight=1.0).weights["mse"] == 1.0


def test_the_papers_losses_weigh_alike_and_its_nets_are_as_wide_as_its_table_says(face):
    """Eq. 5 has no weights; Table 4: eight convolutions of three frames and 256 channels, a critic of five layers."""
    model = build(face, compat="paper", moved=False)
    assert model.weights == {"adversarial": 1.0, "sync": 1.0, "mse": 1.0}
    shapes = [tuple(m.weight.shape) for m in model.postnet.modules() if isinstance(m, nn.Conv1d)]
    assert shapes == [(256, 204, 3)] + 6 * [(256, 256, 3)] + [(204, 256, 3)]
    shapes = [tuple(m.weight.shape) for m in model.postnet_critic if isinstance(m, nn.Linear)]
    assert shapes == [(256, 204)] + 3 * [(256, 256)] + [(1, 256)]
    official = build(face, compat="official", moved=False)
    assert official.weights == {"adversarial": 0.85, "sync": 0.1, "mse": 0.05}


def test_the_official_post_net_adds_its_input_before_the_activation(face):
    """models.py:4 of the authors: act(norm(conv x) + x)."""
    layer = build(face, compat="official").postnet.layers[1]
    x = torch.randn(1, 128, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), nn.functional.leaky_relu(layer.norm(layer.conv(x)) + x, 0.2))
