import json
import logging

import numpy as np
import pytest
import torch
import transformers

from visemix.audio import AUDIO
from visemix.pipeline import TalkingFace
from visemix.types import Speech, VisemixError

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONVOLUTIONS = {"conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 4}
WAVES = ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech"]
WHISPER = {
    "d_model": 24, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "vocab_size": 100, "max_source_positions": 100,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
SHORT = {"chunk": 1.0, "overlap": 0.48}  # of Whisper's windows, here two seconds long


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny models of `transformers`, each saved with what prepares its sound."""
    torch.manual_seed(0)
    found = {}
    for family in [*WAVES, "whisper"]:
        found[family] = tmp_path_factory.mktemp(family)
        sizes = WHISPER if family == "whisper" else SIZES | CONVOLUTIONS
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **sizes))
        model.save_pretrained(found[family])
        if family == "whisper":
            prepare = transformers.WhisperFeatureExtractor(chunk_length=2)
        else:  # as released, WavLM's are not normalised
            prepare = transformers.Wav2Vec2FeatureExtractor(do_normalize=family != "wavlm")
        prepare.save_pretrained(found[family])
    return found


def build(folder, **options):
    return AUDIO.build({"name": "ssl", "weights": str(folder)} | options).eval()


def noise(frames, batch=1, seed=0):
    """Sound that is not the same all along: its loudness swells."""
    wave = torch.randn(batch, frames * 640, generator=torch.Generator().manual_seed(seed))
    return Speech(0.3 * wave * (0.1 + torch.linspace(0, 12, frames * 640).sin().square()))


@pytest.mark.parametrize("family", [*WAVES, "whisper"])
def test_any_speech_model_gives_one_row_a_frame_however_long_the_sound(folders, family):
    encoder = build(folders[family], **SHORT)
    for samples, frames in [(640, 1), (1279, 1), (640 * 30, 30), (640 * 81 + 5, 81)]:
        assert encoder(Speech(torch.randn(2, samples))).values.shape == (2, frames, 24)
    assert encoder(noise(50)).values.std(1).mean() > 0.01
    assert not encoder(noise(5)).values.requires_grad  # frozen, unless it is told to learn


@pytest.mark.parametrize("family", WAVES)
def test_a_frame_is_the_mean_of_the_models_own_two_rows(folders, family):
    speech = noise(20)
    model = transformers.AutoModel.from_pretrained(folders[family]).eval()
    prepare = transformers.AutoFeatureExtractor.from_pretrained(folders[family])
    with torch.no_grad():
        rows = model(**prepare(speech.wave[0].numpy(), sampling_rate=16_000, return_tensors="pt")).last_hidden_state
    assert rows.shape[1] == 39
    values = build(folders[family])(speech).values
    torch.testing.assert_close(values[:, :19], (rows[:, :38:2] + rows[:, 1:38:2]) / 2, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(values[:, 19], rows[:, 38], atol=1e-4, rtol=1e-4)


def save_tiny(folder, family, prepare, **sizes):
    config = transformers.AutoConfig.for_model(family, **SIZES, num_conv_pos_embedding_groups=4, **sizes)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    prepare.save_pretrained(folder)
    return folder


def test_a_model_that_hears_filter_banks_gives_one_row_a_frame(tmp_path):
    encoder = build(save_tiny(tmp_path, "wav2vec2-bert", transformers.SeamlessM4TFeatureExtractor()))
    for frames in (1, 2, 31):
        assert encoder(noise(frames, batch=2)).values.shape == (2, frames, 24)


def test_a_model_whose_rows_are_not_two_a_frame_is_refused(tmp_path):
    waves = transformers.Wav2Vec2FeatureExtractor()
    adapted = {"add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 24, "conv_dim": [16] * 7}
    halved = build(save_tiny(tmp_path / "halved", "wav2vec2", waves, **adapted))
    with pytest.raises(VisemixError, match=r"\(wav2vec2\) answers with 31 rows for 31 frames"):
        halved(noise(31))
    with pytest.raises(VisemixError, match=r"\(sew\) hears rows in groups"):
        build(save_tiny(tmp_path / "sew", "sew", waves, conv_dim=[16] * 13))


def test_whispers_encoder_hears_its_own_log_mel_and_the_rows_of_the_filling_are_dropped(folders):
    speech = noise(20)
    model = transformers.WhisperModel.from_pretrained(folders["whisper"]).encoder.eval()
    prepare = transformers.WhisperFeatureExtractor.from_pretrained(folders["whisper"])
    filled = np.pad(speech.wave[0].numpy(), (0, 32_000 - 20 * 640))
    with torch.no_grad():
        rows = model(prepare(filled, sampling_rate=16_000, return_tensors="pt")["input_features"]).last_hidden_state
    assert rows.shape == (1, 100, 24)
    values = build(folders["whisper"], **SHORT, align="both")(speech).values.unflatten(-1, (2, 24))
    torch.testing.assert_close(values[:, :, 0], rows[:, :40:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values[:, :, 1], rows[:, 1:40:2], atol=1e-5, rtol=1e-5)


def test_a_chunk_of_whispers_is_the_middle_of_a_window(folders):
    speech, encoder = noise(70), build(folders["whisper"], **SHORT)
    pieces = [piece.values for piece in encoder.stream(speech)]
    assert [piece.shape[1] for piece in pieces] == [25, 25, 20]
    window = encoder(Speech(speech.wave[:, 13 * 640 : 62 * 640]))  # 12 frames around the second chunk
    alone = build(folders["whisper"], chunk=1.96, overlap=0.0)(Speech(speech.wave[:, 13 * 640 : 62 * 640])).values
    assert window.values.shape[1] == alone.shape[1] == 49
    torch.testing.assert_close(pieces[1], alone[:, 12:37], atol=1e-5, rtol=1e-5)


def test_whispers_scale_is_set_in_each_window_by_its_loudest_moment(folders):
    encoder, speech = build(folders["whisper"], **SHORT), noise(70)
    louder = Speech(torch.cat([speech.wave[:, : 60 * 640], 20 * speech.wave[:, 60 * 640 :]], 1))
    first, changed = encoder(speech).values, encoder(louder).values
    assert torch.equal(first[:, :25], changed[:, :25]) and not torch.equal(first[:, 25:50], changed[:, 25:50])


@pytest.mark.parametrize("options", [{}, {"chunk": 2.0, "overlap": 0.04}, {"chunk": 0.0, "overlap": 0.0}])
def test_windows_that_whisper_cannot_hear_are_refused(folders, options):
    with pytest.raises(VisemixError, match=r"hears 2 s at a time; audio\.chunk="):
        build(folders["whisper"], **options)


@pytest.mark.parametrize(("family", "part"), [("wav2vec2", "wav2vec2"), ("hubert", "hubert")])
def test_it_says_what_the_part_of_that_name_says(folders, family, part):
    own = AUDIO.build({"name": part, "weights": str(folders[family]), "align": "mean"}).eval()
    torch.testing.assert_close(build(folders[family])(noise(20)).values, own(noise(20)).values, atol=1e-4, rtol=1e-4)


def test_loudness_is_levelled_only_where_the_models_own_files_ask_for_it(folders):
    quiet = Speech(0.1 * noise(20).wave)
    for family, same in (("unispeech", True), ("wavlm", False)):
        encoder = build(folders[family])
        assert torch.allclose(encoder(quiet).values, encoder(noise(20)).values, atol=1e-3) is same


def test_chunks_of_samples_join_to_what_one_pass_says(folders):
    """Nearly: through convolutions without a norm over time, and a transformer that sees two seconds around."""
    whole, chunked = (
        build(folders["data2vec-audio"], chunk=0.0),
        build(folders["data2vec-audio"], chunk=4.0, overlap=2.0),
    )
    a, b = whole(noise(250)).values, chunked(noise(250)).values
    assert (a - b).abs().mean() < 0.05 * a.std()
    assert [piece.values.shape[1] for piece in chunked.stream(noise(250))] == [100, 100, 50]


@pytest.mark.parametrize("family", ["wavlm", "whisper"])
def test_it_learns_where_it_is_told_to_and_draws_nothing_of_its_own(folders, family):
    encoder = build(folders[family], trainable=True, **SHORT).train()
    values = encoder(noise(20)).values
    values.square().sum().backward()
    learnt = {name for name, one in encoder.named_parameters() if one.grad is not None}
    assert learnt and learnt == {name for name, one in encoder.named_parameters() if one.requires_grad}
    assert not any("feature_extractor" in name or "embed_positions" in name for name in learnt)
    encoder.model.eval()
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(encoder(noise(20)).values, encoder(noise(20)).values)
    encoder.train()(noise(60))
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002 – SpecAugment's draws are NumPy's


@pytest.mark.parametrize("family", ["wavlm", "whisper"])
def test_a_checkpoint_brings_the_model_back_without_its_folder(folders, family, tmp_path):
    parts = {"face": {"name": "toy"}, "motion": {"name": "regression"}, "render": {"name": "mesh"}}
    audio = {"name": "ssl", "weights": str(folders[family])} | SHORT
    model = TalkingFace.from_config(parts | {"audio": audio}).eval()
    model.save(tmp_path / "model.safetensors")
    again = TalkingFace.from_checkpoint(tmp_path / "model.safetensors")
    assert str(folders[family]) not in json.dumps(again.config)
    torch.testing.assert_close(again.audio(noise(30)).values, model.audio(noise(30)).values)


def test_random_weights_of_any_family_are_said_aloud(caplog):
    with caplog.at_level(logging.WARNING):
        tiny = {"weights": "random", "dim": 16, "layers": 1, "heads": 2, "conv_dim": 8}
        for family in ("wavlm", "whisper"):
            encoder = AUDIO.build({"name": "ssl", "family": family} | tiny).eval()
            assert encoder(noise(3)).values.shape == (1, 3, 16)
            assert f"{family} starts from random weights" in caplog.text
    with pytest.raises(VisemixError, match=r"audio\.family=wavelm"):
        AUDIO.build({"name": "ssl", "family": "wavelm"} | tiny)


def test_what_is_not_there_is_named_with_the_way_out(monkeypatch, tmp_path, folders):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for weights in ("microsoft/wavlm-nowhere", str(tmp_path / "nothing")):
        with pytest.raises(VisemixError, match="weights=random") as error:
            build(weights)
        assert weights in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(VisemixError, match=r"say audio\.weights=microsoft/wavlm-base-plus"):
        AUDIO.build({"name": "ssl"})
    transformers.AutoModel.from_pretrained(folders["wavlm"]).save_pretrained(tmp_path / "bare")
    with pytest.raises(VisemixError, match=r"its preprocessor_config\.json too"):
        build(tmp_path / "bare")


def test_a_model_with_another_clock_is_refused(tmp_path):
    sizes = SIZES | CONVOLUTIONS | {"conv_stride": [5, 2, 2, 2, 2, 2, 1]}
    transformers.WavLMModel(transformers.WavLMConfig(**sizes)).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(VisemixError, match="every 160 samples"):
        build(tmp_path)
    transformers.WavLMModel(transformers.WavLMConfig(**SIZES, **CONVOLUTIONS)).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(VisemixError, match="of 8000 a second"):
        build(tmp_path)
