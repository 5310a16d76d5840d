"""The base class of encoders whose model would attend to a whole recording, run over fixed windows instead."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visemix.audio.base import AudioEncoder
from visemix.types import SAMPLES_PER_FRAME, AudioFeatures, Speech, VisemixError


class WindowedEncoder(AudioEncoder):
    """Encoder around a frozen model of another runtime, run over windows of fixed length: `look_back` frames before,
    `chunk` frames that the features are of, `look_ahead` frames after. In training, in one pass and in a stream a
    feature row hears the same window.

    What lies beyond the sound is silence. Rows are interpolated at the middle of each video frame.

    `digest` is the sha256 of the model's file: it goes into checkpoints, so that a motion model never hears another one
    than it was trained with.

    Raises:
        VisemixError: a window that cannot be: `chunk` below 1, `look_back` or `look_ahead` below 0.
    """

    hop: ClassVar[float]  # samples from one of the model's rows to the next
    centre: ClassVar[float]  # the sample in the middle of what the convolutions of its row 0 see
    digest: Tensor

    def __init__(self, chunk: int, look_back: int, look_ahead: int, dim: int, digest: str) -> None:
        super().__init__()
        if chunk < 1 or look_back < 0 or look_ahead < 0:
            raise VisemixError(
                f"audio.chunk={chunk} must be 1 frame or more, audio.look_back={look_back} and "
                f"audio.look_ahead={look_ahead} 0 or more"
            )
        self.chunk, self.dim, self.step = chunk, dim, chunk
        self.look_back, self.look_ahead = look_back, look_ahead
        self.context = look_back, look_ahead + chunk - 1
        self._expected_digest = digest
        self.register_buffer("digest", torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8))

    @abstractmethod
    def encode(self, wave: Float[np.ndarray, " S"]) -> Float[np.ndarray, "R C"]:
        """The model's own rows for a 16 kHz waveform."""

    @torch.no_grad()
    def forward(self, speech: Speech) -> AudioFeatures:
        """Features at the middle of each frame, each chunk's from a window of its own; without gradients.

        Raises:
            VisemixError: its weights were stored with another version of the model's file.
        """
        if bytes(self.digest.tolist()).hex() != self._expected_digest:
            raise VisemixError(
                f"this was trained with another version of the '{type(self).__name__.lower()}' model than is "
                "installed; install the version that visemix[speech] names, or train it again"
            )
        frames = speech.frames
        waves = speech.around(*self.context).float().cpu().numpy()  # type: ignore[misc]
        length = (self.look_back + self.chunk + self.look_ahead) * SAMPLES_PER_FRAME
        values = np.zeros((len(waves), frames, self.dim), np.float32)
        for row, wave in zip(values, waves, strict=True):
            for start in range(0, frames, self.chunk):
                first = start * SAMPLES_PER_FRAME
                seen = self._frames(self.encode(np.ascontiguousarray(wave[first : first + length])))
                row[start : start + self.chunk] = seen[: frames - start]
        return AudioFeatures(torch.from_numpy(values).to(speech.wave))

    def _frames(self, rows: Float[np.ndarray, "R C"]) -> Float[np.ndarray, "chunk C"]:
        """The window's rows, interpolated at the middle of each frame of the chunk."""
        middles = (self.look_back + np.arange(self.chunk) + 0.5) * SAMPLES_PER_FRAME
        places = ((middles - self.centre) / self.hop).clip(0, len(rows) - 1)
        left = places.astype(int)
        right = (left + 1).clip(max=len(rows) - 1)
        share = (places - left)[:, None].astype(rows.dtype)
        return rows[left] * (1 - share) + rows[right] * share  # type: ignore[no-any-return]
