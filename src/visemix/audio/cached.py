"""Features of a frozen encoder, computed once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from visemix.audio.base import AUDIO, AudioEncoder, bytes_of, feature_config
from visemix.ops.store import atomic_write
from visemix.options import NotNegative
from visemix.parts import Wrapper, config_of
from visemix.types import AudioFeatures, Speech, VisemixError

log = logging.getLogger(__name__)


@AUDIO.register("cached", local={"folder": None, "limit": 10.0})
class Cached(AudioEncoder, Wrapper):
    """Any frozen encoder, with its features of each stretch of sound kept on disk and read from there the next time.

    It pays where the same stretches come again: whole clips, or training windows at fixed places. An entry is named by
    the sha256 of the sound, of what the base hears around it, of the base's config and of the base's weights, so it can
    never be out of date.

    Args:
        base: the encoder, as under `audio` in an experiment; its weights must be frozen (`trainable: false`).
        folder: where the entries lie, one safetensors file each; None: nothing is kept.
        limit: gigabytes; above it the entries that were written first are deleted.

    Raises:
        VisemixError: the base learns.
    """

    base: AudioEncoder

    def __init__(
        self, *, base: dict[str, Any], folder: str | None = "data/features", limit: NotNegative = 10.0
    ) -> None:
        super().__init__()
        self.base = AUDIO.build(base)
        if any(p.requires_grad for p in self.base.parameters()):
            raise VisemixError(f"audio '{base['name']}' learns, so it cannot be cached; set base.trainable=false")
        self.dim, self.context, self.step = self.base.dim, self.base.context, self.base.step
        self.folder, self.limit = None if folder is None else Path(folder), limit
        self._config = json.dumps(config_of(self.base), sort_keys=True)
        self._base_digest: bytes | None = None
        self._size: int | None = None
        self._warned = False

    @classmethod
    def feature_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """The feature options of the base, whose features these are."""
        return feature_config(options["base"])

    def checkpoint_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The base's config: a cache is for training, and in no checkpoint."""
        return self.base.checkpoint_config(config["base"])

    def train(self, mode: bool = True) -> Cached:
        """This encoder in that mode, its base in eval mode all the same."""
        super().train(mode)
        self.base.eval()
        return self

    @torch.no_grad()
    def forward(self, speech: Speech) -> AudioFeatures:
        """The base's features of each sound in the batch, from disk where they are kept; without gradients."""
        return AudioFeatures(torch.cat([self._encode_one(one) for one in _unbatch(speech)]))

    def _encode_one(self, speech: Speech) -> Tensor:
        if self.folder is None:
            return self.base(speech).values
        around = speech if self.context is None else speech.part(0, speech.frames, *self.context)
        path = self.folder / f"{self._key(around)}.safetensors"
        try:
            return load_file(path)["values"].to(speech.wave.device)
        except (FileNotFoundError, SafetensorError):
            values = self.base(speech).values
            self._write(path, values)
            return values

    def _key(self, speech: Speech) -> str:
        if self._base_digest is None:
            digest = hashlib.sha256(self._config.encode())
            for name, tensor in self.base.state_dict().items():
                digest.update(name.encode() + bytes_of(tensor))
            self._base_digest = digest.digest()
        digest = hashlib.sha256(self._base_digest + bytes_of(speech.wave))
        for place, sound in (("before", speech.before), ("after", speech.after)):
            if sound is not None and sound.numel():
                digest.update(place.encode() + bytes_of(sound))
        return digest.hexdigest()

    def _write(self, path: Path, values: Tensor) -> None:
        """Write an entry atomically: other workers may be reading and writing the same one."""
        try:
            with atomic_write(path) as part:
                save_file({"values": values.detach().cpu().contiguous()}, part)
        except VisemixError as error:
            if not self._warned:
                log.warning("features are not kept: %s (set the folder of audio 'cached')", error)
            self._warned = True
            return
        self._size = self._cache_size() if self._size is None else self._size + path.stat().st_size
        if self._size > self.limit * 1e9:
            self._evict()

    def _entries(self) -> list[Path]:
        return [] if self.folder is None else [*self.folder.glob("*.safetensors")]

    def _cache_size(self) -> int:
        return sum(p.stat().st_size for p in self._entries())

    def _evict(self) -> None:
        """Delete the oldest entries until a tenth of the limit is free, so that this is seldom done."""
        size = self._cache_size()
        for path in sorted(self._entries(), key=lambda p: p.stat().st_mtime):
            if size <= self.limit * 0.9e9:
                break
            size -= path.stat().st_size
            path.unlink(missing_ok=True)
        self._size = size


def _unbatch(speech: Speech) -> Iterator[Speech]:
    around = [[None] * len(speech.wave) if sound is None else sound.split(1) for sound in (speech.before, speech.after)]
    for wave, before, after in zip(speech.wave.split(1), *around, strict=True):
        yield Speech(wave, before, after)
