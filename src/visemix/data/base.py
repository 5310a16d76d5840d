"""Where training examples come from."""

from __future__ import annotations

from lightning import LightningDataModule

from visemix.registry import Registry

DATA: Registry[LightningDataModule] = Registry("data module")  # built with: face
