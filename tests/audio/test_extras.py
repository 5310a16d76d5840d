"""Encoders whose models come in other packages: what they hear where these are installed, what they say where not."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from visemix.audio import AUDIO, stream_features
from visemix.ops import extras
from visemix.types import Speech, VisemixError

PACKAGES = {"moonshine": ("moonshine_voice", "onnxruntime"), "phonemes": ("hama",)}
SAMPLES = 40 * 640
TIME = torch.arange(SAMPLES) / 16_000


def gen():
    return torch.Generator().manual_seed(0)


def built(name):
    if any(find_spec(package) is None for package in PACKAGES[name]):
        pytest.skip(f"{name} needs visemix[speech]")
    return AUDIO.build({"name": name})


def voice(pitch=120.0, level=0.1):
    """Something like a vowel that comes and goes three times a second."""
    harmonics = sum(torch.sin(2 * torch.pi * pitch * k * TIME) / k for k in range(1, 20))
    return (level * harmonics * (0.5 + 0.5 * torch.sin(2 * torch.pi * 3 * TIME))).unsqueeze(0)


ODD = {
    "silence": torch.zeros(1, SAMPLES),
    "noise": torch.randn(1, SAMPLES, generator=gen()),
    "whisper": 0.003 * torch.randn(1, SAMPLES, generator=gen()),
    "music": 0.2 * sum(torch.sin(2 * torch.pi * f * TIME) for f in (220.0, 277.2, 329.6)).unsqueeze(0),
    "telephone": torch.nn.functional.interpolate(voice()[None, :, ::2], SAMPLES, mode="linear")[0],
    "clipping": (50 * voice()).clamp(-1, 1),
    "far too loud": 1e4 * voice(),
    "a tenth of a second": voice()[:, :1600],
    "a single frame": voice()[:, :640],
}


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("kind", ODD)
def test_odd_sound_gives_numbers(name, kind):
    speech = Speech(ODD[kind])
    values = built(name)(speech).values
    assert values.shape[:2] == (1, speech.frames) and values.isfinite().all()


@pytest.mark.parametrize("name", PACKAGES)
def test_ten_minutes_are_heard_in_pieces_of_twenty_seconds(name, monkeypatch):
    encoder = built(name)
    quick = np.zeros((60, encoder.dim), np.float32)
    lengths = []
    monkeypatch.setattr(encoder, "encode", lambda wave: lengths.append(len(wave)) or quick)
    pieces = [piece.values.shape[1] for piece in stream_features(encoder, Speech(torch.zeros(1, 600 * 16_000)))]
    assert sum(pieces) == 15_000 and max(pieces) <= 500
    assert max(lengths) <= 30 * 16_000  # what the recogniser of `phonemes` hears at most


def test_moonshine_knows_a_louder_voice_for_the_same():
    encoder = built("moonshine")
    quiet, loud = (encoder(Speech(voice(level=level))).values.flatten() for level in (0.03, 0.3))
    other = encoder(Speech(ODD["noise"])).values.flatten()
    assert torch.cosine_similarity(quiet, loud, 0) > 0.97 > torch.cosine_similarity(quiet, other, 0) + 0.05


def test_phonemes_are_probabilities():
    values = built("phonemes")(Speech(voice())).values
    assert values.shape == (1, 40, 190) and values.min() >= 0
    torch.testing.assert_close(values.sum(2), torch.ones(1, 40))


def test_phonemes_of_more_than_thirty_seconds_at_once_are_refused():
    with pytest.raises(VisemixError, match="hears 750 frames at a time, not chunk=700"):
        AUDIO.build({"name": "phonemes", "chunk": 700, "look_back": 50})


@pytest.mark.parametrize(("name", "package"), [("moonshine", "moonshine-voice"), ("phonemes", "hama")])
def test_a_missing_package_is_named_with_the_way_to_get_it(name, package, monkeypatch):
    real = find_spec
    monkeypatch.setattr(
        extras, "find_spec", lambda asked: None if asked == package.replace("-", "_") else real("visemix")
    )
    with pytest.raises(
        extras.NotInstalled, match=rf"audio '{name}' needs .*'{package}'.*pip install 'visemix\[speech\]'"
    ):
        AUDIO.build({"name": name})


def test_a_package_without_the_model_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("visemix.audio.moonshine.folder_of", lambda *_: tmp_path)
    with pytest.raises(VisemixError, match=r"needs encoder_model\.ort of moonshine-voice 0\.0\.49"):
        AUDIO.build({"name": "moonshine"})
