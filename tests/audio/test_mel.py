import torch

from visemix.audio import AUDIO
from visemix.types import Speech


def noise(frames, batch=1, seed=0):
    return torch.randn(batch, frames * 640, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_one_row_a_frame_and_a_part_frame_is_dropped():
    encoder = AUDIO.build({"name": "mel", "dim": 16})
    for samples, frames in [(640, 1), (640 * 7 + 639, 7)]:
        assert encoder(Speech(torch.zeros(2, samples))).values.shape == (2, frames, 16)


def test_sound_shifted_by_a_frame_shifts_the_features():
    encoder = AUDIO.build({"name": "mel"}).eval()
    wave = noise(30)
    ours, later = encoder(Speech(wave)).values, encoder(Speech(wave[:, 640:])).values
    torch.testing.assert_close(ours[:, 6:-6], later[:, 5:-6])


def test_a_row_sees_four_frames_to_either_side_and_no_more():
    encoder = AUDIO.build({"name": "mel"}).eval()
    wave = noise(20)
    changed = wave.clone()
    changed[:, 10 * 640 : 11 * 640] += 0.5 * noise(1, seed=1)
    moved = (encoder(Speech(wave)).values - encoder(Speech(changed)).values).abs().amax(2)[0] > 1e-6
    assert moved[6:15].all() and not moved[:5].any() and not moved[16:].any()


def test_without_learning_a_row_is_the_frames_spectrum():
    from visemix.ops.audio import log_mel

    encoder = AUDIO.build({"name": "mel", "learned": False})
    wave = noise(5)
    assert encoder.dim == 320 and not list(encoder.parameters())
    expected = (log_mel(wave)[0, 8:12].flatten() + 4.0) / 3.0
    torch.testing.assert_close(encoder(Speech(wave)).values[0, 2], expected)
