"""Where training examples come from."""

from __future__ import annotations

from lightning import LightningDataModule

from visemix.registry import Registry


class DataModule(LightningDataModule):
    """Loaders of `types.Clip`. A stage that trains sets, before `setup`, how much it wants of a clip and at once."""

    window: int  # frames in an example
    batch: int  # examples in a batch
    frames: bool  # whether pictures are loaded
    scene: bool  # whether every clip must say what is head, torso and background in it
    sounds: bool  # whether it is told which sounds are spoken
    workers: int  # processes that load
    context: tuple[int, int] | None  # frames of sound before and after an example that the encoder hears, too
    lips: bool  # whether clips are left out whose lips do not follow their sound


DATA: Registry[DataModule] = Registry("data module")  # built with: face
