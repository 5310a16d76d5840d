import pytest
import torch

from visemix.audio import AUDIO
from visemix.types import Speech, VisemixError

BASE = {
    "name": "hubert", "weights": "random", "trainable": False, "dim": 24, "layers": 1, "heads": 2, "conv_dim": 8
}  # fmt: skip


def build(folder, seed=0, **options):
    torch.manual_seed(seed)
    return AUDIO.build({"name": "cached", "base": BASE, "folder": str(folder)} | options)


def noise(batch=2, frames=5, seed=0):
    return Speech(torch.randn(batch, frames * 640, generator=torch.Generator().manual_seed(seed)))


def test_the_second_time_the_base_is_not_asked(tmp_path, monkeypatch):
    encoder = build(tmp_path).train()
    first = encoder(noise()).values
    assert first.shape == (2, 5, encoder.dim)
    monkeypatch.setattr(encoder.base, "forward", lambda speech: pytest.fail("asked again"))
    torch.testing.assert_close(encoder(noise()).values, first, atol=0, rtol=0)
    torch.testing.assert_close(encoder(Speech(noise().wave[1:])).values, first[1:], atol=0, rtol=0)


def test_it_says_what_its_base_says(tmp_path):
    encoder = build(tmp_path)
    torch.testing.assert_close(encoder(noise()).values, encoder.base(noise()).values, atol=1e-5, rtol=1e-5)


def test_other_sound_other_weights_and_other_options_are_other_entries(tmp_path):
    build(tmp_path)(noise())
    assert len(list(tmp_path.iterdir())) == 2
    build(tmp_path)(noise(seed=1))
    assert len(list(tmp_path.iterdir())) == 4
    build(tmp_path, seed=1)(noise())
    assert len(list(tmp_path.iterdir())) == 6
    build(tmp_path, base=BASE | {"align": "stride"})(noise())
    assert len(list(tmp_path.iterdir())) == 8


def test_a_torn_entry_is_made_anew(tmp_path):
    encoder = build(tmp_path)
    first = encoder(noise(batch=1)).values
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(b"half")
    torch.testing.assert_close(encoder(noise(batch=1)).values, first)


def test_the_folder_stays_within_its_limit(tmp_path):
    encoder = build(tmp_path, limit=5e-6)  # five kilobytes, about nine entries
    for seed in range(30):
        encoder(noise(batch=1, seed=seed))
    assert 2 < len(list(tmp_path.iterdir())) < 10


def test_an_encoder_that_learns_is_refused(tmp_path):
    for base in ({"name": "mel"}, BASE | {"trainable": True}):
        with pytest.raises(VisemixError, match="cannot be cached"):
            build(tmp_path, base=base)


def test_what_the_base_hears_around_the_sound_makes_another_entry(tmp_path):
    encoder = build(tmp_path)
    encoder.context = encoder.base.context = (2, 1)  # a base that listens further than the sound it is asked for
    whole = noise(batch=1, frames=12)
    encoder(whole.part(4, 8, 2, 1))
    encoder(whole.part(4, 8, 3, 3))  # more is known, but not heard
    assert len(list(tmp_path.iterdir())) == 1
    encoder(whole.part(4, 8))
    encoder(whole.part(4, 8, 2, 0))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_written_to_is_said_once_and_done_without(tmp_path, caplog):
    (tmp_path / "taken").write_text("a file")
    encoder = build(tmp_path / "taken")
    for seed in (0, 1):
        torch.testing.assert_close(
            encoder(noise(seed=seed)).values, encoder.base(noise(seed=seed)).values, atol=1e-5, rtol=1e-5
        )
    assert caplog.text.count("features are not kept") == 1
