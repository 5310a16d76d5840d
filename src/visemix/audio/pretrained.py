"""Any speech model of `transformers` as an audio encoder; how it takes its sound is read from its own files."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.audio.base import AUDIO, AudioEncoder
from visemix.audio.hub import HOP, RECEPTIVE_FIELD, architecture_of, check_architecture, own_options
from visemix.ops.audio import normalise
from visemix.ops.sequence import average_pairs, join_pairs
from visemix.options import Count, NotNegative
from visemix.types import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, AudioFeatures, Speech, VisemixError

log = logging.getLogger(__name__)

T = TypeVar("T", bound="Pretrained")
REST = {
    "apply_spec_augment": False,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
}  # draws that are not torch's, or unlike
FIXED = ("feature_extractor.", "embed_positions.", "masked_spec_embed")  # never learn; the last is never used
ENCODERS = {  # how configs of other families than wav2vec 2.0's call their sizes
    "whisper": ("d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim"),
}


@AUDIO.register("ssl", local={"weights": "checkpoint"})
class Pretrained(AudioEncoder):
    """The encoder of any speech model of `transformers` that answers 50 times a second: wav2vec 2.0, HuBERT, WavLM,
    data2vec, UniSpeech, wav2vec2-BERT, and Whisper's encoder (Radford et al. 2023), by `weights`.

    A frame's features are made of the two rows that begin in it. How the sound is prepared stands in the model's own
    `preprocessor_config.json`: samples, normalised over the whole recording or not, or Whisper's log-mel, whose scale
    hangs on the loudest moment of each window and whose rows stand 10 ms earlier than the others'.

    Sound longer than `chunk` is heard in chunks, each with up to `overlap` seconds of what is around it, as if there
    were nothing else; convolutions with a norm over time (wav2vec 2.0's, HuBERT's) feel that, unlike those of the parts
    `wav2vec2` and `hubert`. Whisper's windows have a fixed length: what is shorter is filled up with silence, as in
    its training, and the rows of the filling are dropped; but its attention has looked at them.

    Args:
        weights: a hub name, a folder in `transformers`' layout with `preprocessor_config.json`, or "random".
        align: the two rows of a frame: their "mean", or "both" side by side.
        trainable: whether it learns; a wav2vec-like model's convolutions never do.
        lr_scale: the stage's learning rate is multiplied by this for its weights.
        chunk, overlap: seconds. A chunk of 0 takes any length in one go, which Whisper cannot.
        family, dim, layers, heads, conv_dim: of "random" weights, `family` by `transformers`' name of the model type.
        architecture, preprocessing: of "checkpoint" weights, which wait to be filled from one of Visemix's own files;
            written there.

    Raises:
        VisemixError: weights that are not there, no speech model, another clock, windows that are too short.
    """

    def __init__(
        self,
        *,
        weights: str | None = None,
        align: Literal["mean", "both"] = "mean",
        trainable: bool = False,
        lr_scale: NotNegative = 0.1,
        chunk: NotNegative = 22.0,
        overlap: NotNegative = 4.0,
        family: str = "wav2vec2",
        dim: Count = 768,
        layers: Count = 12,
        heads: Count = 12,
        conv_dim: Count = 512,
        architecture: dict[str, Any] | None = None,
        preprocessing: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if weights is None:
            raise VisemixError(
                "audio 'ssl' is whatever speech model it is told: say audio.weights=microsoft/wavlm-base-plus, a "
                "folder, or random"
            )
        check_architecture(weights, architecture)
        if weights in ("random", "checkpoint"):
            if weights == "random":
                log.warning("%s starts from random weights: it has never heard speech (audio.weights=random)", family)
            built = architecture or _sizes(family, dim, layers, heads, conv_dim)
            self.model, self.prepare = _built(built, preprocessing)
        else:
            self.model, self.prepare = _loaded(weights)
        self.samples = self.prepare.model_input_names[0] == "input_values"
        self.checkpoint_options = {
            "weights": "checkpoint",
            "architecture": architecture_of(self.model),
            "preprocessing": _plain(self.prepare.to_dict()),
        }
        _check_clock(weights, self.model.config, self.prepare)
        self.align, self.trainable, self.lr_scale = align, trainable, lr_scale
        self.dim = self.model.config.hidden_size * (2 if align == "both" else 1)
        self.chunk, self.overlap = round(chunk * FPS), round(overlap * FPS)
        window = getattr(self.prepare, "n_samples", None)
        if window is not None and not 0 < self.chunk + 2 * self.overlap <= window // SAMPLES_PER_FRAME:
            raise VisemixError(
                f"audio.weights={weights} hears {window / SAMPLE_RATE:g} s at a time; audio.chunk={chunk:g} and twice "
                f"audio.overlap={overlap:g} must fit into that, and chunk be above 0"
            )
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trainable and not name.startswith(FIXED))
        self.train(self.training)

    def train(self: T, mode: bool = True) -> T:
        """This encoder in that mode; the model leaves eval mode only where it is trainable."""
        super().train(mode)
        self.model.train(mode and self.trainable)
        return self

    def forward(self, speech: Speech) -> AudioFeatures:
        """Features (B, T, C) of the speech, computed chunk by chunk."""
        return AudioFeatures(torch.cat([piece.values for piece in self.stream(speech)], 1))

    def stream(self, speech: Speech) -> Iterator[AudioFeatures]:
        """Features (B, n, C) chunk by chunk; chunks begin at the same frames however the sound is cut."""
        frames = speech.frames
        wave = speech.wave[:, : frames * SAMPLES_PER_FRAME]
        if self.samples and getattr(self.prepare, "do_normalize", False):
            wave = normalise(wave)
        step = self.chunk or frames
        for first in range(0, frames, step):
            last = min(first + step, frames)
            before, after = max(first - self.overlap, 0), min(last + self.overlap, frames)
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.trainable):
                values = self._rows(wave, before, after)[:, first - before : last - before]
            yield AudioFeatures(values)

    def _rows(self, wave: Float[Tensor, "B S"], first: int, last: int) -> Float[Tensor, "B T C"]:
        """Features (B, last − first, C) of these frames, without the sound around them."""
        # the last row sees a little beyond
        reach = last * SAMPLES_PER_FRAME + (RECEPTIVE_FIELD - HOP if self.samples else 0)
        sound, wanted = wave[:, first * SAMPLES_PER_FRAME : reach], 2 * (last - first)
        inputs = {"input_values": sound} if self.samples else self._prepared(sound)
        rows = self.model(**inputs).last_hidden_state
        window = getattr(self.prepare, "n_samples", None)
        most = wanted if window is None else window // HOP
        if not wanted - 1 <= rows.shape[1] <= most:
            raise VisemixError(
                f"audio 'ssl' ({self.model.config.model_type}) answers with {rows.shape[1]} rows for {last - first} "
                f"frames of sound; the clock needs two a frame"
            )
        pairs = rows[:, :wanted]
        return average_pairs(pairs) if self.align == "mean" else join_pairs(pairs)

    def _prepared(self, sound: Float[Tensor, "B S"]) -> dict[str, Tensor]:
        """The model's inputs for each sound, by its own feature extractor."""
        each = list(sound.detach().float().cpu().numpy())
        made = self.prepare(each, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return {name: value.to(sound.device) for name, value in made.items()}


def _loaded(weights: str) -> tuple[Any, Any]:
    """The encoder with these weights, and its feature extractor."""
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    try:
        config = _at_rest(AutoConfig.from_pretrained(weights))
        prepare = AutoFeatureExtractor.from_pretrained(weights)
        model = AutoModel.from_pretrained(weights, config=config)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise VisemixError(
            f"audio.weights='{weights}' cannot be loaded ({reason}); give a folder that holds it, its "
            f"preprocessor_config.json too, fetch it once with `hf download {weights}` while online, or ask for "
            "weights=random"
        ) from error
    return _encoder(model).float(), prepare  # some are stored in half precision


def _built(architecture: Mapping[str, Any], preprocessing: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """An untrained encoder of an architecture, and its feature extractor."""
    import transformers
    from transformers import AutoConfig, AutoModel

    options = dict(architecture)
    family = options.pop("model_type")
    try:
        own = own_options(type(AutoConfig.for_model(family)), options)
        config = _at_rest(AutoConfig.for_model(family, **own))
        model = AutoModel.from_config(config)
    except (ValueError, KeyError) as error:
        raise VisemixError(f"audio.family={family} is no model of transformers that can be built") from error
    given = preprocessing or _preparing(config)
    kind = getattr(transformers, given["feature_extractor_type"], None)
    if not (isinstance(kind, type) and issubclass(kind, transformers.FeatureExtractionMixin)):
        raise VisemixError(f"'{given['feature_extractor_type']}' prepares no sound for a model of transformers")
    return _encoder(model), kind.from_dict(dict(given))


def _encoder(model: Any) -> Any:
    """The model, without the decoder of those that have one."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def _at_rest(config: Any) -> Any:
    """The config without SpecAugment and layer drop, whose draws are not torch's."""
    for name, value in REST.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def _sizes(family: str, dim: int, layers: int, heads: int, conv_dim: int) -> dict[str, Any]:
    if family in ENCODERS:
        sizes = dict(zip(ENCODERS[family], (dim, layers, heads, 4 * dim), strict=True))
        return {"model_type": family, **sizes, "decoder_layers": 1, "decoder_attention_heads": 1}
    return {
        "model_type": family, "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": 4 * dim, "conv_dim": [conv_dim] * 7, "num_conv_pos_embedding_groups": math.gcd(dim, 16),
    }  # fmt: skip


def _preparing(config: Any) -> dict[str, Any]:
    """Options of the feature extractor of an untrained model of that config."""
    if config.model_type in ENCODERS:
        seconds = config.max_source_positions * HOP // SAMPLE_RATE
        kind = {"feature_extractor_type": "WhisperFeatureExtractor"}
        return kind | {"feature_size": config.num_mel_bins, "chunk_length": seconds}
    return {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True}


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a feature extractor that JSON holds; its filter banks follow from these."""
    return {name: value for name, value in options.items() if isinstance(value, (str, int, float, bool, type(None)))}


def _check_clock(weights: str, config: Any, prepare: Any) -> None:
    rate = getattr(prepare, "sampling_rate", None)
    if rate is None:
        raise VisemixError(f"audio.weights='{weights}' is no speech model ({config.model_type})")
    if getattr(config, "squeeze_factor", 1) > 1:  # SEW fills up what is left of the last group with zeros
        raise VisemixError(
            f"audio.weights='{weights}' ({config.model_type}) hears rows in groups, and loses what is left at the end"
        )
    strides = math.prod(getattr(config, "conv_stride", None) or [HOP])
    if rate != SAMPLE_RATE or strides != HOP:
        raise VisemixError(
            f"audio.weights='{weights}' answers every {strides} samples of {rate} a second; the clock needs {HOP} of "
            f"{SAMPLE_RATE}"
        )
