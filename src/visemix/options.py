"""Options at the border: each value against the annotation of its option, numbers finite and in the range it states."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, get_args, get_type_hints

from omegaconf import MISSING
from pydantic import ConfigDict, TypeAdapter, ValidationError

from visemix.types import VisemixError
from visemix.values import did_you_mean, nodes, plain_values, quoted

__all__ = ["Count", "Fraction", "Natural", "NotNegative", "Positive", "Range", "Seed", "Share"]


@dataclass(frozen=True)
class Range:
    """Numbers that an option may take, in its annotation: `Annotated[int, Range(1)]`. Ends count, unless `above` or
    `below` leaves them out."""

    low: int | float
    high: int | float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, number: int | float) -> bool:
        return (self.low < number if self.above else self.low <= number) and (
            number < self.high if self.below else number <= self.high
        )

    def __str__(self) -> str:
        low = f"{'more than' if self.above else 'at least'} {self.low:.10g}"
        return (
            low if math.isinf(self.high) else f"{low} and {'less than' if self.below else 'at most'} {self.high:.10g}"
        )


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
SEEDS = Range(0, 2**32 - 1)
Seed = Annotated[int, SEEDS]
NotNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]
Fraction = Annotated[float, Range(0, 1, below=True)]


def check_seed(seed: int) -> None:
    """Raises VisemixError for a seed that generators of random numbers do not take."""
    if seed not in SEEDS:
        raise VisemixError(f"--seed {seed} must be {SEEDS}")


def checked(schema: type, options: Any, owner: str, sources: Mapping[str, str] = {}, where: str = "") -> dict[str, Any]:
    """`options` against the dataclass `schema`: defaults filled, types converted, unknown keys refused by name, numbers
    held to be finite and in the range that their annotation states.

    One without a default is asked for: `where` stands before its name on a command line, `sources` says what it may be.

    Raises:
        VisemixError: an unknown option, one that is missing, a value of another type, or a number that cannot be.
    """
    if not isinstance(options, Mapping):
        raise VisemixError(f"{owner} needs options by name, as {where}key=value, not '{quoted(options)}'")
    given = plain_values(options)
    kinds = _adapters(schema)
    for key in given:
        if key not in kinds:
            raise VisemixError(
                f"{owner} has no option '{quoted(key)}'{did_you_mean(str(key), kinds)} "
                f"(has: {', '.join(kinds) or 'none'})"
            )
    found = {}
    for option in fields(schema):
        kind, adapter = kinds[option.name]
        value = given.get(option.name, option.default)
        if value is dataclasses.MISSING:
            value = option.default_factory()  # type: ignore[operator]
        if isinstance(value, str) and value == MISSING:
            raise VisemixError(
                f"{owner}: an option without a default must be said ({option.name}): "
                f"{where}{option.name}={sources.get(option.name, '…')}"
            )
        place = f"{where}{option.name}" if where == f"{owner}." else f"{owner}: {where}{option.name}"
        if option.name in given:
            value = _converted(value, kind, adapter, place)
        found[option.name] = value
    return found


def _converted(value: Any, kind: Any, adapter: Any, place: str) -> Any:
    """A value as its annotation has it.

    Raises:
        VisemixError: it is of another type, or a number that it may not be.
    """
    try:
        _refuse_truth_values(value, kind, place)
        found = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])
        said = first["msg"].replace("Input should be", "it must be")
        raise VisemixError(f"{place}{quoted(at)} is {quoted(repr(first['input']))}; {said}") from error
    _check_numbers(found, kind, place)
    return found


@cache
def _adapters(schema: type) -> dict[str, tuple[Any, Any]]:
    """Option → its annotation, and what converts values to it."""
    config = ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True)
    kinds = get_type_hints(schema, include_extras=True)
    return {
        option.name: (kinds[option.name], TypeAdapter(kinds[option.name], config=config)) for option in fields(schema)
    }


def ranges(kind: Any) -> list[Range]:
    """What an annotation says of the numbers in a value."""
    return [inner for inner in _annotations(kind) if isinstance(inner, Range)]


def _check_numbers(value: Any, kind: Any, where: str) -> None:
    """Raises VisemixError where a number in a value is not finite, or outside the range that an annotation states."""
    allowed = ranges(kind)
    nothing = ", or null for none" if type(None) in get_args(kind) else ""
    for path, _, one in nodes(value, where):
        if isinstance(one, bool) or not isinstance(one, (int, float)):
            continue
        if not math.isfinite(one):
            raise VisemixError(f"{path} is {one}; it must be a finite number{nothing}")
        for span in allowed:
            if one not in span:
                raise VisemixError(f"{path} is {quoted(one)}; it must be {span}{nothing}")


def _refuse_truth_values(value: Any, kind: Any, where: str) -> None:
    """Raises VisemixError where true or false stands for a number or a word."""
    if any(one in (bool, Any, dict, list) for one in _annotations(kind)):
        return
    for path, _, one in nodes(value, where):
        if isinstance(one, bool):
            raise VisemixError(f"{path} is {str(one).lower()}; a number or a word is wanted there, and no truth value")


def _annotations(kind: Any) -> Iterator[Any]:
    yield kind
    for inner in get_args(kind):
        yield from _annotations(inner)
