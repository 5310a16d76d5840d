"""What others wrote, read once: YAML and JSON as plain data of bounded size, and a schema that they must fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from visemix.ops.store import refuse_endless
from visemix.terminal import printable_lines, steers
from visemix.types import VisemixError
from visemix.values import refers

T = TypeVar("T")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml takes a twentieth of the time
OPEN = ConfigDict(extra="allow", strict=True)  # of a schema that says nothing of other keys
YAML_BYTES, JSON_BYTES = 2 << 20, 128 << 20
DEPTH, NODES = 40, 2_000_000  # of values inside each other, and of all of them, however often one is referred to


def read_yaml(path: Path, wanted: str) -> Any:
    """A YAML file as dicts, lists, texts, numbers, truth values and None; it refers to nothing outside it.

    Raises:
        VisemixError: it cannot be read, or holds something else; `wanted` says what to do.
    """
    text = _text(path, YAML_BYTES, wanted)
    try:
        return plain_data(yaml.load(text, LOADER))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError, AttributeError) as error:
        raise VisemixError(f"{path} is damaged ({_first_line(error)}); {wanted}") from error


def read_json(path: Path, wanted: str, fault: str = "is no JSON") -> Any:
    """A JSON file's content, without NaN and infinite numbers.

    Raises:
        VisemixError: it cannot be read, or holds something else: its `fault`; `wanted` says what to do.
    """
    text = _text(path, JSON_BYTES, wanted)
    try:
        return plain_data(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise VisemixError(f"{path} {fault} ({_first_line(error)}); {wanted}") from error


def plain_data(value: Any) -> Any:
    """The value, which must be made of what JSON and YAML both have, and refer to nothing (`${…}`); control characters
    in its texts as words (`printable_lines`).

    Raises:
        ValueError: it is not.
    """
    counted, marked = 0, False
    level = [value]
    for _ in range(DEPTH):
        inside: list[Any] = []
        for each in level:
            if isinstance(each, Mapping):
                if not all(isinstance(key, (str, int, float)) for key in each):
                    raise ValueError("a key that is neither text nor a number")
                inside += [*each, *each.values()]
            elif isinstance(each, list):
                inside += each
            elif not (each is None or isinstance(each, (str, int, float, bool))):
                raise ValueError(f"a {type(each).__name__}, which is no plain value")
            elif refers(each):
                raise ValueError(f"{each!r:.60} refers to something outside it")
            counted += 1
            marked = marked or (isinstance(each, str) and steers(each))
            if counted + len(inside) > NODES:
                raise ValueError("more values than any such file has")
        if not inside:
            return _printable(value) if marked else value
        level = inside
    raise ValueError(f"values deeper than {DEPTH} inside each other")


def _printable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_printable(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return printable_lines(value) if isinstance(value, str) else value


def fits(schema: type[T], value: Any, where: object, wanted: str, fault: str = "is damaged") -> T:
    """The value as the schema (a dataclass or a TypedDict) has it.

    Raises:
        VisemixError: it does not fit: `where` it stands, its `fault`, in which place of it, and what is `wanted`.
    """
    try:
        found: T = _adapter(schema).validate_python(value)  # type: ignore[arg-type]  # a class is hashable
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        *around, last = [str(step) for step in first["loc"]] or ["it"]
        place = f"{'.'.join(around)} '{last}'".strip()
        raise VisemixError(f"{where} {fault} ({place}: {first['msg']}); {wanted}") from error


@cache
def _adapter(schema: Any) -> Any:
    return TypeAdapter(schema)


def _text(path: Path, most: int, wanted: str) -> str:
    refuse_endless(path)
    try:
        if path.stat().st_size > most:
            raise VisemixError(f"{path} is larger than any such file ({path.stat().st_size >> 20} MB); {wanted}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise VisemixError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise VisemixError(f"{path} is damaged ({error.reason}); {wanted}") from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
