"""Where other packages lie that bring models."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from visemix.types import VisemixError


class NotInstalled(VisemixError):
    """A part needs a package that this installation has not."""


def folder_of(package: str, wanted_by: str, extra: str = "") -> Path:
    """Where an installed package lies; it is not imported. `extra` is the one of ours that brings it, if any.

    Raises:
        NotInstalled: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        brought = f"'visemix[{extra}]'" if extra else name
        raise NotInstalled(
            f"{wanted_by} needs the package '{name}', which is not installed: "
            f"pip install {brought}, or choose another part"
        )
    return Path(spec.submodule_search_locations[0])
