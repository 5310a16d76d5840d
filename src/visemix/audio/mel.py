"""Log-mel spectrum as audio features: no pretrained weights."""

from __future__ import annotations

from torch import nn

from visemix.audio.base import AUDIO, AudioEncoder
from visemix.ops.audio import ROWS_PER_FRAME, log_mel
from visemix.options import Count, Natural
from visemix.types import AudioFeatures, Speech

MEAN, STD = (
    -4.0,
    3.0,
)  # of log-mel values over ordinary speech: fixed, so that a window is not its own scale


@AUDIO.register("mel")
class Mel(AudioEncoder):
    """Log-mel spectrum at 100 rows a second, four to a video frame, and two convolutions over the frames around it.

    A row sees `reach` frames to either side and 7.5 ms more: 367 ms with the default of 4. Shifting the sound by whole
    frames shifts the rows, whatever surrounds them; there is no statistic over the recording.

    Args:
        learned: False leaves the convolutions out: a row is the frame's spectrum, four rows of `bands` side by side.
        dim: features per frame, where they are learned.
        bands: mel bands, 0 to 8 kHz.
        reach: frames to either side that a row sees; even, for the two convolutions share it.
    """

    def __init__(self, *, learned: bool = True, dim: Count = 128, bands: Count = 80, reach: Natural = 4) -> None:
        super().__init__()
        self.dim, self.bands = dim if learned else ROWS_PER_FRAME * bands, bands
        width = 2 * (reach // 2) + 1
        layers = (
            nn.Conv1d(ROWS_PER_FRAME * bands, dim, width, padding=width // 2),
            nn.GELU(),
            nn.Conv1d(dim, dim, width, padding=width // 2),
        )
        self.layers = nn.Sequential(*(layers if learned else ()))

    def forward(self, speech: Speech) -> AudioFeatures:
        """Log-mel rows, normalised by a fixed mean and spread, then convolved where that is learned: (B, T, `dim`)."""
        mel = (log_mel(speech.wave, self.bands) - MEAN) / STD
        frames = mel.unflatten(1, (-1, ROWS_PER_FRAME)).flatten(2)  # (B, T, 4 × bands)
        return AudioFeatures(self.layers(frames.mT).mT)
