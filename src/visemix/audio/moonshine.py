"""Audio features from the speech recogniser Moonshine, whose weights come in a package."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from visemix.audio.base import AUDIO
from visemix.audio.windows import WindowedEncoder
from visemix.ops.extras import folder_of
from visemix.ops.store import sha256
from visemix.options import Count, Natural
from visemix.types import VisemixError

KERNELS, STRIDES = (127, 7, 3), (64, 3, 2)  # of the three convolutions before the transformer
HOP = 384  # samples, their product: 41.7 rows a second
RECEPTIVE_FIELD = 895  # samples that one row of the convolutions sees


@AUDIO.register("moonshine")
class Moonshine(WindowedEncoder):
    """The encoder of Moonshine tiny-en (Jeffries et al. 2024), frozen: raw wave → 288 numbers.

    Trained on about 200 000 hours of English speech with transcripts; MIT licence; other languages are heard as if they
    were English. Extra `speech`: the package `moonshine-voice` brings the model, `onnxruntime` runs it.

    Its transformer attends to all it is given, so it is given a window. The first row of a chunk hears
    `chunk + look_ahead` frames ahead, and a stream is late by that.

    Args:
        chunk: frames encoded at a time.
        look_back: frames before them that are heard.
        look_ahead: frames after them that are heard.
    """

    hop, centre = float(HOP), RECEPTIVE_FIELD / 2

    def __init__(self, *, chunk: Count = 10, look_back: Natural = 25, look_ahead: Natural = 3) -> None:
        self.file = _file()
        super().__init__(chunk, look_back, look_ahead, 288, sha256(self.file))

    def encode(self, wave: Float[np.ndarray, " S"]) -> Float[np.ndarray, "R 288"]:
        """The encoder's rows, 41.7 a second; a wave too short for one row is padded with silence."""
        if len(wave) < RECEPTIVE_FIELD:
            wave = np.pad(wave, (0, RECEPTIVE_FIELD - len(wave)))
        inputs = {"input_values": wave[None], "attention_mask": np.ones((1, len(wave)), np.int64)}
        rows: np.ndarray = _session(self.file).run(None, inputs)[0][0]
        return rows


def _file() -> Path:
    folder_of("onnxruntime", "audio 'moonshine'", "speech")
    file = folder_of("moonshine_voice", "audio 'moonshine'", "speech") / "assets/tiny-en/encoder_model.ort"
    if not file.is_file():
        raise VisemixError(
            f"audio 'moonshine' needs {file.name} of moonshine-voice 0.0.49, which the installed version has not: "
            "pip install 'visemix[speech]'"
        )
    return file


@lru_cache(maxsize=1)
def _session(file: Path) -> Any:
    """The ONNX session, made once, on one thread: windows are too short to be shared out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
