"""From an experiment file to one plain, complete config. No globals, no cwd changes, no sys.argv."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from visemix.options import checked
from visemix.types import VisemixError
from visemix.values import check_tree, did_you_mean, kept_options, merged, quoted, read_override, read_yaml

__all__ = ["compose", "config_root", "find_experiment", "load_part", "signature", "sweep_points"]

TABLES = ("scale", "compat")  # folders of `configs/` whose files speak of every part
MAX_POINTS = 10_000
VOLATILE = ("name", "log", "out", "device", "workers", "plugins")  # changing these does not make it another run


def config_root() -> Path:
    """`configs/` inside the wheel, or beside `src/` in a checkout."""
    return _shipped("configs")


def _shipped(folder: str) -> Path:
    packaged = Path(str(files(__package__) / folder))
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / folder


def compose(experiment: str | Path, overrides: Sequence[str] = ()) -> DictConfig:
    """The config of an experiment: the parts that `use` picks, as `use.compat` has them, at the sizes that `use.scale`
    gives them, under the experiment's own keys, under the overrides (`motion.layers=2`). A part's `train`, in its file
    or in these tables, is how the stage of its name is trained, over what holds for every part.

    Raises:
        VisemixError: no such experiment, table or part; a word that is no override; or a reference (`${data.root}`) to
            what is not there.
    """
    told = _overlay(_with_parents(find_experiment(experiment)), _changes(overrides))
    preset, built, general = _tables(told)
    return _resolved(merged(preset, kept_options(built, told), general, told), str(experiment))


def _tables(told: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the files of `configs/` say where nobody says otherwise, the later over the earlier: the presets of the
    parts in use, their own options at the scale in use, and what holds for a whole run or for how stages are trained.
    """
    use = dict(told.get("use", {}))
    scale, compat = (load_table(table, use.pop(table, None)) for table in TABLES)
    files = {group: read_part(group, name) for group, name in use.items()}
    parts = {group: name for group, name in use.items() if group != "train"}
    preset = {g: _preset(merged(files[g], told.get(g, {})), compat.get(g, {})) for g in parts}
    built = merged(files, {g: scale.get(g, {}).get(name, {}) for g, name in parts.items()})
    training = (compat.get("train", {}), _own_training(preset), scale.get("train", {}), _own_training(built))
    general = {key: value for key, value in compat.items() if key not in groups()}
    return preset, built, merged(general, {"train": merged(*training)} if any(training) else {})


def _changes(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides say, the later over the earlier."""
    return merged(*(_picked(read_override(word), word) for word in overrides))


def _resolved(cfg: dict[str, Any], who: str) -> DictConfig:
    """A config without references to other keys; but those of a sweep stand for what each point has there."""
    sweep = {"sweep": cfg["sweep"]} if "sweep" in cfg else {}
    try:
        found = OmegaConf.to_container(OmegaConf.create(cfg | {"sweep": None}), resolve=True)
    except OmegaConfBaseException as error:
        place = f" ({error.full_key})" if error.full_key else ""
        raise VisemixError(f"{who}: {quoted(str(error).splitlines()[0], 200)}{place}") from error
    assert isinstance(found, dict)
    del found["sweep"]
    check_tree(found, who)
    return OmegaConf.create(found | sweep)


def load_table(table: str, name: str | None) -> dict[str, Any]:
    """A file of `configs/scale/` or `configs/compat/`: for each part its options, and under `train` how each stage is
    trained; empty where none is named.

    Raises:
        VisemixError: there is no such file.
    """
    have = [path.stem for path in (config_root() / table).glob("*.yaml")]
    if name is None:
        return {}
    if name not in have:
        raise VisemixError(f"no {table} '{name}'{did_you_mean(str(name), have)} (have: {', '.join(sorted(have))})")
    return read_yaml(config_root() / table / f"{name}.yaml")


def _own_training(parts: Any) -> dict[str, Any]:
    """Group → how the stage of its name is trained, taken out of the options of its part."""
    return {group: options.pop("train") for group, options in parts.items() if "train" in options}


def _preset(part: Mapping[Any, Any], table: Mapping[Any, Any]) -> dict[str, Any]:
    """What a table says of a part and of the parts inside it; their `train` is the part's."""
    name = part.get("name")
    said = dict(table.get(name, {})) if isinstance(name, str) else {}
    train = said.pop("train", {})
    for option, inner in part.items():
        if isinstance(inner, Mapping):
            below = _preset(inner, table)
            train = {**below.pop("train", {}), **train}
            if below:
                said[option] = {**below, **said.get(option, {})}
    return said | ({"train": train} if train else {})


def find_experiment(name: str | Path, *first: Path) -> Path:
    """The path of an experiment's YAML file, by path or name; without suffix too, and relative to the folders to look
    in `first`, to the one that one is in, to `experiments/` there, or to those that come with the library.

    Raises:
        VisemixError: there is none.
    """
    ours = _shipped("experiments")
    named = [Path("experiments"), ours]
    for folder in (*first, Path(), *named, ours.parent):
        for path in (folder / name, *([(folder / name).with_suffix(".yaml")] if Path(name).name else [])):
            with suppress(OSError, ValueError):  # a name that no file can have
                if path.is_file():
                    return path
    have = sorted({str(p.relative_to(root).with_suffix("")) for root in named for p in root.rglob("*.yaml")})
    raise VisemixError(
        f"no experiment '{quoted(name)}'{did_you_mean(Path(name).stem, have) or did_you_mean(str(name), have)} "
        f"(have: {', '.join(have)})"
    )


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the row of the table it belongs to, and what sets it apart on the command line."""

    row: str
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class SweepSettings:
    """What `sweep` says beside its points: `quoted` names the paper's table that the rows are set beside, where the
    first row is the full model; `ood` a folder of clips whose speech the points are also scored on."""

    quoted: str | None = None
    ood: str | None = None


def sweep_settings(cfg: DictConfig) -> SweepSettings:
    """What an experiment's `sweep` says beside its points.

    Raises:
        VisemixError: `sweep` is no mapping, or a setting no word.
    """
    said = {option.name: _sweep(cfg)[option.name] for option in fields(SweepSettings) if option.name in _sweep(cfg)}
    return SweepSettings(**checked(SweepSettings, said, "sweep", where="sweep."))


def sweep_points(cfg: DictConfig) -> list[Point]:
    """Every combination in `sweep`: a list for each key, and under `variants` rows by name, as lists of overrides.

    Points that differ in nothing but the seed share a row. Without `sweep` there is one point.

    Raises:
        VisemixError: a key of `sweep` without a list, or more points than anybody waits for.
    """
    grid = {key: value for key, value in _sweep(cfg).items() if key not in vars(SweepSettings())}
    variants = grid.pop("variants", {"": []})
    if not isinstance(variants, dict):
        raise VisemixError(f"sweep: 'variants' needs rows by name, as lists of overrides, not '{quoted(variants)}'")
    for key, values in (*grid.items(), *variants.items()):
        if not isinstance(values, list):
            raise VisemixError(
                f"sweep: '{key}' needs a list (of values, or of overrides for a row), not '{quoted(values)}'"
            )
    if not variants or not all(grid.values()):
        raise VisemixError("sweep: a list without values leaves no point; take the key away")
    if math.prod(map(len, (variants, *grid.values()))) > MAX_POINTS:
        raise VisemixError(f"sweep: it has more than {MAX_POINTS:,} points")
    found = []
    for (name, changes), *values in product(variants.items(), *grid.values()):
        at = [f"{key}={_said(value)}" for key, value in zip(grid, values, strict=True)]
        row = " ".join([*([name] if name else []), *(one for one in at if not one.startswith("seed="))])
        found.append(Point(row or "run", (*map(str, changes), *at)))
    return found


def _sweep(cfg: DictConfig) -> dict[str, Any]:
    said: Any = OmegaConf.to_container(OmegaConf.masked_copy(cfg, ["sweep"])).get("sweep") or {}  # type: ignore[union-attr]
    if not isinstance(said, dict):
        raise VisemixError(f"sweep: it needs a list for each key, not '{quoted(said)}'")
    return said


def _said(value: Any) -> str:
    """A value as an override has it."""
    return json.dumps(value) if isinstance(value, (list, dict, type(None))) else str(value)


def signature(cfg: DictConfig) -> str:
    """Eight hex digits that name a run: equal configs share a folder, so a sweep can be resumed."""
    stable = {k: v for k, v in cfg.items() if k not in VOLATILE and k != "sweep"}
    text = OmegaConf.to_yaml(OmegaConf.create(stable), resolve=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def load_part(group: str, name: str) -> DictConfig:
    """The file of one part; a plugin's part needs none."""
    return OmegaConf.create(read_part(group, name))


def read_part(group: str, name: str) -> dict[str, Any]:
    """The same as plain values."""
    ours = {path.stem: path for path in (config_root() / group).glob("*.yaml")}
    return read_yaml(ours[name]) if name in ours else {"name": name}


@cache
def groups() -> tuple[str, ...]:
    """Keys of an experiment that pick a file of `configs/`, by `use: {key: name}` or `key: name`."""
    return tuple(folder.name for folder in config_root().iterdir() if folder.is_dir())


def _with_parents(path: Path, *children: Path) -> dict[str, Any]:
    """What a file says, over what it extends; `children` are the files that extend it."""
    if path.resolve() in children:
        ring = " extends ".join(str(file.name) for file in (*children[children.index(path.resolve()) :], path))
        raise VisemixError(f"{path}: an experiment cannot extend itself: {ring}")
    body = _picked(read_yaml(path), str(path))
    if "plugins" in body:
        body["plugins"] = [str(path.parent / plugin) for plugin in _words(body["plugins"], f"{path}: plugins")]
    parent = body.pop("extends", None)
    if parent is None:
        return body
    if not isinstance(parent, str) or not parent:
        raise VisemixError(f"{path}: extends: '{quoted(parent)}' is no experiment; give its file, or its name")
    return _overlay(_with_parents(find_experiment(parent, path.parent), *children, path.resolve()), body)


def _words(given: Any, who: str) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise VisemixError(f"{who} must be a list of words, not '{quoted(given)}'")
    return given


def _picked(cfg: dict[str, Any], who: str) -> dict[str, Any]:
    """`face: toy`, the short form of `use: {face: toy}`, spelled out."""
    short = {group: cfg[group] for group in groups() if not isinstance(cfg.get(group, {}), dict)}
    use = cfg.get("use", {})
    if not isinstance(use, dict):
        raise VisemixError(f"{who}: 'use: {quoted(use)}' picks no part; write use: {{motion: NAME}}, or motion: NAME")
    for group, name in {**use, **short}.items():
        if group in TABLES and name is None and group in use:
            continue  # takes back what an experiment that this one extends has picked
        if not isinstance(name, str) or "${" in name:
            raise VisemixError(
                f"{who}: '{quoted(group)}: {quoted(name)}' picks no part; give its name, or its options as "
                f"{quoted(group)}.key=value"
            )
    kept = {key: value for key, value in cfg.items() if key not in short}
    return merged(kept, {"use": short}) if short else kept


def _overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Merge, but options written for a part leave with it when another part takes its place, also inside a part; and so
    does how its stage was trained, where the other one brings its own `train`."""
    old, new = under.get("use", {}), over.get("use", {})
    kept = _kept(under, {k: name for k, name in new.items() if name != old.get(k)})
    asked = [group for group in old if group in kept and group in over and group not in TABLES]
    parts = {group: read_part(group, old[group]) for group in asked}
    return merged(kept_options(kept, over, parts), over)


def _kept(under: dict[str, Any], swapped: Mapping[str, str | None]) -> dict[str, Any]:
    """What stays where other parts take the place of these groups' (group → the other one's name)."""
    kept = {key: value for key, value in under.items() if key not in swapped}
    own = {group for group, name in swapped.items() if name and "train" in read_part(group, name)}
    if own and "train" in kept:
        kept["train"] = {stage: options for stage, options in kept["train"].items() if stage not in own}
    return kept


def plain(cfg: Any) -> Any:
    """An OmegaConf node or a mapping as plain dicts and lists."""
    return OmegaConf.to_container(cfg if OmegaConf.is_config(cfg) else OmegaConf.create(cfg), resolve=True)
