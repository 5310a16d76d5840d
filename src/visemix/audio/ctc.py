"""Audio features from a CTC speech recogniser: log-probabilities of its characters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from visemix.audio.base import AUDIO, AudioEncoder
from visemix.audio.hub import HOP, RECEPTIVE_FIELD, architecture_of, check_architecture, load, unshaped
from visemix.ops.audio import normalise
from visemix.ops.sequence import average_pairs
from visemix.options import Count
from visemix.parts import SeparateWeights
from visemix.types import SAMPLES_PER_FRAME, AudioFeatures, Losses, Speech

T = TypeVar("T", bound="CTC")
BLANK = 0  # "<pad>" in the alphabets of `transformers`


@AUDIO.register("ctc", local={"weights": "checkpoint"})
class CTC(AudioEncoder):
    """Log-probabilities of characters from a speech recogniser that was trained with CTC (Graves et al. 2006), frozen.

    The kind of feature that DeepSpeech gives: what AD-NeRF hears, and GSmoothFace in Table IV's row "w/o TempAud".
    Pairs of its 50 rows a second are averaged.

    Whatever trains a motion model or a renderer leaves it alone. Where no weights are at hand, a stage of its own,
    `recogniser`, trains all of it, "random" weights on, to name the sounds in clips of `visemix corpus`: its characters
    are then those of `data.phonemes.VOCABULARY`, 58 with the blank.

    Args:
        weights: a hub name, a folder in `transformers`' layout, or "random".
        family: which of the two architectures the weights have.
        characters, dim, layers, heads, conv_dim: of "random" weights; a checkpoint brings its own.
        architecture: of "checkpoint" weights, which wait to be filled from one of Visemix's own files; written there.
    """

    separate_weights = MappingProxyType({"recogniser": SeparateWeights(("recogniser",))})

    def __init__(
        self,
        *,
        weights: str = "facebook/wav2vec2-base-960h",
        family: Literal["Wav2Vec2", "Hubert"] = "Wav2Vec2",
        characters: Count = 29,
        dim: Count = 768,
        layers: Count = 12,
        heads: Count = 12,
        conv_dim: Count = 512,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_architecture(weights, architecture)
        sizes = {
            "vocab_size": characters, "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": 4 * dim, "conv_dim": [conv_dim] * 7, "num_conv_pos_embedding_groups": heads,
            "layerdrop": 0.0, "mask_time_prob": 0.0,
        }  # fmt: skip
        self.recogniser = load(f"{family}ForCTC", weights, architecture or sizes, {})
        self.checkpoint_options = {"weights": "checkpoint", "architecture": architecture_of(self.recogniser)}
        self.dim = self.recogniser.config.vocab_size
        self.recogniser.requires_grad_(False)
        self.train(self.training)

    @classmethod
    def feature_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Name, family, and what of the architecture the weights do not show."""
        return {key: options[key] for key in ("name", "family")} | unshaped(options)

    def train(self: T, mode: bool = True) -> T:
        """This encoder in that mode; the recogniser leaves eval mode only while a weight of it learns."""
        super().train(mode)
        self.recogniser.train(mode and any(weight.requires_grad for weight in self.recogniser.parameters()))
        return self

    @torch.no_grad()
    def forward(self, speech: Speech) -> AudioFeatures:
        """Log-probabilities of the characters, the two rows of a frame averaged; without gradients."""
        return AudioFeatures(average_pairs(self.log_probs(speech)))

    def log_probs(self, speech: Speech) -> Float[Tensor, "B R C"]:
        """Log-probabilities (B, R, C) of the C characters, the blank included, in rows at 50 Hz."""
        wave = normalise(speech.wave[:, : speech.frames * SAMPLES_PER_FRAME])
        logits: Tensor = self.recogniser(F.pad(wave, (0, RECEPTIVE_FIELD - HOP))).logits
        return logits.log_softmax(-1)

    def training_loss(self, speech: Speech, targets: Int[Tensor, "B P"]) -> Losses:
        """Its CTC loss (Graves et al. 2006, eq. 14); `targets` are the numbers of the spoken characters, then
        blanks."""
        rows = self.log_probs(speech)
        input_lengths = torch.full((len(rows),), rows.shape[1])
        loss = F.ctc_loss(
            rows.transpose(0, 1), targets, input_lengths, (targets != BLANK).sum(1), BLANK, zero_infinity=True
        )
        return {"ctc": loss}

    @torch.no_grad()
    def recognise(self, speech: Speech) -> list[list[int]]:
        """The most probable character of each row, without repetitions and blanks."""
        best = self.log_probs(speech).argmax(-1)
        return [[n for n in row.unique_consecutive().tolist() if n != BLANK] for row in best]
