"""Waveforms to features: pure functions, 16 kHz mono in, nothing learnt."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visemix.types import SAMPLE_RATE, SAMPLES_PER_FRAME

HOP = 160  # samples between two mel rows: 100 Hz
WINDOW = 400  # samples under one mel row: 25 ms
ROWS_PER_FRAME = SAMPLES_PER_FRAME // HOP


def normalise(wave: Float[Tensor, "B S"]) -> Float[Tensor, "B S"]:
    """Zero mean and unit variance over each row's whole length, as wav2vec2 and HuBERT were trained on.

    >>> normalise(torch.tensor([[1.0, 3.0]]))
    tensor([[-1.,  1.]])
    """
    centred = wave - wave.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-7).sqrt()


@functools.lru_cache(maxsize=4)
def _filters(bands: int) -> Tensor:
    from transformers.audio_utils import mel_filter_bank

    return torch.from_numpy(
        mel_filter_bank(WINDOW // 2 + 1, bands, 0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    ).float()


def log_mel(wave: Float[Tensor, "B S"], bands: int = 80) -> Float[Tensor, "B R {bands}"]:
    """Natural logarithm of the mel spectrum's magnitudes, four rows to a video frame.

    Row r is a 25 ms Hann window centred on sample 160 r + 80, so rows 4 t … 4 t + 3 lie evenly within the 640 samples
    of frame t; beyond the ends there is silence. A trailing part-frame of the wave is dropped.
    """
    rows = wave.shape[1] // SAMPLES_PER_FRAME * ROWS_PER_FRAME
    margin = (WINDOW - HOP) // 2
    padded = F.pad(wave[:, : rows * HOP], (margin, margin))
    hann = torch.hann_window(WINDOW, device=wave.device, dtype=wave.dtype)
    spectrum = torch.stft(padded, WINDOW, HOP, window=hann, center=False, return_complex=True).abs()
    return (spectrum.mT @ _filters(bands).to(wave)).clamp(min=1e-5).log()
