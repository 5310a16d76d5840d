"""Plain values at the border: YAML within bounds, and trees of values laid over one another."""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from visemix.types import VisemixError

MAX_BYTES = 200_000  # of a file
MAX_DEPTH = 32  # lists and keys inside one another
MAX_INTEGER = 2**53  # beyond, a number is not exact everywhere
QUOTED = 60  # characters of a value in a message


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, interpolations as they stand; none where it is empty.

    Raises:
        VisemixError: it is no UTF-8, no YAML, too large or too deep, or holds something else than keys and values.
    """
    if path.stat().st_size > MAX_BYTES:
        raise VisemixError(f"{path} is larger than {MAX_BYTES:,} bytes; nobody writes that much config by hand")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        _check_depth(text)
        found = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except (YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        raise VisemixError(f"{path} is not a YAML file: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise VisemixError(f"{path} must hold keys and values, not a list")
    check_tree(found, str(path))
    return {str(key): value for key, value in found.items()}


def read_override(word: str) -> dict[str, Any]:
    """What an override says (`motion.layers=2`), its key as keys inside one another, its value as YAML has it.

    Raises:
        VisemixError: it is no override, or its value no YAML.
    """
    key, equals, text = word.partition("=")
    if (
        not equals
        or key.count(".") > MAX_DEPTH
        or not all(re.fullmatch(r"[^\s\[\]{}$=.]+", part) for part in key.split("."))
    ):
        raise VisemixError(f"'{quoted(word)}' is no override; write key=value, as in motion.sigma1=2")
    try:
        _check_depth(text)
        read: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    except (YAMLError, OmegaConfBaseException, ValueError) as error:
        raise VisemixError(f"{quoted(key)}={quoted(text)}: the value is no YAML: {one_line(error)}") from error
    value: Any = read["value"]
    for part in reversed(key.split(".")):
        value = {part: value}
    check_tree(value, "an override")
    return dict(value)


def _check_depth(text: str) -> None:
    """Raises YAMLError where a text is nested so deep that reading it, which goes down by recursion, is in danger."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise YAMLError(f"it is nested more than {MAX_DEPTH} deep in line {event.start_mark.line + 1}")


def check_tree(value: Any, where: str) -> None:
    """Raises VisemixError where something in a tree of plain values is none that a config can hold."""
    for path, key, one in nodes(value, ""):
        place = f"{where}: {path}" if path else where
        if not isinstance(key, str):
            raise VisemixError(f"{place}: the key {quoted(key)} is no word; put it in quotation marks, if it is one")
        if not isinstance(one, (dict, list, str, int, float, type(None))):
            raise VisemixError(f"{place} is a {type(one).__name__}; a config holds words, numbers, lists and keys")
        if isinstance(one, int) and abs(one) > MAX_INTEGER:
            raise VisemixError(f"{place} is {quoted(one)}, which is too large a number; at most 2**53")


def plain_values(value: Any) -> Any:
    """Mappings as dicts and sequences as lists, whoever made them, interpolations resolved."""
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {key: plain_values(inner) for key, inner in value.items()}
    return [plain_values(inner) for inner in value] if isinstance(value, list) else value


def quoted(value: Any, most: int = QUOTED) -> str:
    """A value for a message, cut where it is long."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def merged(*trees: dict[str, Any]) -> dict[str, Any]:
    """Mappings as one, later ones over earlier ones, inside one another too; `???` leaves what is there.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"c": "???"}})
    {'a': {'b': 3, 'c': 2}}
    """
    found: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            there = found.get(key)
            if isinstance(value, dict):
                found[key] = merged(there if isinstance(there, dict) else {}, value)
            elif value != "???" or key not in found:
                found[key] = value
    return found


def kept_options(under: Mapping[Any, Any], over: Mapping[Any, Any], parts: Mapping[Any, Any] = {}) -> dict[Any, Any]:
    """What of `under` stays below `over`: all but the options of parts where that names others. Where `under` leaves a
    part's name out, `parts` has it.

    >>> base = {"base": {"name": "flow_vae", "channels": 64}, "steps": 3}
    >>> kept_options({"motion": base}, {"motion": {"base": {"name": "a2ep"}}})
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
        kept[key] = {} if swapped else kept_options(below, above, known)
    return kept


def nodes(value: Any, path: str, key: Any = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, innermost key, value) of a tree and of everything in it."""
    yield path, key, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from nodes(inner, f"{path}.{quoted(name)}" if path else quoted(name), name)
    elif isinstance(value, (list, tuple)):
        for k, inner in enumerate(value):
            yield from nodes(inner, f"{path}[{k}]")


def refers(value: Any) -> bool:
    """Whether OmegaConf would put something else (a key, the environment) for a text in it.

    >>> refers({"paths": ["a", "${oc.env:HOME}/b"]}), refers("$HOME")
    (True, False)
    """
    if isinstance(value, Mapping):
        return any(refers(key) or refers(each) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(refers, value))
    return isinstance(value, str) and "${" in value


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no name comes near.

    >>> did_you_mean("tfat", ["taft", "mesh"])
    "; did you mean 'taft'?"
    """
    if len(name) > 100:  # nobody mistypes that, and comparing takes minutes
        return ""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())
