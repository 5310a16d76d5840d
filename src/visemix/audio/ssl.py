"""Self-supervised speech models, wav2vec 2.0 and HuBERT, as audio encoders, through `transformers`."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from visemix.audio.base import AUDIO, AudioEncoder
from visemix.audio.hub import HOP, RECEPTIVE_FIELD, architecture_of, check_architecture, load, unshaped
from visemix.ops.audio import normalise
from visemix.ops.sequence import average_pairs, join_pairs, resample_rows
from visemix.options import Count, NotNegative, Share
from visemix.parts import Published
from visemix.types import FPS, SAMPLES_PER_FRAME, AudioFeatures, Speech

T = TypeVar("T", bound="_SpeechModel")
MASK = 10  # rows hidden by one mask of SpecAugment


class _SpeechModel(AudioEncoder, ABC):
    """Convolutions at 50 Hz, frozen; then a transformer, whose last layer's rows are the features.

    The sound is normalised to zero mean and unit variance over its whole length: a recording at inference, a window in
    training (as the papers do). Sound longer than `chunk` goes through in chunks, each with `overlap` seconds of what
    is around it, in bounded memory. Normalisation, the first layer's group norm (which is a statistic over time) and
    the convolutions are then still those of the whole; only the transformer's attention ends at the overlap.

    Args:
        weights: a hub name, a folder in `transformers`' layout, or "random". None: the paper's checkpoint.
        align: 50 rows a second to the clock's 25. "conv": linear interpolation between convolutions and transformer;
            "output": the same after the transformer; "mean": mean of each pair after the transformer; "stride": every
            second row after it (GeneFace's code); "both": the two rows of a frame side by side, for its sync-expert.
            None: as the paper of this model's use does it.
        trainable: whether the transformer learns. The convolutions never do.
        lr_scale: the stage's learning rate is multiplied by this for the transformer's weights. At the stage's own 1e-4
            these encoders are known to collapse to features that are constant over time (FaceFormer's issues 22, 42).
        dropout: of the transformer, in training.
        spec_augment: in training, hide two stretches of ten rows or one in two hundred rows, as the official code does.
        chunk, overlap: seconds; a chunk of 0 takes any length in one go.
        dim, layers, heads, conv_dim: of "random" weights; a checkpoint brings its own.
        architecture: of "checkpoint" weights, which wait to be filled from one of Visemix's own files; written there.
    """

    family: ClassVar[str]
    checkpoint: ClassVar[str]
    alignment: ClassVar[str]

    def __init__(
        self,
        *,
        weights: str | None = None,
        align: Literal["conv", "output", "mean", "stride", "both"] | None = None,
        trainable: bool = True,
        lr_scale: NotNegative = 0.1,
        dropout: Share = 0.1,
        spec_augment: bool = False,
        chunk: NotNegative = 24.0,
        overlap: NotNegative = 4.0,
        dim: Count = 768,
        layers: Count = 12,
        heads: Count = 12,
        conv_dim: Count = 512,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "hidden_dropout": dropout, "attention_dropout": dropout, "activation_dropout": dropout,
            "feat_proj_dropout": dropout, "layerdrop": 0.0, "mask_time_prob": 0.05 if spec_augment else 0.0,
        }  # fmt: skip
        sizes = {
            "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": 4 * dim, "conv_dim": [conv_dim] * 7,
            "num_conv_pos_embedding_groups": math.gcd(dim, 16),
        }  # fmt: skip
        check_architecture(weights, architecture)
        self.model = load(f"{self.family}Model", weights or self.checkpoint, architecture or sizes, options)
        self.checkpoint_options = {"weights": "checkpoint", "architecture": architecture_of(self.model)}
        self.align = align or self.alignment
        self.dim = self.model.config.hidden_size * (2 if self.align == "both" else 1)
        self.trainable, self.lr_scale, self.spec_augment = trainable, lr_scale, spec_augment
        self.chunk = round(chunk * FPS) or None
        self.overlap = round(overlap * FPS)
        self.model.requires_grad_(trainable)
        self.model.feature_extractor._freeze_parameters()
        if not spec_augment and hasattr(self.model, "masked_spec_embed"):
            self.model.masked_spec_embed.requires_grad_(False)  # then nothing is hidden by it
        self.train(self.training)

    @classmethod
    def feature_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options that are neither for training nor seen in the weights."""
        said = {key: options[key] for key in ("name", "align", "chunk", "overlap")}
        return said | {"align": options["align"] or cls.alignment} | unshaped(options)

    def train(self: T, mode: bool = True) -> T:
        super().train(mode)
        self.model.train(mode and self.trainable)
        self.model.feature_extractor.eval()
        return self

    def forward(self, speech: Speech) -> AudioFeatures:
        return AudioFeatures(torch.cat([piece.values for piece in self.stream(speech)], 1))

    def stream(self, speech: Speech) -> Iterator[AudioFeatures]:
        """Features (B, n, C) chunk by chunk."""
        frames = speech.frames
        wave = normalise(speech.wave[:, : frames * SAMPLES_PER_FRAME])
        step = self.chunk or frames
        moments = self._norm_statistics(wave, step) if frames > step else None
        for first in range(0, frames, step):
            last = min(first + step, frames)
            before, after = max(first - self.overlap, 0), min(last + self.overlap, frames)
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.trainable):
                values = self._rows(wave, before, after, moments)[:, first - before : last - before]
            yield AudioFeatures(values)

    def _rows(self, wave: Tensor, first: int, last: int, moments: tuple[Tensor, Tensor] | None) -> Tensor:
        """Features (B, last − first, C) of these frames, without the sound around them but for its `moments`."""
        frames = last - first
        # the last frame's second row sees a little of the next frame
        reach = last * SAMPLES_PER_FRAME + RECEPTIVE_FIELD - HOP
        conv = self._convolve(wave[:, first * SAMPLES_PER_FRAME : reach], moments)
        conv = resample_rows(conv[:, : 2 * frames - 1], frames) if self.align == "conv" else conv
        projected = self.model.feature_projection(conv)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        if self.spec_augment and self.training:
            hidden = torch.where(_time_masks(hidden).unsqueeze(-1), self.model.masked_spec_embed.to(hidden), hidden)
        rows = self.model.encoder(hidden).last_hidden_state
        if self.align in ("mean", "both"):
            return average_pairs(rows) if self.align == "mean" else join_pairs(rows)
        return rows if self.align == "conv" else resample_rows(rows[:, : 2 * frames - 1], frames)

    @torch.no_grad()
    def _convolve(self, wave: Tensor, moments: tuple[Tensor, Tensor] | None) -> Tensor:
        """Output rows (B, R, C) of the convolutions, 50 a second."""
        first, *others = self.model.feature_extractor.conv_layers
        x = wave.unsqueeze(1)
        if moments is None:
            x = first(x)
        else:
            norm = first.layer_norm
            mean, variance = moments
            scale = norm.weight * (variance + norm.eps).rsqrt()  # (B, C)
            x = first.activation((first.conv(x) - mean.unsqueeze(-1)) * scale.unsqueeze(-1) + norm.bias.unsqueeze(-1))
        for layer in others:
            x = layer(x)
        return x.mT

    @torch.no_grad()
    def _norm_statistics(self, wave: Tensor, step: int) -> tuple[Tensor, Tensor] | None:
        """Mean and variance over the whole sound of what the first layer's group norm sees; None if it has none."""
        first = self.model.feature_extractor.conv_layers[0]
        if self.model.config.feat_extract_norm != "group":
            return None
        (kernel,), (stride,) = first.conv.kernel_size, first.conv.stride
        count, total, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for start in range(0, wave.shape[1], step * SAMPLES_PER_FRAME):
            piece = wave[:, start : start + step * SAMPLES_PER_FRAME + kernel - stride]
            seen = first.conv(piece.unsqueeze(1)).double()
            count, total, squares = count + seen.shape[-1], total + seen.sum(-1), squares + seen.square().sum(-1)
        mean = total / count
        return mean.to(wave), (squares / count - mean.square()).to(wave)


@AUDIO.register("wav2vec2", local={"weights": "checkpoint"})
class Wav2Vec2(_SpeechModel):
    """wav2vec 2.0 (Baevski et al. 2020), as GSmoothFace uses it."""

    __doc__ = f"{__doc__} {_SpeechModel.__doc__}"
    family, checkpoint, alignment = "Wav2Vec2", "facebook/wav2vec2-base-960h", "conv"
    published = (
        Published("weights", "facebook/wav2vec2-base", "V-B", "the authors' code starts from the checkpoint with CTC"),
        Published("trainable", True, "V-B"),
        Published("lr_scale", 1.0, "V-B", "at the full rate the features are known to become constant"),
        Published("", "the convolutions are fine-tuned, too", "V-B", "here they are frozen, as in the authors' code"),
        Published("weights", "facebook/wav2vec2-base-960h", "models/wav2vec.py", code=True),
        Published("trainable", True, "models/wav2vec.py", code=True),
        Published("lr_scale", 1.0, "modules", "at the full rate the features are known to become constant", code=True),
        Published("spec_augment", True, "models/wav2vec.py", "its mask is a random vector", code=True),
        Published("", "a chunk of 24 s gets one row too many", "modules", "here rows are the clock's", code=True),
    )


@AUDIO.register("hubert", local={"weights": "checkpoint"})
class HuBERT(_SpeechModel):
    """HuBERT (Hsu et al. 2021), as GeneFace uses it."""

    __doc__ = f"{__doc__} {_SpeechModel.__doc__}"
    family, checkpoint, alignment = "Hubert", "facebook/hubert-large-ls960-ft", "mean"
    published = (
        Published("trainable", False, "3.1", "a motion model learns with its encoder unless it is told not to"),
        Published("trainable", False, "process_audio_hubert.py", code=True),
        Published("", "pieces of 20 s know nothing of each other", "process_audio_hubert.py", "here of 4 s", code=True),
        Published("", "of stereo the first channel is heard", "process_audio_hubert.py", "here the mean", code=True),
    )


def _time_masks(hidden: Float[Tensor, "B R C"]) -> Bool[Tensor, "B R"]:
    """Rows that SpecAugment hides: at least two stretches, five percent of the rows' number in all."""
    batch, rows, _ = hidden.shape
    length = min(MASK, rows)
    count = max(2, round(0.05 * rows / MASK))
    starts = torch.randint(rows - length + 1, (batch, count), device=hidden.device)
    hidden_rows = (starts.unsqueeze(-1) + torch.arange(length, device=hidden.device)).flatten(1)
    return F.one_hot(hidden_rows, rows).any(1)
