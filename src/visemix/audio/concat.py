"""Several encoders at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from visemix.audio.base import AUDIO, BLOCK_FRAMES, AudioEncoder, encode_in_context, feature_config, stream_features
from visemix.ops.sequence import rechunk
from visemix.types import AudioFeatures, Speech, VisemixError


@AUDIO.register("concat")
class Concat(AudioEncoder):
    """Features of several encoders side by side, in the alphabetical order of their keys.

    Args:
        parts: each encoder under a key, its options below it: `{moonshine: {look_back: 25}, mel: {}}`. A key is the
            encoder's name, unless it has another in `name`; null leaves it out.

    Raises:
        VisemixError: no encoder is switched on.
    """

    def __init__(self, *, parts: dict[str, dict[str, Any] | None]) -> None:
        super().__init__()
        chosen = enabled_encoders(parts)
        if not chosen:
            raise VisemixError("audio 'concat' has nothing to put side by side; name encoders under audio.parts")
        self.parts = nn.ModuleDict({key: AUDIO.build(options) for key, options in chosen.items()})
        encoders = self._encoders
        self.dim = sum(part.dim for part in encoders)
        self.step = math.lcm(*(part.step for part in encoders))
        asked = [part.context for part in encoders if part.context is not None]
        if asked:
            self.context = max(past for past, _ in asked), max(ahead for _, ahead in asked)

    @classmethod
    def inner_parts(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """`parts.<key>` → config of each encoder that is switched on."""
        return {f"parts.{key}": config for key, config in enabled_encoders(options["parts"]).items()}

    @classmethod
    def feature_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Its name and, by key, what determines the features of each encoder that is switched on."""
        return {"name": options["name"]} | {
            k: feature_config(config) for k, config in enabled_encoders(options["parts"]).items()
        }

    def checkpoint_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Its config, each encoder's as that encoder has it kept."""
        given = config["parts"]
        parts = {key: part.checkpoint_config(given[key]) for key, part in zip(self.parts, self._encoders, strict=True)}
        return super().checkpoint_config(config) | {"parts": given | parts}

    @property
    def _encoders(self) -> list[AudioEncoder]:
        return list(self.parts.values())  # type: ignore[arg-type]

    def forward(self, speech: Speech) -> AudioFeatures:
        """The encoders' features side by side (B, T, C), each encoded with the context that is known."""
        return AudioFeatures(torch.cat([encode_in_context(part, speech).values for part in self._encoders], -1))

    def stream(self, speech: Speech) -> Iterator[AudioFeatures]:
        """The features piece by piece, each encoder's as it streams them itself."""
        streams = [_stream_aligned(part, speech) for part in self._encoders]
        for rows in zip(*streams, strict=True):
            yield AudioFeatures(torch.cat(rows, -1))


def enabled_encoders(parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Key → options (with `name`) of the encoders that are switched on, in the order of their features.

    >>> enabled_encoders({"mel": {}, "hubert": None, "low": {"name": "mel", "bands": 20}})
    {'low': {'name': 'mel', 'bands': 20}, 'mel': {'name': 'mel'}}
    """
    return {key: {"name": key, **options} for key, options in sorted(parts.items()) if options is not None}


def _stream_aligned(part: AudioEncoder, speech: Speech) -> Iterator[torch.Tensor]:
    """An encoder's streamed rows (B, n, C), re-cut at the same frames for every encoder."""
    for rows, first, last in rechunk(
        (piece.values for piece in stream_features(part, speech)), BLOCK_FRAMES, 0, 0, whole=BLOCK_FRAMES
    ):
        yield rows[:, first:last]
