"""From an experiment file to one plain, complete config. No globals, no cwd changes, no sys.argv."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from visemix.schema import did_you_mean
from visemix.types import VisemixError

__all__ = ["compose", "config_root", "find_experiment", "load_part", "signature", "sweep_points"]

TABLES = ("scale", "compat")  # folders of `configs/` whose files speak of every part
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
        VisemixError: no such experiment, table or part, or a word that is no override.
    """
    changes = OmegaConf.create()
    for override in overrides:
        if "=" not in override:
            raise VisemixError(f"'{override}' is no override; write key=value, as in motion.sigma1=2")
        changes.merge_with(_picked(OmegaConf.from_dotlist([override])))
    cfg = _overlay(_with_parents(find_experiment(experiment)), changes)
    use = dict(cfg.get("use", {}))
    scale, compat = (load_table(table, use.pop(table, None)) for table in TABLES)
    sized = {group: scale.get(group, {}).get(name, {}) for group, name in use.items() if group != "train"}
    parts = {group: load_part(group, name) for group, name in use.items()}
    chosen = OmegaConf.merge(parts, {group: cfg.get(group, {}) for group in sized})
    preset = {group: _preset(chosen[group], compat.get(group, {})) for group in sized}
    published = _own_training(preset)
    built = OmegaConf.merge(parts, sized)
    told = (compat.get("train"), published, scale.get("train"), _own_training(built))
    trained = [{"train": options} for options in told if options]
    assert isinstance(built, DictConfig)
    general = {key: value for key, value in compat.items() if not (config_root() / str(key)).is_dir()}
    merged = OmegaConf.merge(preset, _kept_options(_written(built), _written(cfg)), general, *trained, cfg)
    assert isinstance(merged, DictConfig)
    return merged


def load_table(table: str, name: str | None) -> DictConfig:
    """A file of `configs/scale/` or `configs/compat/`: for each part its options, and under `train` how each stage is
    trained; empty where none is named.

    Raises:
        VisemixError: there is no such file.
    """
    have = [path.stem for path in (config_root() / table).glob("*.yaml")]
    if name is None:
        return OmegaConf.create()
    if name not in have:
        raise VisemixError(f"no {table} '{name}'{did_you_mean(str(name), have)} (have: {', '.join(sorted(have))})")
    return _load(config_root() / table / f"{name}.yaml")


def _own_training(parts: Any) -> dict[str, Any]:
    """Group → how the stage of its name is trained, taken out of the options of its part."""
    return {group: options.pop("train") for group, options in parts.items() if "train" in options}


def _preset(part: Mapping[Any, Any], table: Mapping[Any, Any]) -> dict[str, Any]:
    """What a table says of a part and of the parts inside it; their `train` is the part's."""
    said = dict(table.get(part.get("name"), {}))
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
        for path in (folder / name, (folder / name).with_suffix(".yaml")):
            if path.is_file():
                return path
    have = sorted({str(p.relative_to(root).with_suffix("")) for root in named for p in root.rglob("*.yaml")})
    raise VisemixError(
        f"no experiment '{name}'{did_you_mean(Path(name).stem, have) or did_you_mean(str(name), have)} "
        f"(have: {', '.join(have)})"
    )


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the row of the table it belongs to, and what sets it apart on the command line."""

    row: str
    overrides: tuple[str, ...]


def sweep_points(cfg: DictConfig) -> list[Point]:
    """Every combination in `sweep`: a list for each key, and under `variants` rows by name, as lists of overrides.

    Points that differ in nothing but the seed share a row. Without `sweep` there is one point. `quoted` names the
    paper's table that the rows are set beside; there, the first row is the full model. `ood` names a folder of clips
    whose speech the points are also scored on.

    Raises:
        VisemixError: a key of `sweep` without a list.
    """
    grid: Any = OmegaConf.to_container(OmegaConf.create(cfg.get("sweep") or {}))
    for key in ("quoted", "ood"):
        grid.pop(key, None)
    variants = grid.pop("variants", {"": []})
    for key, values in (*grid.items(), *variants.items()):
        if not isinstance(values, list):
            raise VisemixError(f"sweep: '{key}' needs a list (of values, or of overrides for a row), not '{values}'")
    found = []
    for (name, changes), *values in product(variants.items(), *grid.values()):
        at = [f"{key}={value}" for key, value in zip(grid, values, strict=True)]
        row = " ".join([*([name] if name else []), *(one for one in at if not one.startswith("seed="))])
        found.append(Point(row or "run", (*changes, *at)))
    return found


def signature(cfg: DictConfig) -> str:
    """Eight hex digits that name a run: equal configs share a folder, so a sweep can be resumed."""
    stable = {k: v for k, v in cfg.items() if k not in VOLATILE and k != "sweep"}
    text = OmegaConf.to_yaml(OmegaConf.create(stable), resolve=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def load_part(group: str, name: str) -> DictConfig:
    """The file of one part; a plugin's part needs none."""
    path = config_root() / group / f"{name}.yaml"
    return _load(path) if path.is_file() else OmegaConf.create({"name": name})


def _load(path: Path) -> DictConfig:
    try:
        cfg = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise VisemixError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(cfg, DictConfig):
        raise VisemixError(f"{path} must hold keys and values, not a list")
    return cfg


def _with_parents(path: Path) -> DictConfig:
    body = _picked(_load(path))
    if "plugins" in body:
        body.plugins = [str(path.parent / plugin) for plugin in body.plugins]
    parent = body.pop("extends", None)
    return _overlay(_with_parents(find_experiment(parent, path.parent)), body) if parent else body


def _picked(cfg: DictConfig) -> DictConfig:
    """`face: toy`, the short form of `use: {face: toy}`, spelled out."""
    groups = [folder.name for folder in config_root().iterdir() if folder.is_dir()]
    short = {group: cfg.pop(group) for group in groups if not isinstance(cfg.get(group, {}), DictConfig | dict)}
    for group, name in short.items():
        if not isinstance(name, str):
            raise VisemixError(f"'{group}: {name}' picks no part; give its name, or its options as {group}.key=value")
    picked = OmegaConf.merge(cfg, {"use": short}) if short else cfg
    assert isinstance(picked, DictConfig)
    return picked


def _overlay(under: DictConfig, over: DictConfig) -> DictConfig:
    """Merge, but options written for a part leave with it when another part takes its place, also inside a part; and so
    does how its stage was trained, where the other one brings its own `train`."""
    old, new = under.get("use", {}), over.get("use", {})
    kept = _kept(_written(under), {k: name for k, name in new.items() if name != old.get(k)})
    asked = [group for group in old if group in kept and group in over and group not in TABLES]
    parts = {group: _written(load_part(group, old[group])) for group in asked}
    merged = OmegaConf.merge(_kept_options(kept, _written(over), parts), over)
    assert isinstance(merged, DictConfig)
    return merged


def _kept(under: dict[Any, Any], swapped: Mapping[str, str]) -> dict[Any, Any]:
    """What stays where other parts take the place of these groups' (group → the other one's name)."""
    kept = {key: value for key, value in under.items() if key not in swapped}
    own = {group for group, name in swapped.items() if "train" in load_part(group, name)}
    if own and "train" in kept:
        kept["train"] = {stage: options for stage, options in kept["train"].items() if stage not in own}
    return kept


def _written(cfg: DictConfig) -> dict[Any, Any]:
    """As it stands there: what refers to another key (`${data.root}/anna`) may find it only where all is merged."""
    plain = OmegaConf.to_container(cfg)
    assert isinstance(plain, dict)
    return plain


def _kept_options(under: Mapping[Any, Any], over: Mapping[Any, Any], parts: Mapping[Any, Any] = {}) -> dict[Any, Any]:
    """What of `under` stays below `over`: all but the options of parts where that names others. Where `under` leaves a
    part's name out, `parts` has it.

    >>> base = {"base": {"name": "flow_vae", "channels": 64}, "steps": 3}
    >>> _kept_options({"motion": base}, {"motion": {"base": {"name": "a2ep"}}})
    {'motion': {'base': {}, 'steps': 3}}
    """
    kept = dict(under)
    for key, above in over.items():
        below, known = under.get(key), parts.get(key, {})
        if not (isinstance(above, Mapping) and isinstance(below, Mapping)):
            continue
        known = known if isinstance(known, Mapping) else {}
        name, other = below.get("name", known.get("name")), above.get("name")
        swapped = None not in (name, other) and name != other
        kept[key] = {} if swapped else _kept_options(below, above, known)
    return kept


def plain(cfg: Any) -> Any:
    """An OmegaConf node or a mapping as plain dicts and lists."""
    return OmegaConf.to_container(cfg if OmegaConf.is_config(cfg) else OmegaConf.create(cfg), resolve=True)
