"""Base of all parts: their config, what of it goes into a checkpoint, what they wrap, and which stage trains them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from visemix.types import VisemixError

T = TypeVar("T")
_advised = ContextVar("advised", default=True)


@dataclass(frozen=True)
class SeparateWeights:
    """Weights of a part that a stage of their own trains, not the stage of the whole part."""

    attributes: tuple[str, ...]  # of the part, which hold them; None in one that was built without
    options: tuple[str, ...] | None = None  # of the part, which have a say in them; None: all


@dataclass(frozen=True)
class Published:
    """What a paper, or its authors' code, does where a part can do otherwise, or does.

    Args:
        option: the part's own (`norm`), or what its presets alone decide, or one of the whole config by its path
            (`train.motion.lr`, `eyes`); "" where nothing brings it about: a departure whatever is chosen.
        value: the option's value there; `...` where it is any but the empty one. Without an option, a sentence.
        source: the equation, table or section; of the code, the file.
        why: the default is another.
        code: it is the authors' code that does so, not the paper.
    """

    option: str
    value: Any
    source: str
    why: str = ""
    code: bool = False


class Part:
    """Base of whatever stands in a registry: `AudioEncoder`, `MotionModel`, `Renderer` and `DataModule` are parts."""

    config: dict[str, Any]  # its name and all of its options; the registry notes them, however it is built
    # options that a checkpoint has otherwise, since it brings the weights itself
    checkpoint_options: Mapping[str, Any] = {}
    separate_weights: ClassVar[Mapping[str, SeparateWeights]] = {}  # stage → the weights that it trains
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # value of `compat` → the options that it decides
    published: ClassVar[tuple[Published, ...]] = ()  # what its paper does, and the authors' code
    option_sources: ClassVar[Mapping[str, str]] = {}  # option without a default → what it may be, and who makes that

    @classmethod
    def separate_attributes(cls) -> list[str]:
        """Its attributes that hold what stages of their own train."""
        return [attribute for held in cls.separate_weights.values() for attribute in held.attributes]

    def unsaid(self) -> list[str]:
        """What else it must say of itself and does not, in words, beside the attributes that its kind announces."""
        return []

    @classmethod
    def inner_parts(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """The parts of its kind that it builds by its options: the attribute (`base`, `parts.mel`) → its config."""
        return {}

    def checkpoint_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Its config, as a checkpoint keeps it: without the files that its weights came from."""
        return {**config, **self.checkpoint_options}


class Wrapper(Part):
    """A part around another one of its kind, which its option `base` configures and its attribute `base` holds.

    Checkpoints know the inner part's weights by the names that they have without a wrapper.
    """

    base: Any

    @classmethod
    def inner_parts(cls, options: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """`base` → config of the part that it wraps."""
        return {"base": options["base"]}

    def checkpoint_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Its config, `base` as the part that it wraps has it kept."""
        return super().checkpoint_config(config) | {"base": self.base.checkpoint_config(config["base"])}


def is_known(part: object) -> bool:
    """Whether a registry knows what builds such a part."""
    return "config" in vars(part)


def config_of(part: object) -> dict[str, Any]:
    """The name of a part and its options.

    Raises:
        VisemixError: no registry knows what was built here.
    """
    if not is_known(part):
        raise VisemixError(
            f"nobody knows how to build {type(part).__qualname__} again: it is in no registry; put "
            "@….register('name') above the class, or above the function that builds it"
        )
    return dict(vars(part)["config"])


def answered(who: str, answer: object, wanted: type[T]) -> T:
    """What a part answered, `who` is the part in words.

    Raises:
        VisemixError: it is of another type than `wanted`.
    """
    if not isinstance(answer, wanted):
        must = wanted.__qualname__ if wanted.__module__ == "builtins" else f"{wanted.__module__}.{wanted.__qualname__}"
        raise VisemixError(f"{who} answers with a {type(answer).__qualname__}; it must be a {must}")
    return answer


def advise(log: logging.Logger, message: str, *args: Any) -> None:
    """Warn of what whoever trains a part should know, unless it is being filled from a checkpoint."""
    if _advised.get():
        log.warning(message, *args)


@contextmanager
def without_advice() -> Iterator[None]:
    """Context in which `advise` is silent: what it says of starting weights does not hold where a checkpoint replaces
    them."""
    before = _advised.set(False)
    try:
        yield
    finally:
        _advised.reset(before)


@runtime_checkable
class PartKinds(Protocol):
    """A registry, as far as names of weights go."""

    def kind_of(self, name: str) -> type[Part]:
        """The class of the part of this name."""


@dataclass(frozen=True)
class PartLocation:
    """Where a part is in a model."""

    path: str  # before the names of its weights: "motion.base"
    unwrapped: str  # the same without the wrappers around it: "motion"
    kind: type[Part]
    wrappers: int = 0  # around it


def locate_parts(
    registry: PartKinds, config: Mapping[str, Any], path: str, unwrapped: str = "", wrappers: int = 0
) -> list[PartLocation]:
    """A part of this config, which is at `path`, and those inside it, the outermost first."""
    here = PartLocation(path, unwrapped or path, registry.kind_of(config["name"]), wrappers)
    found, wraps = [here], issubclass(here.kind, Wrapper)
    for at, inner in here.kind.inner_parts(config).items():
        below = here.unwrapped if wraps else f"{here.unwrapped}.{at}"
        found += locate_parts(registry, inner, f"{path}.{at}", below, wrappers + wraps)
    return found


class WeightNames:
    """Owners of the weights of a model, by their names in its `state_dict`."""

    def __init__(self, found: Iterable[PartLocation]) -> None:
        self.places = list(found)

    def unwrapped(self, weight: str) -> str:
        """A weight's name without the wrappers around its part: `motion.head.bias` for `motion.base.head.bias`."""
        place = self.location_of(weight)
        return weight if place is None else place.unwrapped + weight[len(place.path) :]

    def location_of(self, weight: str) -> PartLocation | None:
        """The innermost part that a weight is in; None where it is in none."""
        around = [place for place in self.places if weight.startswith(f"{place.path}.")]
        return max(around, key=lambda place: len(place.path), default=None)

    def separate_stage(self, weight: str) -> str | None:
        """The stage of its own that trains a weight; None where the stage of the whole part does."""
        name = self.unwrapped(weight)
        for place in self.places:
            attribute = name[len(place.unwrapped) + 1 :].split(".")[0] if name.startswith(f"{place.unwrapped}.") else ""
            for stage, held in place.kind.separate_weights.items():
                if attribute in held.attributes:
                    return stage
        return None
