import pytest
import torch

from visemix.audio import AUDIO
from visemix.types import Speech

TINY = {"weights": "random", "dim": 24, "layers": 1, "heads": 2, "conv_dim": 16}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return AUDIO.build({"name": "ctc"} | TINY)


def noise(frames):
    return Speech(torch.randn(2, frames * 640, generator=torch.Generator().manual_seed(0)))


def test_a_row_is_a_mean_of_two_rows_of_log_probabilities(encoder):
    speech = noise(12)
    wave = (speech.wave - speech.wave.mean(1, keepdim=True)) / speech.wave.std(1, correction=0, keepdim=True)
    with torch.no_grad():
        rows = encoder.recogniser(torch.nn.functional.pad(wave, (0, 80))).logits.log_softmax(-1)
    assert rows.shape == (2, 24, 29) and encoder.dim == 29
    values = encoder(speech).values
    torch.testing.assert_close(values, (rows[:, ::2] + rows[:, 1::2]) / 2, atol=1e-4, rtol=1e-4)


def test_it_never_learns_and_never_drops_out(encoder):
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert torch.equal(encoder.train()(noise(5)).values, encoder.eval()(noise(5)).values)


def test_a_recogniser_from_a_folder_brings_its_own_alphabet(encoder, tmp_path):
    torch.manual_seed(1)
    other = AUDIO.build({"name": "ctc"} | TINY | {"characters": 32, "family": "Hubert"})
    other.recogniser.save_pretrained(tmp_path)
    again = AUDIO.build({"name": "ctc", "weights": str(tmp_path), "family": "Hubert"})
    assert again.dim == 32
    torch.testing.assert_close(again(noise(5)).values, other(noise(5)).values)
