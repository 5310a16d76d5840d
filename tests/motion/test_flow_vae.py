import pytest
import torch
from torch import nn

from visemix.motion import MOTION, FlowVAE, stream
from visemix.motion.guide import DelayedWeight
from visemix.types import AudioFeatures, Motion, Space, VisemixError

SMALL = {"channels": 12, "encoder_layers": 2, "decoder_layers": 2, "sync_dim": 16, "sync_windows": 64}


def build(face, seed=0, audio_dim=8, **options):
    """A small model whose prior does something (its flow starts as the identity)."""
    torch.manual_seed(seed)
    model = FlowVAE(audio_dim, face, **(SMALL | options))
    for parameter in model.flow.parameters() if model.flow else ():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def sound(frames, batch=2, dim=8, seed=1):
    return AudioFeatures(torch.randn(batch, frames, dim, generator=torch.Generator().manual_seed(seed)))


def truth(face, clip):
    return face.convert(clip.motion, Space.LANDMARKS, clip.subject)


def test_the_official_preset_has_the_official_sizes(face):
    model = FlowVAE(1024, face, compat="official", sync=False)
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    assert sum(sizes.values()) == 11_127_500
    assert (sizes["condition"], sizes["slow"], sizes["flow"]) == (209_024, 32_832, 655_136)


def test_two_halves_become_one_row_as_the_preset_says(face):
    values = torch.arange(10.0).reshape(1, 5, 2)
    rows = {
        compat: build(face, audio_dim=2, halves=2, compat=compat)._rows(values).flatten()
        for compat in ("corrected", "official")
    }
    assert rows["official"].tolist() == [0, 2, 4, 6, 8]
    assert rows["corrected"].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]


@pytest.mark.parametrize("frames", [1, 2, 4, 7, 250])
def test_any_length_in_one_pass(face, clip, frames):
    motion = build(face)(sound(frames), clip.subject)
    assert motion.space is Space.LANDMARKS and motion.values.shape == (2, frames, 204)
    assert motion.values.isfinite().all()


@pytest.mark.parametrize(
    "options", [*({"compat": name} for name in ("corrected", "paper", "official")), {"ahead": 9}, {"ahead": 6}], ids=str
)
def test_streaming_equals_one_pass(face, clip, options):
    model, features = build(face, **options), sound(1203)
    with torch.no_grad():
        pieces = [AudioFeatures(v) for v in features.values.split([1, 500, 3, 699], 1)]
        joined = [m.values for m in stream(model, pieces, clip.subject)]
        whole = model(features, clip.subject).values
    assert len(joined) > 2
    torch.testing.assert_close(torch.cat(joined, 1), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"ahead": 9}, {"ahead": 6}, {"ahead": 3, "sigma": 0.0, "mouth_sigma": 0.0}], ids=str
)
def test_a_frame_hears_as_far_as_is_said(face, clip, options):
    model, features = build(face, **options), sound(301, batch=1).values.requires_grad_()
    past, ahead = model.context
    furthest = 0
    for frame in range(145, 149):
        (gradient,) = torch.autograd.grad(model(AudioFeatures(features), clip.subject).values[0, frame].sum(), features)
        told = gradient[0].abs().sum(-1).nonzero().flatten()
        assert frame - past <= int(told.min())
        furthest = max(furthest, int(told.max()) - frame)
    assert furthest == options.get("ahead", furthest) and ahead - 8 < furthest <= ahead


def test_less_ahead_than_a_latent_and_its_smoothing_is_refused(face):
    with pytest.raises(VisemixError, match=r"motion\.ahead=5 is 6 frames or more: 3 of a latent and 3"):
        build(face, ahead=5)


def test_a_seed_is_a_motion(face, clip):
    model, features = build(face), sound(40)
    assert torch.equal(model(features, clip.subject).values, model(features, clip.subject).values)
    assert torch.equal(model.draw(features, clip.subject, 5).values, model.draw(features, clip.subject, 5).values)
    assert not torch.equal(model.draw(features, clip.subject, 5).values, model.draw(features, clip.subject, 6).values)
    one = AudioFeatures(features.values[:1])
    alone = model(one, clip.subject.map(lambda t: t[:1])).values
    torch.testing.assert_close(alone, model(features, clip.subject).values[:1])
    unseeded = build(face, seed=0)
    unseeded.seed = None
    assert not torch.equal(unseeded(features, clip.subject).values, unseeded(features, clip.subject).values)


def test_temperature_is_the_spread_of_the_draws(face, clip):
    features = sound(40)

    def spread(temperature):
        model = build(face, temperature=temperature)
        return torch.stack([model.draw(features, clip.subject, k).values for k in range(8)]).std(0).mean().item()

    assert spread(0.0) == 0.0
    assert spread(1.0) > 1.5 * spread(0.5) > 0


def test_the_filter_runs_over_time_and_never_across_points(face, clip):
    features = sound(60)
    sharp, soft = build(face, sigma=0.0, mouth_sigma=0.0), build(face, sigma=2.0, mouth_sigma=0.0)
    raw, smooth = (m(features, clip.subject).values.unflatten(-1, (68, 3)) for m in (sharp, soft))
    torch.testing.assert_close(smooth[:, :, 48:], raw[:, :, 48:])
    weights = torch.exp(-0.5 * (torch.arange(-6.0, 7.0) / 2).square())
    expected = (raw[0, 24:37, 5, 1] * weights).sum() / weights.sum()
    torch.testing.assert_close(smooth[0, 30, 5, 1], expected, atol=1e-5, rtol=1e-4)


def test_the_losses_are_those_of_the_sheet(face, clip):
    model = build(face, kl_weight=0.4, continuity_weight=3.0, sync=False)
    features, target = sound(10), truth(face, clip)
    torch.manual_seed(3)
    losses = model.loss(features, clip.subject, target)
    torch.manual_seed(3)
    shape = face.shape(clip.subject.identity).unsqueeze(1)
    x = 10 * (target.values - shape)
    padded = torch.cat([x, x[:, -1:], x[:, -1:]], 1)
    values = torch.cat([features.values, features.values[:, -1:], features.values[:, -1:]], 1)
    g = model.condition(values.mT)
    slow = model.slow(g)
    z, _, log_q = model.posterior(padded, slow)
    made = model.decoder(z, g)[:, :10]
    log_p = torch.distributions.Normal(0, 1).log_prob(model.flow(z, slow))
    steps = (made.diff(dim=1) - x.diff(dim=1)).square().sum() + (made[:, 0] - x[:, 0]).square().sum()
    expected = {
        "reconstruction": (made - x).square().mean(),
        "kl": 0.4 * (log_q - log_p).sum() / (2 * 3 * 16),
        "continuity": 3.0 * steps / (2 * 10 * 204),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)


def test_without_flow_it_is_the_vanilla_autoencoder(face, clip):
    model = build(face, flow=False, sync=False, kl_weight=0.4)
    assert not [name for name, _ in model.named_parameters() if name.startswith("flow")]
    features, target = sound(12), truth(face, clip)
    twelve = Motion(torch.cat([target.values, target.values[:, :2]], 1), Space.LANDMARKS)
    torch.manual_seed(0)
    kl = model.loss(features, clip.subject, twelve)["kl"]
    torch.manual_seed(0)
    slow = model.slow(model.condition(features.values.mT))
    z, _, log_q = model.posterior(model.lm3d.pack(twelve, clip.subject), slow)
    torch.testing.assert_close(kl, 0.4 * (log_q - torch.distributions.Normal(0, 1).log_prob(z)).mean())


def test_the_shape_is_the_subjects_or_guessed_from_the_voice(face, clip):
    features = sound(20)
    other = clip.subject.map(lambda t: t * 0)
    corrected, official = build(face), build(face, compat="official")
    moved = corrected(features, clip.subject).values - corrected(features, other).values
    torch.testing.assert_close(
        moved, face.shape(clip.subject.identity).unsqueeze(1).expand(-1, 20, -1), atol=1e-5, rtol=1e-4
    )
    assert torch.equal(official(features, clip.subject).values, official(features, other).values)


def test_it_learns_one_motion_by_heart(face, clip):
    model = build(face, kl_weight=0.01, sync=False, channels=32).train()
    features, target = sound(10), truth(face, clip)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    errors = []
    for _ in range(60):
        losses = model.loss(features, clip.subject, target)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        errors.append(losses["reconstruction"].item())
    assert errors[-1] < 0.2 * errors[0]


def test_the_expert_is_frozen_and_its_statistics_stay_put(face, clip):
    model = build(face, sync_start="always", sync_weight=1.0).train()
    model.sync_guide.eval()  # as a stage leaves it
    before = {name: value.clone() for name, value in model.sync_guide.state_dict().items()}
    losses = model.loss(sound(10), clip.subject, truth(face, clip))
    losses["sync"].backward()
    assert all(p.grad is None for p in model.sync_guide.parameters())
    assert model.decoder.after.weight.grad.abs().sum() > 0
    for name, value in model.sync_guide.state_dict().items():
        assert torch.equal(value, before[name])


def test_guidance_starts_when_the_running_mean_is_low_and_a_copy_remembers_it():
    trigger = DelayedWeight(0.01, "average", 0.75).train()
    assert trigger(torch.tensor(2.0)) == 0  # mean 2.0
    values = [trigger(torch.tensor(0.5)).item() for _ in range(100)]
    started = next(k for k, value in enumerate(values) if value)
    assert started == 88  # the 89th of them: 0.98^89 is the first below (0.75 − 0.5) / (2 − 0.5)
    assert values[started:] == pytest.approx([0.005] * (100 - started))
    resumed = DelayedWeight(0.01, "average", 0.75).train()
    resumed.load_state_dict(trigger.state_dict())
    assert resumed.running and resumed(torch.tensor(9.0)).item() == pytest.approx(0.09)


def test_the_official_guidance_starts_at_any_good_validation_batch_and_is_forgotten():
    trigger = DelayedWeight(0.01, "validation", 0.75).train()
    assert trigger(torch.tensor(0.1)) == 0
    assert trigger.eval()(torch.tensor(0.7)).item() == pytest.approx(0.007)
    assert trigger.train()(torch.tensor(3.0)).item() == pytest.approx(0.03)
    assert not trigger.state_dict()


def test_a_window_shorter_than_the_expert_sees_is_refused_in_a_sentence(face, clip):
    short = Motion(truth(face, clip).values[:, :3], Space.LANDMARKS)
    with pytest.raises(VisemixError, match="3 frames are fewer than the 5"):
        build(face).loss(sound(3), clip.subject, short)


@pytest.mark.parametrize("options", [{"halves": 3}, {"halves": 2, "audio_dim": 7}, {"latent": 5}])
def test_impossible_sizes_are_refused(face, options):
    with pytest.raises(VisemixError, match=r"motion\.halves="):
        build(face, **options)


def test_silence_gives_a_finite_motion(face, clip):
    motion = MOTION.build({"name": "flow_vae"} | SMALL, 8, face).eval()(
        AudioFeatures(torch.zeros(2, 50, 8)), clip.subject
    )
    assert motion.values.isfinite().all()
