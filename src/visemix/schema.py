"""Options by name and type: whether what was said of a part fits what it takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields, make_dataclass
from functools import cache
from typing import Any, get_type_hints

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from visemix.types import VisemixError


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no name comes near.

    >>> did_you_mean("tfat", ["taft", "mesh"])
    "; did you mean 'taft'?"
    """
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def checked(
    schema: type, options: Mapping[str, Any], owner: str, sources: Mapping[str, str] = {}, where: str = ""
) -> dict[str, Any]:
    """`options` against the dataclass `schema`: defaults filled, types converted, unknown keys refused by name.

    One without a default is asked for: `where` stands before its name on a command line, `sources` says what it may be.

    Raises:
        VisemixError: an unknown option, one that is missing, or a value of another type.
    """
    known = [f.name for f in fields(schema)]
    for key in options:
        if key not in known:
            raise VisemixError(
                f"{owner} has no option '{key}'{did_you_mean(key, known)} (has: {', '.join(known) or 'none'})"
            )
    values = {
        key: OmegaConf.to_container(v, resolve=True) if OmegaConf.is_config(v) else v for key, v in options.items()
    }
    for key, value in values.items():
        if refers(value):
            raise VisemixError(
                f"{owner}: {where}{key} refers to something else by ${{…}}, which only an experiment's file may"
            )
    try:
        merged = OmegaConf.merge(_defaults(schema), values)
        return dict(vars(OmegaConf.to_object(merged)))
    except MissingMandatoryValue as error:
        key = str(error.full_key)
        raise VisemixError(
            f"{owner}: an option without a default must be said ({key}): {where}{key}={sources.get(key, '…')}"
        ) from error
    except OmegaConfBaseException as error:
        raise VisemixError(f"{owner}: {str(error).splitlines()[0]} ({error.full_key})") from error


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


@cache
def schema_of(part: Callable[..., Any], name: str) -> type:
    """A part's keyword-only parameters as a dataclass."""
    hints = get_type_hints(part.__init__ if inspect.isclass(part) else part)
    options = [p for p in inspect.signature(part).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return make_dataclass(name, [(p.name, hints[p.name], _default(p)) for p in options])


@cache
def _defaults(schema: type) -> Any:
    return OmegaConf.structured(schema)


def _default(p: inspect.Parameter) -> Any:
    if p.default is p.empty:
        return field(default=MISSING)
    if isinstance(p.default, (list, dict)):
        return field(default_factory=p.default.copy)
    return field(default=p.default)
