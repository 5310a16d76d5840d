import logging

import pytest
import torch

from visemix.audio import AUDIO
from visemix.types import Speech, VisemixError

TINY = {"weights": "random", "dim": 24, "layers": 2, "heads": 2, "conv_dim": 16}
BOTH = pytest.mark.parametrize("name", ["wav2vec2", "hubert"])


def build(name="wav2vec2", **options):
    torch.manual_seed(0)
    return AUDIO.build({"name": name} | TINY | options)


def noise(frames, batch=1, seed=0):
    """Sound that is not the same all along: its loudness swells."""
    wave = torch.randn(batch, frames * 640, generator=torch.Generator().manual_seed(seed))
    return Speech(wave * (0.1 + torch.linspace(0, 12, frames * 640).sin().square()))


@BOTH
@pytest.mark.parametrize("align", ["conv", "output", "mean", "stride"])
def test_one_row_a_frame_however_long_the_sound(name, align):
    encoder = build(name, align=align).eval()
    for samples, frames in [(640, 1), (1279, 1), (640 * 30, 30), (640 * 31 + 5, 31)]:
        assert encoder(Speech(torch.randn(2, samples))).values.shape == (2, frames, 24)


@BOTH
def test_features_vary_over_time(name):
    values = build(name).eval()(noise(50)).values
    assert values.std(1).mean() > 0.05


@BOTH
def test_training_without_dropout_says_what_inference_says(name):
    encoder = build(name, dropout=0.0)
    training = encoder.train()(noise(20)).values
    torch.testing.assert_close(training, encoder.eval()(noise(20)).values)


@BOTH
def test_dropout_acts_in_training_only(name):
    encoder = build(name)
    assert not torch.equal(encoder.train()(noise(5)).values, encoder(noise(5)).values)
    assert torch.equal(encoder.eval()(noise(5)).values, encoder(noise(5)).values)


def test_it_is_transformers_own_model_but_for_the_clock():
    encoder = build(align="stride").eval()
    speech = noise(20)
    wave = (speech.wave - speech.wave.mean()) / speech.wave.var(correction=0).sqrt()
    with torch.no_grad():
        rows = encoder.model(wave).last_hidden_state
    assert rows.shape[1] == 39
    torch.testing.assert_close(encoder(speech).values, rows[:, ::2], atol=1e-4, rtol=1e-4)


def test_each_alignment_is_what_its_name_says():
    speech = noise(20)
    rows = build("hubert", align="stride").eval()
    with torch.no_grad():
        conv = rows._convolve((speech.wave - speech.wave.mean()) / speech.wave.std(), None)
        full = rows.model.encoder(rows.model.feature_projection(conv)).last_hidden_state
    near = {"atol": 1e-3, "rtol": 1e-3}
    torch.testing.assert_close(rows(speech).values, full[:, ::2], **near)
    torch.testing.assert_close(build("hubert", align="output").eval()(speech).values, full[:, ::2], **near)
    mean = build("hubert", align="mean").eval()(speech).values
    torch.testing.assert_close(mean[:, :-1], (full[:, :-1:2] + full[:, 1::2]) / 2, **near)
    half = rows.model.encoder(rows.model.feature_projection(conv[:, ::2])).last_hidden_state
    torch.testing.assert_close(build("hubert", align="conv").eval()(speech).values, half, **near)


@BOTH
def test_only_the_transformer_learns(name):
    encoder = build(name).train()
    encoder(noise(10)).values.square().sum().backward()
    for parameter_name, parameter in encoder.named_parameters():
        convolution = "feature_extractor" in parameter_name
        assert parameter.requires_grad is not convolution
        assert (parameter.grad is None) is convolution
    assert not encoder.model.feature_extractor.training and encoder.model.encoder.training
    assert encoder.lr_scale == 0.1


def test_a_frozen_encoder_stays_in_evaluation_and_keeps_no_graph():
    encoder = build(trainable=False).train()
    assert not encoder.model.training
    assert not encoder(noise(5)).values.requires_grad


@BOTH
def test_chunks_join_to_what_one_pass_says(name):
    """Exactly, up to the convolutions; nearly, through a transformer that sees six seconds around each chunk."""
    speech = noise(500, batch=2)
    whole, chunked = build(name, chunk=0.0).eval(), build(name, chunk=4.0, overlap=6.0).eval()
    with torch.inference_mode():
        a, b = whole(speech).values, chunked(speech).values
    assert a.shape == b.shape
    assert (a - b).abs().mean() < 0.02 * a.std()
    pieces = [piece.values.shape[1] for piece in chunked.stream(speech)]
    assert pieces == [100] * 5


def test_the_convolutions_do_not_feel_where_a_chunk_ends():
    encoder = build(chunk=0.0).eval()
    wave = noise(60).wave
    whole = encoder._convolve(wave, None)
    moments = encoder._norm_statistics(wave, 25)
    part = encoder._convolve(wave[:, 20 * 640 : 40 * 640 + 80], moments)
    torch.testing.assert_close(part, whole[:, 40:80], atol=1e-4, rtol=1e-4)


def test_spec_augment_hides_rows_in_training_only():
    encoder = build(spec_augment=True, dropout=0.0)
    plain = encoder.eval()(noise(100)).values
    torch.manual_seed(1)
    hidden = encoder.train()(noise(100)).values
    assert not torch.allclose(plain, hidden, atol=1e-3)
    torch.manual_seed(1)
    torch.testing.assert_close(encoder(noise(100)).values, hidden)  # drawn from torch's seed


@BOTH
def test_what_hides_rows_learns_only_where_rows_are_hidden(name):
    """Some checkpoints bring it, and a weight that nothing asks for has no gradient."""
    architecture = build(name).checkpoint_options["architecture"] | {"mask_feature_prob": 0.1}
    for hides in (False, True):
        encoder = build(name, weights="checkpoint", architecture=architecture, spec_augment=hides)
        assert encoder.model.masked_spec_embed.requires_grad is hides


def test_random_weights_are_said_aloud(caplog):
    with caplog.at_level(logging.WARNING):
        build()
    assert "random weights" in caplog.text


@BOTH
def test_a_local_folder_gives_the_same_features(name, tmp_path):
    encoder = build(name).eval()
    encoder.model.save_pretrained(tmp_path)
    again = AUDIO.build({"name": name, "weights": str(tmp_path)}).eval()
    assert again.dim == 24
    torch.testing.assert_close(again(noise(10)).values, encoder(noise(10)).values)


def test_missing_weights_are_an_error_that_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for weights in ("facebook/wav2vec2-nowhere", str(tmp_path / "nothing")):
        with pytest.raises(VisemixError, match="weights=random") as error:
            AUDIO.build({"name": "wav2vec2", "weights": weights})
        assert weights in str(error.value) and "\n" not in str(error.value)


def test_a_model_with_another_clock_is_refused(tmp_path):
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, conv_dim=[16] * 7, conv_stride=[5, 2, 2, 2, 2, 2, 1]
    )
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(VisemixError, match="160 samples"):
        AUDIO.build({"name": "wav2vec2", "weights": str(tmp_path)})


def test_real_speech_moves_the_features(assets):
    import soundfile

    wave, rate = soundfile.read(assets / "speech/RD_Radio31_000.wav", stop=16_000 * 4, dtype="float32")
    assert rate == 16_000
    values = build().eval()(Speech(torch.from_numpy(wave.mean(1))[None])).values
    assert values.shape[1] == 100 and values.std(1).mean() > 0.05


def test_both_halves_of_a_frame_lie_side_by_side():
    """Their mean and their first are what `mean` and `stride` give."""
    both, mean, first = (build("hubert", align=align).eval() for align in ("both", "mean", "stride"))
    values = both(noise(30)).values
    assert both.dim == 48 and values.shape == (1, 30, 48)
    halves = values.unflatten(-1, (2, 24))
    torch.testing.assert_close(halves.mean(2), mean(noise(30)).values)
    torch.testing.assert_close(halves[:, :, 0], first(noise(30)).values)
    assert not torch.equal(halves[:, :-1, 0], halves[:, :-1, 1])
