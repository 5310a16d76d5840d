"""Where training examples come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lightning import LightningDataModule

from visemix.parts import Part
from visemix.registry import Registry

if TYPE_CHECKING:
    from visemix.data.windows import Span


@dataclass(frozen=True)
class DataRequest:
    """What a training stage asks of its data module: the size of its examples, and what they must hold."""

    window: int  # frames in an example
    batch: int  # examples in a batch
    workers: int = 0  # processes that load
    frames: bool = False  # whether pictures are loaded
    gallery: int = 0  # pictures of a subject to choose among, beside those of the example
    segmentation: bool = False  # whether every clip must say what is head, torso and background in it
    sounds: bool = False  # whether it is told which sounds are spoken
    lips: bool = False  # whether clips are left out whose lips do not follow their sound
    uses_sound: bool = True  # whether the sound is heard at all; where it is not, silent clips do
    context: tuple[int, int] | None = None  # frames of sound before and after an example that are heard too
    paired: bool = False  # whether every batch has a second half, of the one person that it adapts to (`Domains`)


class DataModule(LightningDataModule, Part):
    """Loaders of `types.Clip`: `train_dataloader` and `val_dataloader`. A stage says first what it wants (`request`).

    The attributes are those of `DataRequest`. `train_spans` and `val_spans` are the stretches of clips that it loads
    from, known after `setup`; one that has no clips on disk leaves them empty, and a renderer then looks at nothing
    before its first step (`Renderer.init_from_data`). Its training loader has a dataset with a length, of examples
    that are batches of one, and `types.collate` joins them; `fit` draws their order, and seeds what is random in
    them. What its validation loader gives is what a run is scored on: each example is one clip, of any length.
    """

    window: int = 1
    batch: int = 1
    workers: int = 0
    frames: bool = False
    gallery: int = 0
    segmentation: bool = False
    sounds: bool = False
    lips: bool = False
    uses_sound: bool = True
    context: tuple[int, int] | None = None
    paired: bool = False
    train_spans: Sequence[Span] = ()
    val_spans: Sequence[Span] = ()

    def request(self, request: DataRequest) -> None:
        """Take note of what a stage wants, before `setup`."""
        for wish in fields(request):
            setattr(self, wish.name, getattr(request, wish.name))

    @property
    def speakers(self) -> list[str]:
        """Names of the training speakers, sorted, after `setup`; empty where they are not known."""
        return []

    @classmethod
    def person_config(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Its config for a stage that learns from one person: with the clips of that person alone, where the options
        name one."""
        return dict(options)

    @classmethod
    def shared_config(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """Its config for a stage that learns the same whichever person is named: without the options that name one."""
        return dict(options)


DATA: Registry[DataModule] = Registry("data module", DataModule, group="data")  # built with: face
