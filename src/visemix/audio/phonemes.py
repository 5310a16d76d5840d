"""Audio features from a phoneme recogniser, whose weights come in a package."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from visemix.audio.base import AUDIO
from visemix.audio.windows import WindowedEncoder
from visemix.ops.extras import folder_of
from visemix.ops.store import sha256
from visemix.options import Count, Natural
from visemix.types import FPS, VisemixError

LONGEST = 30 * FPS  # frames: of longer sound the model hears the beginning, without a word
TEMPERATURE = 2.0


@AUDIO.register("phonemes")
class Phonemes(WindowedEncoder):
    """Probabilities of 190 phonetic letters, 50 rows a second, by the recogniser in the package `hama` (extra
    `speech`), frozen.

    It was trained with CTC, so nearly all of its probability sits in a few rows and the rest is blank; without the
    blank, and at temperature 2, every row says what it leans to. English and Korean; what it was trained on is not
    stated, and other languages are heard wrongly. Apache-2.0.

    It is not causal: what comes later changes what is heard, by up to 0.999 of a posterior, so it is given a window.
    The first row of a chunk hears `chunk + look_ahead` frames ahead, and a stream is late by that.

    Args:
        chunk: frames encoded at a time.
        look_back: frames before them that are heard.
        look_ahead: frames after them that are heard.

    Raises:
        VisemixError: `chunk`, `look_back` and `look_ahead` make a window longer than the recogniser takes.
    """

    hop, centre = 320.0, 0.0

    def __init__(self, *, chunk: Count = 10, look_back: Natural = 25, look_ahead: Natural = 3) -> None:
        if chunk + look_back + look_ahead > LONGEST:
            raise VisemixError(
                f"audio 'phonemes' hears {LONGEST} frames at a time, not chunk={chunk} + look_back={look_back} + "
                f"look_ahead={look_ahead}; make them smaller"
            )
        file = folder_of("hama", "audio 'phonemes'", "speech") / "assets/asr_waveform.hama"
        super().__init__(chunk, look_back, look_ahead, 190, sha256(file))

    def encode(self, wave: Float[np.ndarray, " S"]) -> Float[np.ndarray, "R 190"]:
        """Probabilities of the 190 letters at temperature 2, the blank left out; 50 rows a second."""
        model = _model()
        inputs = {"waveform": wave[None], "waveform_lengths": np.array([len(wave)], np.int64)}
        rows = model.session.run(["log_probs"], inputs)[0][0]
        return apply_temperature(np.delete(rows, model.blank_id, 1))


def apply_temperature(rows: Float[np.ndarray, "R C"]) -> Float[np.ndarray, "R C"]:
    """Probabilities at temperature 2 from log-probabilities, of which some may have been left out.

    >>> apply_temperature(np.log([[0.1, 0.4]]))
    array([[0.33333333, 0.66666667]])
    """
    odds = np.exp((rows - rows.max(1, keepdims=True)) / TEMPERATURE)
    return odds / odds.sum(1, keepdims=True)  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _model() -> Any:
    import hama

    return hama.ASRModel()
