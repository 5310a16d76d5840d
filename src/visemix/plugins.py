"""Other people's parts: from packages that are installed, and from loose Python files."""

from __future__ import annotations

import runpy
from importlib.metadata import entry_points
from pathlib import Path

from visemix.types import VisemixError

__all__ = ["load_plugin_file", "load_plugins"]

_plugins_loaded = False
_files_loaded: set[Path] = set()


def load_plugins() -> None:
    """Import what installed packages declare under the entry-point group `visemix`, once."""
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for point in entry_points(group="visemix"):
            point.load()


def load_plugin_file(path: str | Path) -> None:
    """Run a loose Python file, once, for what it registers: an experiment's `plugins`, before anyone packages it.

    Raises:
        VisemixError: there is no such file, or it cannot be run.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise VisemixError(f"no plugin file {path}; give the path of a Python file")
    if path not in _files_loaded:
        try:
            runpy.run_path(str(path), run_name=path.stem)
        except Exception as error:
            raise VisemixError(f"the plugin {path} cannot be run: {type(error).__name__}: {error}") from error
        _files_loaded.add(path)
