import logging

import pytest
import torch
from torch import nn

from visemix.face import FaceModel
from visemix.motion import A2EP, MOTION
from visemix.types import AudioFeatures, Motion, Space, Subject, VisemixError

AUDIO_DIM = 6
SMALL = {"dim": 32, "heads": 4, "feedforward": 48, "dropout": 0.0}


def build(face, seed=0, **options):
    """A small model whose head says something (it starts at zero)."""
    torch.manual_seed(seed)
    model = A2EP(AUDIO_DIM, face, **(SMALL | options))
    nn.init.normal_(model.head.weight, std=0.15)
    nn.init.normal_(model.head.bias, std=0.15)
    return model.eval()


def sound(frames, batch=2, seed=1):
    return AudioFeatures(torch.randn(batch, frames, AUDIO_DIM, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture
def subject(face):
    return make_subject(face, ("ann", "bob"))


def make_subject(face: FaceModel, names):
    n = len(names)
    return Subject(
        speaker=names,
        identity=torch.randn(n, face.identity.shape[-1], generator=torch.Generator().manual_seed(2)),
        expression=torch.zeros(n, 1, face.expression.shape[-1]),
        pose=torch.zeros(n, 1, 6),
        camera=torch.zeros(n, 3),
        light=torch.zeros(n, 1, 27),
        albedo=torch.zeros(n, 4, 3),
    )


def positions(frames, dim, kind):
    if kind == "constant":
        return torch.tensor([0.0, 1.0]).repeat(dim // 2).expand(frames, dim)
    angles = torch.arange(frames)[:, None] / 10_000 ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


@torch.no_grad()
def naive(model, audio, style, steps_mask=None):
    """The whole prefix anew at every step, through torch's own decoder layer: (outputs at each step, last pass)."""
    layer = nn.TransformerDecoderLayer(model.dim, model.heads, model.decoder.layers[0].linear1.out_features, 0.0)
    layer.self_attn.batch_first = layer.multihead_attn.batch_first = True
    layer.load_state_dict(model.decoder.layers[0].state_dict())
    layer.eval()
    memory = model.audio_map(audio.values)
    frames = memory.shape[1]
    place = positions(frames, model.dim, model.positions)
    index = torch.arange(frames)
    near = (index >= index[:, None] - model.sigma1) & (index < index[:, None] + model.sigma2)
    spoken = torch.zeros(len(memory), 0, model.head.out_features)
    for i in range(frames):
        rows = nn.functional.pad(spoken, (0, 0, 1, 0))
        rows = model.expression_map(rows) + style[:, None] + place[: i + 1]
        if model.start == "style":
            rows[:, 0] -= model.expression_map.bias
        mask = None if steps_mask is None else steps_mask(i + 1)
        out = model.head(layer(rows, memory, mask, torch.where(near[: i + 1], 0.0, -torch.inf)))
        spoken = torch.cat([spoken, out[:, -1:]], 1)
    return spoken, out


def causal(context=None, slopes=None):
    def mask(n):
        age = torch.arange(n)[:, None] - torch.arange(n)
        allowed = (age >= 0) & (age < (context or n))
        if slopes is None:
            return torch.where(allowed, 0.0, -torch.inf)
        bias = -torch.tensor(slopes)[:, None, None] * (age // 25)
        return torch.where(allowed, bias, -torch.inf).repeat(2, 1, 1)  # batch × heads

    return mask


SLOPES = [0.25, 0.0625, 0.015625, 0.00390625]


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({"compat": "paper"}, causal()),
        ({"context": 7}, causal(7)),
        ({"compat": "paper", "sigma1": 2, "sigma2": 3}, causal()),
        ({"compat": "official"}, causal(slopes=SLOPES)),
        ({"compat": "official", "context": 30}, causal(30, SLOPES)),
    ],
)
def test_rolling_out_with_a_cache_equals_rerunning_the_whole_prefix(face, subject, options, mask):
    model = build(face, speakers=["ann", "bob"], **options)
    audio = sound(60)
    expected, _ = naive(model, audio, model.style_map.weight.T, mask)
    with torch.inference_mode():
        torch.testing.assert_close(model(audio, subject).values, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(audio, subject).values, expected, atol=1e-5, rtol=1e-5)  # with gradients: no ring


def test_official_training_scores_the_last_unmasked_pass(face, subject):
    model = build(face, compat="official", speakers=["ann", "bob"], supervision="coefficients").train()
    audio = sound(9)
    _, last = naive(model, audio, model.style_map.weight.T)
    target = torch.randn_like(last)
    loss = model.loss(audio, subject, Motion(target, Space.EXPRESSION))["expression"]
    torch.testing.assert_close(loss, (last - target).square().mean())


@pytest.mark.parametrize("options", [{}, {"layers": 2}, {"sigma1": 1, "sigma2": 2}, {"compat": "paper"}])
def test_training_says_what_inference_says(face, subject, options):
    model = build(face, supervision="coefficients", random_start=False, **options)
    audio = sound(12)
    target = Motion(torch.zeros(2, 12, model.head.out_features), Space.EXPRESSION)
    with torch.inference_mode():
        expected = model(audio, subject).values.square().mean()
    losses = model.train().loss(audio, subject, target)
    torch.testing.assert_close(losses["expression"], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"context": 5}, {"sigma1": 2, "sigma2": 3, "layers": 2}, {"alibi": 4}])
def test_teacher_forcing_with_its_own_words_repeats_them_in_one_parallel_pass(face, subject, options):
    model = build(face, supervision="coefficients", random_start=False, teacher_forcing=1.0, **options)
    audio = sound(15)
    with torch.no_grad():
        spoken = model(audio, subject)
    assert model.train().loss(audio, subject, spoken)["expression"] < 1e-10


def test_scheduled_sampling_lies_between_its_ends(face, subject):
    model = build(face, supervision="coefficients", random_start=False).train()
    audio, target = sound(8), Motion(torch.ones(2, 8, model.head.out_features), Space.EXPRESSION)
    loss = {}
    for share in (0.0, 0.9999999, 1.0):
        model.teacher_forcing = share
        loss[share] = model.loss(audio, subject, target)["expression"]
    torch.testing.assert_close(loss[0.9999999], loss[1.0])
    assert not torch.isclose(loss[0.0], loss[1.0])


@pytest.mark.parametrize("options", [{}, {"compat": "paper"}, {"sigma1": 2, "sigma2": 3}, {"compat": "official"}])
@pytest.mark.parametrize("cuts", [[300], [1, 2, 3, 94, 200]])
def test_streaming_equals_one_pass(face, subject, options, cuts):
    model = build(face, **options)
    audio = sound(300)
    with torch.inference_mode():
        whole = model(audio, subject).values
    pieces = (AudioFeatures(values) for values in audio.values.split(cuts, 1))
    streamed = torch.cat([m.values for m in model.stream(pieces, subject)], 1)
    torch.testing.assert_close(streamed, whole, atol=1e-5, rtol=1e-5)


def test_a_bounded_context_bounds_the_memory(face, subject):
    model = build(face, context=10)
    rollout = model._rollout()
    with torch.inference_mode():
        model._advance(rollout, torch.zeros(2, 32), sound(50).values, 0, 50)
    assert rollout.caches[0].store.shape[3] == 10


def test_the_future_is_never_heard(face, subject):
    model = build(face, compat="paper", sigma2=2)
    audio = sound(20)
    other = AudioFeatures(torch.cat([audio.values[:, :12], sound(8, seed=9).values], 1))
    ours, theirs = model(audio, subject).values, model(other, subject).values
    torch.testing.assert_close(ours[:, :11], theirs[:, :11])
    assert not torch.allclose(ours[:, 11:], theirs[:, 11:], atol=1e-3)


def test_positions_run_over_time_except_in_the_official_code(face):
    for compat, moves in [("corrected", True), ("paper", True), ("official", False)]:
        rows = build(face, compat=compat)._entries(torch.zeros(2, 32), 0, 6)
        assert (rows[:, 2:].std(1).max() > 0.1).item() is moves


def test_periodic_positions_start_over_every_second(face):
    rows = build(face, positions="periodic")._entries(torch.zeros(1, 32), 0, 60)
    torch.testing.assert_close(rows[:, 1:26], rows[:, 26:51])


def test_training_counts_from_anywhere_and_inference_from_zero(face, subject):
    model = build(face, supervision="coefficients")
    audio, target = sound(8), Motion(torch.zeros(2, 8, model.head.out_features), Space.EXPRESSION)
    torch.manual_seed(0)
    training = {model.train().loss(audio, subject, target)["expression"].item() for _ in range(3)}
    evaluation = {model.eval().loss(audio, subject, target)["expression"].item() for _ in range(3)}
    assert len(training) == 3 and len(evaluation) == 1


def test_the_paper_starts_from_an_embedded_zero_and_the_code_from_the_style_alone(face):
    paper, official = build(face, compat="paper"), build(face, compat="official")
    zero = torch.zeros(1, 32)
    place = positions(1, 32, "constant")[None]
    torch.testing.assert_close(paper._entries(zero, 0, 1), place + paper.expression_map.bias)
    torch.testing.assert_close(official._entries(zero, 0, 1), place)


def test_any_length_is_spoken(face, subject):
    model = build(face, compat="paper")
    with torch.inference_mode():
        assert model(sound(700), subject).values.isfinite().all()
        assert model(sound(1), subject).values.shape[1] == 1


def test_the_official_layout_has_the_papers_parameters():
    model = A2EP(768, bfm_like(), compat="official", speakers=[f"s{i}" for i in range(8)])
    assert sum(p.numel() for p in model.parameters()) == 13_528_128


def bfm_like():
    """A face of BFM's widths, as far as this model looks at it."""
    face = nn.Module()
    face.expression, face.identity = torch.randn(40, 3, 64), torch.randn(40, 3, 80)
    face.lower = torch.arange(40) < 16
    face.width = lambda space: 64
    face.__class__ = FaceModel
    return face


def test_it_starts_from_the_neutral_face(face, subject):
    model = A2EP(AUDIO_DIM, face, **SMALL).eval()
    assert model(sound(5), subject).values.abs().max() == 0


def test_every_weight_learns(face, subject):
    for options in ({}, {"compat": "official"}, {"teacher_forcing": 1.0}, {"sigma1": 1}, {"template": "none"}):
        model = build(face, speakers=["ann", "bob"], **options).train()
        target = Motion(torch.randn(2, 6, model.head.out_features), Space.EXPRESSION)
        sum(model.loss(sound(6), subject, target).values()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_each_speaker_has_a_style_of_its_own(face):
    model = build(face, speakers=["ann", "bob"])
    one = AudioFeatures(sound(5, batch=1).values.expand(2, -1, -1))
    ann, bob = model(one, make_subject(face, ("ann", "bob"))).values
    assert not torch.allclose(ann, bob, atol=1e-3)


def test_a_stranger_speaks_like_the_first_and_the_log_says_so_once(face, caplog):
    model, audio = build(face, speakers=["ann", "bob"]), sound(5, batch=1)
    with caplog.at_level(logging.WARNING):
        stranger = model(audio, make_subject(face, ("zoe",))).values
        model(audio, make_subject(face, ("zoe",)))
    torch.testing.assert_close(stranger, model(audio, make_subject(face, ("ann",))).values)
    assert [r.getMessage() for r in caplog.records] == [
        "'zoe' has no style of its own; it speaks like 'ann' (motion.style)"
    ]


def test_a_chosen_style_is_everyones(face):
    torch.manual_seed(0)
    model, audio = build(face, speakers=["ann", "bob"], style="bob"), sound(5, batch=1)
    other = build(face, speakers=["ann", "bob"])
    expected = other(audio, make_subject(face, ("bob",))).values
    for name in ("ann", "zoe"):
        torch.testing.assert_close(model(audio, make_subject(face, (name,))).values, expected)


def test_training_on_a_stranger_is_refused_by_name(face, subject):
    model = build(face, speakers=["ann"]).train()
    target = Motion(torch.zeros(2, 4, model.head.out_features), Space.EXPRESSION)
    with pytest.raises(VisemixError, match=r"'bob' is not among motion.speakers \(ann\)"):
        model.loss(sound(4), subject, target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma2": 0}, "sigma2"),
        ({"sigma1": -1}, "sigma1"),
        ({"dim": 30}, "dim=30"),
        ({"teacher_forcing": 1.5}, "teacher_forcing"),
        ({"speakers": ["ann"], "style": "anna"}, "did you mean 'ann'"),
    ],
)
def test_senseless_options_are_refused_in_one_sentence(face, options, message):
    with pytest.raises(VisemixError, match=message):
        MOTION.build({"name": "a2ep"} | SMALL | options, AUDIO_DIM, face)


def loss_of(face, subject, delta, **options):
    model = build(face, **options)
    spoken = model(sound(4), subject)
    return model.loss(sound(4), subject, Motion(spoken.values - delta, spoken.space))


def test_the_loss_is_the_papers_over_the_faces_vertices(face, subject):
    delta = torch.randn(2, 4, face.expression.shape[-1], generator=torch.Generator().manual_seed(5))
    moved = torch.einsum("nce,bte->btnc", face.expression, delta)
    weight = torch.where(face.lower, 1.8, 1.0)
    expected = (weight * moved.square().sum(-1)).mean()
    torch.testing.assert_close(loss_of(face, subject, delta)["expression"], expected, rtol=1e-4, atol=0)
    plain = moved.square().sum(-1).mean()
    torch.testing.assert_close(loss_of(face, subject, delta, mouth=1.0)["expression"], plain, rtol=1e-4, atol=0)
    coefficients = loss_of(face, subject, delta, supervision="coefficients")["expression"]
    torch.testing.assert_close(coefficients, delta.square().mean(), rtol=1e-4, atol=0)


def test_without_a_template_the_truth_keeps_the_speakers_shape(face, subject):
    delta = torch.zeros(2, 4, face.expression.shape[-1])
    shape = torch.einsum("nci,bi->bnc", face.identity, subject.identity)
    weight = torch.where(face.lower, 1.8, 1.0)
    expected = (weight * shape.square().sum(-1)).mean()
    torch.testing.assert_close(
        loss_of(face, subject, delta, template="none")["expression"], expected, rtol=1e-4, atol=0
    )


def test_velocity_scores_differences_between_neighbours(face, subject):
    still = torch.ones(2, 4, face.expression.shape[-1])
    assert loss_of(face, subject, still, velocity=2.0)["velocity"] < 1e-8
    moving = torch.arange(4.0).view(1, 4, 1) * still
    one_step = loss_of(face, subject, still)["expression"]
    velocity = loss_of(face, subject, moving, velocity=2.0)["velocity"]
    torch.testing.assert_close(velocity, 2 * one_step, rtol=1e-3, atol=0)


@pytest.mark.parametrize("window", [{}, {"sigma1": 2, "sigma2": 3}, {"context": 0}, {"alibi": 25}])
def test_bfloat16_says_nearly_the_same(window, face, subject):
    model, audio = build(face, dim=64, **window), sound(100)
    with torch.inference_mode():
        exact = model(audio, subject).values
        model.precision = "bfloat16"
        rough = model(audio, subject).values
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().mean() < 0.03 * exact.std()


def test_dropout_acts_in_training_only(face, subject):
    model, audio = build(face, dropout=0.5), sound(5)
    torch.testing.assert_close(model(audio, subject).values, model(audio, subject).values, atol=0, rtol=0)
    model.train()
    assert not torch.allclose(model(audio, subject).values, model(audio, subject).values)


def test_it_learns_to_follow_the_sound_and_keeps_to_it_when_left_alone(face, subject):
    """Expression = a fixed map of this frame's sound and the last one's; scored free-running, in evaluation."""
    torch.manual_seed(0)
    mix = torch.randn(2, AUDIO_DIM, face.expression.shape[-1]) * 0.3
    audio = sound(16)
    before = torch.cat([audio.values[:, :1], audio.values[:, :-1]], 1)
    target = Motion(audio.values @ mix[0] + before @ mix[1], Space.EXPRESSION)
    model = A2EP(AUDIO_DIM, face, dim=64, heads=4, feedforward=128, dropout=0.0, supervision="coefficients")
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(90):
        optimiser.zero_grad()
        model.train().loss(audio, subject, target)["expression"].backward()
        optimiser.step()
    with torch.inference_mode():
        spoken = model.eval()(audio, subject).values
    assert (spoken - target.values).square().mean() < 0.05 * target.values.var()
