"""Presets of a part: options that a name decides together, unless they are given one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_preset(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a preset, each as it is given where it is; None gives nothing.

    `given` may hold more than the preset knows: a constructor hands over its `locals()`.

    >>> merge_preset({"norm": True, "sigma": 1.0, "widths": (8, 4)}, {"norm": None, "sigma": 0.0, "dim": 16})
    {'norm': True, 'sigma': 0.0, 'widths': (8, 4)}
    """
    return {name: value if given.get(name) is None else given[name] for name, value in preset.items()}
