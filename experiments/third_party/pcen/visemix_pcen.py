"""An audio encoder with a stream of its own, in one file: it carries on from one piece of sound to the next.

    plugins: [./visemix_pcen.py]                 # in an experiment, where it is not installed
    use: {…, audio: pcen}

A video frame is 640 samples (`types.SAMPLES_PER_FRAME`), and an encoder answers with one row for each.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from visemix.audio import AUDIO, AudioEncoder
from visemix.ops.audio import ROWS_PER_FRAME, log_mel
from visemix.types import AudioFeatures, Speech


@AUDIO.register("pcen")
class Pcen(AudioEncoder):
    """Per-channel energy normalisation of a mel spectrum (Wang et al. 2017): a loud and a soft voice look alike.

    Each of `bands` energies is divided by a running mean of itself, which moves by `pace` of the way every 10 ms, to
    the power of a learnt `gain`, and its root of a learnt degree is taken. A row is a frame's four spectra. It hears
    nothing that comes later than half a spectrum (12.5 ms), and goes through live sound `block` frames at a time.
    """

    context = (1, 1)  # the first and the last spectrum of a stretch reach a little beyond it

    def __init__(self, *, bands: int = 40, pace: float = 0.04, block: int = 50) -> None:
        super().__init__()
        self.bands, self.pace, self.block, self.dim = bands, pace, block, ROWS_PER_FRAME * bands
        self.gain = nn.Parameter(torch.full((bands,), 0.98))
        self.bias = nn.Parameter(torch.full((bands,), 2.0))
        self.root = nn.Parameter(torch.full((bands,), 0.5))

    def forward(self, speech: Speech) -> AudioFeatures:
        return self._heard(speech, None)[0]

    def stream(self, speech: Speech) -> Iterator[AudioFeatures]:
        """What `forward` answers, `block` frames at a time; all it keeps of what was is a number for each band."""
        mean = None
        for start in range(0, speech.frames, self.block):
            piece = speech.part(start, min(start + self.block, speech.frames), 1, 1)
            features, mean = self._heard(piece, mean)
            yield features

    def _heard(self, speech: Speech, mean: Tensor | None) -> tuple[AudioFeatures, Tensor]:
        """Features, and the running mean at their end: from `mean`, or from the first spectrum where nothing was."""
        around = log_mel(speech.around(1, 1), self.bands).exp()
        energy = around[:, ROWS_PER_FRAME:-ROWS_PER_FRAME]
        mean, means = energy[:, 0] if mean is None else mean, []
        for row in energy.unbind(1):
            mean = torch.lerp(mean, row, self.pace)
            means.append(mean)
        louder = energy / (1e-6 + torch.stack(means, 1)) ** self.gain + self.bias
        rows = louder**self.root - self.bias**self.root
        return AudioFeatures(rows.unflatten(1, (-1, ROWS_PER_FRAME)).flatten(2)), mean
