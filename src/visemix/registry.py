"""Names for interchangeable parts, and what every part knows of itself.

A part is a class, or a function that makes one. Its positional parameters are *wiring*: what the pipeline hands it.
Its keyword-only parameters are its *config*: what a YAML file or the command line may set. There is no second list
of either.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import field, make_dataclass
from functools import cache, wraps
from typing import Any, Generic, TypeVar, get_type_hints

from omegaconf import MISSING

from visemix.options import checked
from visemix.parts import Part, Wrapper, config_of
from visemix.plugins import load_plugins
from visemix.types import VisemixError
from visemix.values import did_you_mean, one_line, quoted

__all__ = ["Registry"]

T = TypeVar("T")
P = TypeVar("P", bound=Callable[..., Any])
WIRING = "positional parameters are what the library hands over, options are keyword-only, so write `*,` before them"
_registered: set[type] = set()  # classes whose constructor notes its config


class Registry(Generic[T]):
    """Parts of one kind, by name.

    Args:
        kind: what one of them is called in messages.
        base: the class that all of them derive from. What it annotates without a value, each of them says.
        plainest: the name of the part to take where it has no say in the result.
        group: the key of an experiment that picks one of them, and under which its options stand.
    """

    def __init__(self, kind: str, base: type[T] | None = None, *, plainest: str = "", group: str = "") -> None:
        self.kind, self.base, self.plainest, self.group = kind, base, plainest, group
        self._parts: dict[str, Callable[..., T]] = {}
        self._local: dict[str, dict[str, Any]] = {}

    def register(self, name: str, *, local: Mapping[str, Any] = {}) -> Callable[[P], P]:
        """A decorator that puts a class, or a function, under a name. What either builds, by whomever it is called,
        has its config in `config`.

        Args:
            local: its options that are about one machine (files, folders, networks), each with the value that it has
                in a checkpoint, whoever wrote that.

        Raises:
            ValueError: another part has the name.
        """

        def add(part: P) -> P:
            self._refuse_loose_ends(name, part, local)
            self._local[name] = dict(local)
            there = self._parts.get(name)
            if there is None:
                there = self._parts[name] = _noting(part, name)
            if inspect.unwrap(there) is not inspect.unwrap(part):
                raise ValueError(f"{self.kind} '{name}' is already {there.__qualname__}")
            return there  # type: ignore[return-value]

        return add

    def __getitem__(self, name: Any) -> Callable[..., T]:
        if not isinstance(name, str):
            raise VisemixError(f"'{quoted(name)}' names no {self.kind}; a name is a word")
        if name not in self._parts:
            load_plugins()
        if name not in self._parts:
            have = ", ".join(sorted(self._parts))
            raise VisemixError(
                f"no {self.kind} named '{quoted(name)}'{did_you_mean(name, self._parts)} (have: {have}); one of your "
                "own is known once its file is named, by --plugin FILE or in an experiment's plugins"
            )
        return self._parts[name]

    def names(self) -> list[str]:
        """Names of all parts, those of plugins too, sorted."""
        load_plugins()
        return sorted(self._parts)

    def schema(self, name: Any) -> type:
        """The part's keyword-only parameters, as a dataclass: names, types and defaults."""
        return _schema(self[name], name)

    def check(self, config: Any, where: str = "") -> dict[str, Any]:
        """A part's options, checked: defaults filled, types converted, unknown keys and impossible numbers refused; the
        options of the parts inside it are checked, and stay as they are. `where` stands before an option's name.

        Raises:
            VisemixError: no name, an unknown name or option, a value of another type, or a number out of its range.
        """
        where = where or (f"{self.group}." if self.group else "")
        if not isinstance(config, Mapping):
            raise VisemixError(
                f"{where.removesuffix('.') or self.kind} needs a name and options by name, not '{quoted(config)}'"
            )
        if "name" not in config:
            how = f", as `use: {{{self.group}: NAME}}` in an experiment" if self.group else ""
            have = ", ".join(self.names())
            raise VisemixError(f"which {self.kind}? say its name (have: {have}){how}; visemix parts describes them")
        options = {k: v for k, v in config.items() if k != "name"}
        schema, kind = self.schema(config["name"]), self.kind_of(config["name"])
        found = checked(schema, options, f"{self.kind} '{config['name']}'", kind.option_sources, where)
        for at, inner in kind.inner_parts(found).items():
            try:
                self.check(inner, f"{where}{at}.")
            except VisemixError as error:
                raise VisemixError(
                    f"{where}{at}: {error}" if f"{where}{at}" not in str(error) else str(error)
                ) from error
        return found

    def full(self, config: Any) -> dict[str, Any]:
        """A config with every option, the name first."""
        options = self.check(config)
        return {"name": config["name"]} | options

    def local_options(self, name: str) -> dict[str, Any]:
        """A part's options that are about one machine, each with its value in a checkpoint."""
        return self._local.get(name, {})

    def portable(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A config as a checkpoint has it: what is about one machine is left out, also of parts inside.

        Raises:
            VisemixError: an unknown part.
        """
        name = config["name"]
        self[name]
        options = {**config, **self.local_options(name)}
        for path, inner in self.kind_of(name).inner_parts(options).items():
            options = _placed(options, path.split("."), self.portable(inner))
        return options

    def build(self, config: Mapping[str, Any], *wiring: Any) -> T:
        """The part that a config names, of its options; what `wiring` is, the kind of part says.

        Raises:
            VisemixError: an unknown name or option, a value of another type; or a part that lacks what its kind needs.
        """
        name: str = config["name"]
        make: Any = self[name]
        if inspect.isabstract(make):
            lacks = ", ".join(sorted(make.__abstractmethods__))
            raise VisemixError(f"{self.kind} '{name}' has no {lacks}; write it in {make.__qualname__}")
        options = self.check(config)
        try:
            inspect.signature(make).bind(*wiring, **options)
        except TypeError as error:
            raise VisemixError(
                f"{self.kind} '{name}' is handed {len(wiring)} things to build it, and {make.__qualname__} takes them "
                f"otherwise ({error}); {WIRING}"
            ) from error
        try:
            part = make(*wiring, **options)
        except VisemixError:
            raise
        except Exception as error:
            said = ", ".join(f"{key}={quoted(config[key])}" for key in config if key != "name")
            raise VisemixError(
                f"{self.kind} '{name}' cannot be built{f' of {said}' if said else ''}: {type(error).__name__}: "
                f"{quoted(one_line(error), 200)}"
            ) from error
        _note(part, {"name": name} | options)  # a part may have two names
        _refuse_unfinished(f"{self.kind} '{name}'", part, self.base)
        return part

    def kind_of(self, name: Any) -> type[Part]:
        """The class of a part, for what it says without being built; `Part` where a function builds it, or where
        nobody here knows it."""
        try:
            made = self[name]
        except VisemixError:
            return Part
        return made if inspect.isclass(made) and issubclass(made, Part) else Part

    def _refuse_loose_ends(self, name: str, part: Callable[..., Any], local: Mapping[str, Any]) -> None:
        """What a part says of its options must be about options that it has; and what has a default, or no type, is no
        wiring, or no option."""
        who, given = f"{self.kind} '{name}'", inspect.signature(part).parameters
        inherited = inspect.signature(self.base).parameters if self.base else {}
        for p in given.values():
            if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty and p.name not in inherited:
                raise ValueError(f"{who} could never be told its '{p.name}': {WIRING}")
            if p.kind is p.KEYWORD_ONLY and p.annotation is p.empty:
                raise ValueError(f"{who} does not say the type of its option '{p.name}'; write {p.name}: float, say")
        for apart in part.separate_weights.values() if inspect.isclass(part) and issubclass(part, Part) else ():
            for option in apart.options or ():
                if option not in given:
                    raise ValueError(f"{who} has no option '{option}', which its `separate_weights` names")
        for option in local:
            if option not in given:
                raise ValueError(f"{who} has no option '{option}', which it says is about one machine (`local`)")


def _placed(options: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Options with a value at a path.

    >>> _placed({"parts": {"mel": {}, "hubert": None}}, ["parts", "mel"], 3)
    {'parts': {'mel': 3, 'hubert': None}}
    """
    key, *below = path
    return {**options, key: _placed(options[key], below, value) if below else value}


def _refuse_unfinished(who: str, part: Any, base: type[Any] | None) -> None:
    """A part without what its kind needs is refused, by what that is."""
    if base is None:
        return
    kind = type(part).__qualname__
    if not isinstance(part, base):
        wanted = f"{base.__module__}.{base.__qualname__}"
        raise VisemixError(f"{who} is a {kind}, which is no {base.__qualname__}: derive {wanted}")
    if not isinstance(part, Part):
        return
    said = [key for cls in (base, Part, Wrapper) if isinstance(part, cls) for key in inspect.get_annotations(cls)]
    # the one place that looks whether a plug-in has what its base announces
    lacks = [f"`{attribute}`" for attribute in (*said, *part.separate_attributes()) if not hasattr(part, attribute)]
    if lacks := lacks + part.unsaid():
        raise VisemixError(f"{who} has no {', '.join(lacks)}, which it must say; set that in {kind}")
    options = config_of(part)
    for option in options.keys() - part.inner_parts(options):
        built = isinstance(options[option], Mapping) and hasattr(part, option)
        if built and isinstance(getattr(part, option), base):
            raise VisemixError(
                f"{who} builds a part of its kind by its option `{option}` and does not say so: derive "
                "visemix.parts.Wrapper where it is called `base`, else write `inner_parts`"
            )


def _noting(part: P, name: str) -> P:
    """A part that notes the config of what it builds, whoever calls it; the first name of a class counts."""
    if not inspect.isclass(part):

        @wraps(part)
        def build(*wiring: Any, **options: Any) -> Any:
            made = part(*wiring, **options)
            _note(made, {"name": name} | _options(build) | options)
            return made

        return build  # type: ignore[return-value]
    if part not in _registered:
        _registered.add(part)
        init = part.__init__  # type: ignore[misc]

        @wraps(init)
        def noted(self: Any, *wiring: Any, **options: Any) -> None:
            init(self, *wiring, **options)
            if type(self) is part:
                if "config" in vars(self):
                    raise VisemixError(f"'{name}' has a `config` of its own, where its options are noted; rename it")
                _note(self, {"name": name} | _options(part) | options)

        noted.__annotations__ = getattr(init, "__annotations__", {})  # `object.__init__`, say, has none to hand over
        part.__init__ = noted  # type: ignore[misc, method-assign]
    return part


def _note(part: Any, config: dict[str, Any]) -> None:
    with suppress(TypeError):  # a list of loggers has no attributes
        vars(part)["config"] = copy.deepcopy(config)


def _options(part: Callable[..., Any]) -> dict[str, Any]:
    """Its keyword-only parameters with their defaults, in order."""
    given = inspect.signature(part).parameters.values()
    return {p.name: p.default for p in given if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}


@cache
def _schema(part: Callable[..., Any], name: str) -> type:
    hints = get_type_hints(part.__init__ if inspect.isclass(part) else part, include_extras=True)
    options = [p for p in inspect.signature(part).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return make_dataclass(name, [(p.name, hints[p.name], _default(p)) for p in options])


def _default(p: inspect.Parameter) -> Any:
    if p.default is p.empty:
        return field(default=MISSING)
    if isinstance(p.default, (list, dict)):
        return field(default_factory=p.default.copy)
    return field(default=p.default)


def portable(config: Mapping[str, Any], registries: Mapping[str, Registry[Any]]) -> dict[str, Any]:
    """A model's config without what is about one machine, as `Registry.portable` has it of each part."""
    return {**config, **{part: registry.portable(config[part]) for part, registry in registries.items()}}
