import pytest
import torch

from visemix.audio import AUDIO
from visemix.audio.base import stream_features
from visemix.types import Speech, VisemixError

PARTS = {"mel": {"dim": 6}, "bands": {"name": "mel", "learned": False, "bands": 10}}


def noise(frames, batch=1):
    return Speech(torch.randn(batch, frames * 640, generator=torch.Generator().manual_seed(0)) * 0.1)


def build(parts=PARTS, **options):
    torch.manual_seed(0)
    return AUDIO.build({"name": "concat", "parts": parts} | options).eval()


def test_features_stand_side_by_side_in_the_order_of_their_keys():
    encoder = build()
    assert encoder.dim == 46
    values = encoder(noise(9, batch=2)).values
    torch.testing.assert_close(values[..., :40], encoder.parts["bands"](noise(9, batch=2)).values)
    torch.testing.assert_close(values[..., 40:], encoder.parts["mel"](noise(9, batch=2)).values)
    torch.testing.assert_close(build(dict(reversed(PARTS.items())))(noise(9, batch=2)).values, values)


def test_null_leaves_a_part_out():
    assert build(PARTS | {"bands": None}).dim == 6
    with pytest.raises(VisemixError, match=r"name encoders under audio\.parts"):
        build({"mel": None})


def test_the_options_of_a_part_are_checked():
    with pytest.raises(VisemixError, match="no option 'reech'; did you mean 'reach'"):
        build({"mel": {"reech": 2}})
    with pytest.raises(VisemixError, match="no audio encoder named 'mell'; did you mean 'mel'"):
        build({"mell": {}})


def test_parts_that_stream_in_pieces_of_their_own_are_joined(monkeypatch):
    monkeypatch.setattr("visemix.audio.base.BLOCK_FRAMES", 7)
    monkeypatch.setattr("visemix.audio.concat.BLOCK_FRAMES", 10)
    encoder, speech = build(), noise(45)
    streamed = torch.cat([piece.values for piece in stream_features(encoder, speech)], 1)
    torch.testing.assert_close(streamed, encoder(speech).values, atol=1e-5, rtol=1e-5)


def test_it_can_be_cached_where_nothing_in_it_learns(tmp_path):
    frozen = {"name": "concat", "parts": {"mel": {"learned": False}}}
    encoder = AUDIO.build({"name": "cached", "base": frozen, "folder": str(tmp_path)})
    torch.testing.assert_close(encoder(noise(4)).values, encoder.base(noise(4)).values)
    with pytest.raises(VisemixError, match="'concat' learns, so it cannot be cached"):
        AUDIO.build({"name": "cached", "base": {"name": "concat", "parts": PARTS}})
