import math

import torch

from visemix.ops.audio import log_mel, normalise


def test_normalising_centres_every_row_over_its_whole_length():
    wave = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[3.0], [0.1]]) + 0.5
    out = normalise(wave)
    torch.testing.assert_close(out.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(1, correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_silence_stays_silence():
    assert normalise(torch.zeros(1, 640)).abs().max() == 0


def test_mel_has_four_rows_to_a_frame_and_drops_a_part_frame():
    assert log_mel(torch.zeros(2, 640 * 5 + 639)).shape == (2, 20, 80)


def test_a_tone_lights_the_band_it_lies_in():
    time = torch.arange(6400) / 16_000
    loudest = [log_mel(torch.sin(6.2832 * hertz * time)[None])[0, 20].argmax().item() for hertz in (200, 1000, 4000)]
    assert loudest == [4, 26, 62]  # slaney's scale: 3, 15 and 35.2 mel of the 45.2 that 81 steps share


def test_a_click_is_heard_in_the_row_it_is_centred_on():
    wave = torch.zeros(1, 640 * 4)
    wave[0, 160 * 9 + 80] = 1.0
    assert log_mel(wave)[0].sum(1).argmax() == 9


def test_a_band_is_a_triangle_of_slaneys_scale_whose_area_is_one():
    """Of a click in the middle of a window all frequencies are equally strong. Below 1000 Hz a mel is 200 / 3 Hz, above
    there are 27 to a factor of 6.4; a triangle is 2 / its width in Hz high."""

    def hertz(mel):
        return 200 / 3 * mel if mel < 15 else 1000 * math.exp(math.log(6.4) / 27 * (mel - 15))

    wave, bands = torch.zeros(1, 640 * 4), 26
    wave[0, 160 * 9 + 80] = 1.0
    top = 15 + 27 * math.log(8) / math.log(6.4)
    edges = [hertz(k * top / (bands + 1)) for k in range(bands + 2)]
    bins = torch.arange(201) * 40.0
    wanted = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        triangle = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clamp(min=0)
        wanted.append(math.log(2 / (high - low) * triangle.sum()))
    torch.testing.assert_close(log_mel(wave, bands)[0, 9], torch.tensor(wanted), atol=1e-3, rtol=0)
