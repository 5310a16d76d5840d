"""In what a config departs from the papers whose stages it uses, or from their authors' code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from omegaconf import OmegaConf

from visemix.config import plain
from visemix.ops.presets import merge_preset
from visemix.parts import Published
from visemix.pipeline import PARTS
from visemix.registry import Registry

OFFICIAL = "official"  # the value of `compat` that follows the code


@dataclass(frozen=True)
class Departure:
    """One difference between what runs here and what was published."""

    where: str  # the option by its path in the config, or what a part's preset decides, or the part
    ours: Any  # its value; None where no option decides
    published: Published

    def __str__(self) -> str:
        theirs, said = self.published.value, self.published
        source = f"{'the code' if said.code else 'the paper'}, {said.source}"
        why = f"; {said.why}" if said.why else ""
        if not said.option:
            return f"{self.where}: {theirs} ({source}){why}"
        there = "set" if theirs is ... else written(theirs)
        return f"{self.where} is {written(self.ours)}, not {there} ({source}){why}"


def departures(config: Mapping[str, Any]) -> list[Departure]:
    """Where a complete config departs from what was published of its parts: from the paper, or under
    `compat: official` from the authors' code. Training counts where the run trains the stage."""
    whole = plain(config)
    found: list[Departure] = []
    for group, registry in PARTS.items():
        if group in whole:
            found += _of_part(registry, whole[group], group, whole)
    return found


def report(config: Mapping[str, Any]) -> list[str]:
    """The departures as lines to read, under a heading for each of their two kinds; nothing where there are none."""
    found, lines = departures(config), []
    for code, whose in ((False, "the papers"), (True, "the authors' code")):
        if some := [str(one) for one in found if one.published.code == code]:
            lines += [f"departs from {whose} in:", *(f"- {line}" for line in some)]
    return lines


def written(value: Any) -> str:
    """A value as YAML has it, on one line."""
    return yaml.safe_dump(_listed(value), default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")


def _of_part(
    registry: Registry[Any], config: Mapping[str, Any], path: str, whole: Mapping[str, Any]
) -> Iterator[Departure]:
    kind, own = registry.kind_of(config["name"]), registry.full(config)
    compat = own.get("compat")
    options = own | merge_preset(kind.presets.get(str(compat), {}), own)
    for one in kind.published:
        if one.code != (compat == OFFICIAL):
            continue
        if not one.option:
            yield Departure(f"{path} ({config['name']})", None, one)
        elif one.option in options:
            where = f"{path}.{one.option}"
            if one.option not in own:  # no option of the part, whose preset alone decides it
                where = f"{path}: {one.option}, which {path}.compat={compat} decides,"
            yield from _compared(where, options[one.option], one)
        elif _trained(one.option, whole):
            yield from _compared(one.option, OmegaConf.select(OmegaConf.create(dict(whole)), one.option), one)
    for at, inner in kind.inner_parts(options).items():
        yield from _of_part(registry, inner, f"{path}.{at}", whole)


def _compared(where: str, ours: Any, one: Published) -> Iterator[Departure]:
    if not (bool(ours) if one.value is ... else _listed(ours) == _listed(one.value)):
        yield Departure(where, ours, one)


def _listed(value: Any) -> Any:
    """A sequence as a list, whoever made it."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _trained(option: str, whole: Mapping[str, Any]) -> bool:
    """Whether a run has a use for an option of the whole config."""
    first, _, rest = option.partition(".")
    return first != "train" or rest.split(".")[0] in whole.get("fit", ())
