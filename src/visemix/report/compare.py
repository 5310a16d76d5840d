"""`visemix compare`: folders of videos by any method, named in one file, scored against one set of recordings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from visemix.config import find_experiment
from visemix.evaluation.result import Result, read_result
from visemix.evaluation.videos import evaluate
from visemix.metrics import METRICS
from visemix.ops.store import is_newer
from visemix.options import checked
from visemix.plugins import load_plugin_file
from visemix.report.formats import WRITERS, write_tables
from visemix.report.quoted import LAYOUTS
from visemix.report.results import comparison, with_ood
from visemix.types import VisemixError
from visemix.values import did_you_mean, quoted, read_yaml

log = logging.getLogger(__name__)

SOURCES = {"real": "FOLDER (of recordings)", "methods": "{NAME: FOLDER, …}", "tables": f"[{', '.join(LAYOUTS)}]"}


def compare(
    experiment: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    plugins: Sequence[str | Path] = (),
    **options: Any,
) -> list[Path]:
    """Score each method's videos against the recordings, and write the tables (`.md`, `.tex`, `.csv`, `.json`)
    in the papers' layouts, the recordings' own row first and the papers' rows below.

    The file has `real`, a folder of recordings; `methods`, for each name a folder of videos named as the recordings;
    `ood`, the same two for foreign speech, where only what needs no truth is measured; `tables`, among `LAYOUTS`.
    Folders that are not there are named in the log and left out. What was scored is kept in `out` as JSON, and scored
    again once a video is younger.

    Args:
        overwrite: score everything again.
        plugins: Python files that register further metrics.
        options: handed on to `evaluate`.

    Raises:
        VisemixError: an unknown key or table, no recordings, or no folder of any method.
    """
    path, out = find_experiment(experiment), Path(out)
    cfg, foreign, tables = _read(path)
    for plugin in plugins:
        load_plugin_file(plugin)
    options |= {"progress": progress, "overwrite": True, "plugins": plugins}
    results = _scored(cfg, out, overwrite, options)
    if not results:
        folders = ", ".join(str(folder) for folder in cfg.methods.values())
        raise VisemixError(f"none of the folders in {path} is there ({folders}); put the methods' videos into them")
    if foreign:
        strange = _scored(foreign, out / "ood", overwrite, options | {"metrics": METRICS.without_truth()})
        results |= {name: with_ood(results[name], strange[name]) for name in strange if name in results}
    files = []
    for name in tables:
        columns, quoted = LAYOUTS[name]
        files += [out / f"{name}{suffix}" for suffix in WRITERS]
        write_tables(files[-len(WRITERS) :], comparison(results, only=columns or METRICS.headlines(), quoted=quoted))
    return files


@dataclass
class Side:
    """Recordings, and for each method the folder of its videos."""

    real: str = MISSING
    methods: dict[str, str | None] = MISSING  # type: ignore[assignment]


@dataclass
class Comparison(Side):
    """What a comparison's file says."""

    ood: dict[str, Any] | None = None  # as a `Side`
    tables: list[str] = MISSING  # type: ignore[assignment]


def _read(path: Path) -> tuple[Side, Side | None, list[str]]:
    """A comparison's recordings and videos, those of foreign speech, and its tables, all of them known."""
    said = read_yaml(path)
    _check_known(path, "a comparison", said, Comparison)
    cfg = Comparison(**checked(Comparison, said, f"{path}: a comparison", SOURCES))
    for table in cfg.tables:
        if table not in LAYOUTS:
            raise VisemixError(
                f"{path}: no table '{quoted(table)}'{did_you_mean(table, LAYOUTS)} (have: {', '.join(LAYOUTS)})"
            )
    if not cfg.ood:
        return cfg, None, cfg.tables
    _check_known(path, "ood", cfg.ood, Side)
    return cfg, Side(**checked(Side, cfg.ood, f"{path}: ood", SOURCES)), cfg.tables


def _check_known(path: Path, owner: str, given: Mapping[str, Any], schema: type) -> None:
    known = [key.name for key in fields(schema)]
    for key in given:
        if key not in known:
            raise VisemixError(
                f"{path}: {owner} knows no '{quoted(key)}'{did_you_mean(key, known)} (has: {', '.join(known)})"
            )


def _scored(cfg: Side, out: Path, overwrite: bool, options: Mapping[str, Any]) -> dict[str, Result]:
    """Each method's scores, for those whose folder is there."""
    real = Path(cfg.real)
    if not real.is_dir():
        raise VisemixError(f"no recordings at {real}; `real` must name a folder of the videos to compare with")
    results = {}
    for name, folder in cfg.methods.items():
        if not folder or not Path(folder).is_dir():
            log.warning("%s is left out: there is no folder %s", name, folder)
            continue
        kept = out / f"{name}.json"
        videos = [video for side in (real, Path(folder)) for video in side.iterdir()]
        if overwrite or not all(is_newer(kept, video) for video in videos):
            evaluate(real, folder, out=kept, **options)
        results[str(name)] = read_result(kept)
    return results
