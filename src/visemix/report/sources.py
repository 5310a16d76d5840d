"""What is compared: runs and evaluations by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visemix.evaluation.heldout import FOLDER, SCORES, evaluate_run, is_run, read_config
from visemix.evaluation.result import Result, read_result
from visemix.ops.checkpoint import WEIGHTS
from visemix.ops.store import is_newer
from visemix.report.results import RECORDED
from visemix.types import VisemixError


@dataclass(frozen=True)
class Method:
    """One of the things compared: its name on the page, its scores, and what it is."""

    name: str
    result: Result
    about: str


def named_sources(sources: Sequence[str], reserved: Sequence[str] = (RECORDED,)) -> list[tuple[str, Path]]:
    """`name=path`, or a path under its own last name. Two of one name are refused, and the `reserved`.

    Raises:
        VisemixError: two sources of one name, or a reserved one.

    >>> named_sources(["runs/mine/12ab", "other=runs/x/34cd", "c.json"])
    [('12ab', PosixPath('runs/mine/12ab')), ('other', PosixPath('runs/x/34cd')), ('c', PosixPath('c.json'))]
    """
    pairs = [source.partition("=") if "=" in source else ("", "", source) for source in sources]
    found = [(name or Path(path).stem, Path(path)) for name, _, path in pairs]
    names = [name for name, _ in found]
    twice = next((name for name in names if names.count(name) > 1 or name in reserved), None)
    if twice is not None:
        path = found[names.index(twice)][1]
        raise VisemixError(f"'{twice}' names two things; give each a name of its own, as in mine={path}")
    return found


def method(
    name: str,
    path: Path,
    clips: str | Path | None = None,
    progress: bool = False,
    plugins: Sequence[str | Path] = (),
) -> Method:
    """A run's held-out scores, measured anew where its weights are younger; or those in a file.

    Raises:
        VisemixError: it is neither a run nor an evaluation.
    """
    if is_run(path):
        cfg = read_config(path)
        scores = path / FOLDER / SCORES
        fresh = scores.is_file() and (not (path / WEIGHTS).is_file() or is_newer(scores, path / WEIGHTS))
        options: dict[str, Any] = {"clips": clips, "progress": progress, "plugins": plugins}
        result = read_result(scores) if fresh else evaluate_run(path, **options)
        parts = f"{cfg.audio.name} → {cfg.motion.name} → {cfg.render.name}, face model {cfg.face.name}"
        return Method(
            name, relocate_videos(result, path), f"{cfg.name} ({path.name}): {parts}; trained: {', '.join(cfg.fit)}"
        )
    if path.is_dir():
        raise VisemixError(f"{path} is no run folder (it has no config.yaml); give one, or an evaluation's JSON")
    return Method(name, read_result(path), f"evaluation {path.name}")


def relocate_videos(result: Result, run: Path) -> Result:
    """A run's scores with its videos where the run is now: it may have moved since."""
    real, fake = (run / FOLDER / side for side in ("real", "fake"))
    clips = {
        name: replace(clip, real=real / f"{name}.mp4", fake=fake / f"{name}.mp4") for name, clip in result.clips.items()
    }
    return replace(result, clips=clips)
