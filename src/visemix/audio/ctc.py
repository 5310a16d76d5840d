from __future__ import annotations

from typing import Any, Literal, TypeVar

import torch
from torch.nn import functional as F

from visemix.audio.base import AUDIO, AudioEncoder
from visemix.audio.hub import FIELD, HOP, architecture_of, load, refuse_bare
from visemix.ops.audio import normalise
from visemix.ops.sequence import average_pairs
from visemix.types import SAMPLES_PER_FRAME, AudioFeatures, Speech

T = TypeVar("T", bound="CTC")


@AUDIO.register("ctc")
class CTC(AudioEncoder):
    """Log-probabilities of characters from a speech recogniser that was trained with CTC, frozen.

    The kind of feature that DeepSpeech gives: what AD-NeRF hears, and GSmoothFace in Table IV's row "w/o TempAud".
    Pairs of its 50 rows a second are averaged.

    Args:
        weights: a hub name, a folder in `transformers`' layout, or "random".
        family: which of the two architectures the weights have.
        characters, dim, layers, heads, conv_dim: of "random" weights; a checkpoint brings its own.
        architecture: of "checkpoint" weights, which wait to be filled from one of Visemix's own files; written there.
    """

    def __init__(
        self,
        *,
        weights: str = "facebook/wav2vec2-base-960h",
        family: Literal["Wav2Vec2", "Hubert"] = "Wav2Vec2",
        characters: int = 29,
        dim: int = 768,
        layers: int = 12,
        heads: int = 12,
        conv_dim: int = 512,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        refuse_bare(weights, architecture)
        sizes = {
            "vocab_size": characters, "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": 4 * dim, "conv_dim": [conv_dim] * 7, "num_conv_pos_embedding_groups": heads,
        }  # fmt: skip
        self.model = load(f"{family}ForCTC", weights, architecture or sizes, {})
        self.carried = {"weights": "checkpoint", "architecture": architecture_of(self.model)}
        self.dim = self.model.config.vocab_size
        self.model.requires_grad_(False)
        self.train(self.training)

    def train(self: T, mode: bool = True) -> T:
        super().train(mode)
        self.model.eval()
        return self

    @torch.no_grad()
    def forward(self, speech: Speech) -> AudioFeatures:
        wave = normalise(speech.wave[:, : speech.frames * SAMPLES_PER_FRAME])
        rows = self.model(F.pad(wave, (0, FIELD - HOP))).logits.log_softmax(-1)
        return AudioFeatures(average_pairs(rows))
