import pytest
import torch
from a2ep_maker import AUDIO_DIM, SMALL, build, make_subject, sound
from torch import nn

from visemix.face import FaceModel
from visemix.motion import A2EP, MOTION
from visemix.types import AudioFeatures, Motion, Space, VisemixError


@pytest.fixture
def subject(face):
    return make_subject(face, ("ann", "bob"))


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


@pytest.mark.parametrize("window", [{}, {"sigma1": 2, "sigma2": 3}, {"context": 0}, {"alibi": 25}])
def test_bfloat16_says_nearly_the_same(window, face, subject):
    model, audio = build(face, dim=64, **window), sound(100)
    with torch.inference_mode():
        exact = model(audio, subject).values
        model.precision = "bfloat16"
        rough = model(audio, subject).values
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().mean() < 0.03 * exact.std()
