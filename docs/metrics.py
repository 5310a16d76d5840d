"""A page of each metric: what its class says of it, and what docs/pages/metrics says of formula, source, pitfalls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from doctests import fenced
from parts import documented, first, options, source
from registries import shelf
from tables import table

DIRECTIONS = {True: "higher", False: "lower", None: "neither high nor low"}
PER = {"frame": "of each frame, averaged", "clip": "of a whole clip", "set": "of all frames of all clips together"}


def metric_pages(fragments: Mapping[str, str]) -> dict[str, str]:
    """Path → text. Raises `ValueError` where a metric has no fragment, or a fragment no metric."""
    names = {f"metrics/{name}.md" for name in shelf("metric").names}
    if wrong := sorted(names ^ set(fragments)):
        raise ValueError(
            f"each metric has its page in docs/pages, and each page its metric; not so: {', '.join(wrong)}"
        )
    return {"metrics/index.md": index()} | {path: page(path[8:-3], text) for path, text in fragments.items()}


def index() -> str:
    rows = []
    for name in shelf("metric").names:
        metric = shelf("metric").registry.build({"name": name})
        link, what = f"[`{name}`]({name}.md)", first(shelf("metric").registry[name])
        rows.append((link, unit(metric), direction(metric), what))
    told = "`visemix evaluate REAL FAKE --metrics psnr,lmd` scores one video beside another; without names, by all.\n\n"
    return "# Metrics\n\n" + told + table(("name", "unit", "best", "what it is"), rows)


def page(name: str, fragment: str) -> str:
    part = shelf("metric").registry[name]
    metric = shelf("metric").registry.build({"name": name})
    about, told = documented(part)
    where = f"{shelf('metric').home(name).__name__}.{part.__qualname__}"
    module = fenced(inspect.getdoc(shelf("metric").home(name)) or "")
    facts = table(("", ""), [(f"**{what}**", how) for what, how in said(metric).items()])
    lines = [
        f"# {name}",
        about,
        module,
        source(shelf("metric"), name),
        facts,
        fragment.strip(),
        "## Options",
        options(shelf("metric"), name, told),
    ]
    return "\n\n".join([*lines, f"Code: [`{where}`][{where}]"])


def said(metric: Any) -> dict[str, str]:
    """What a metric says of itself."""
    needs = ", ".join(sorted(metric.needs)) or "pictures of single frames"
    weights = metric.about()
    return {
        "unit": unit(metric),
        "best": direction(metric),
        "number": PER[metric.per],
        "region": metric.region,
        "convention": metric.variant,
        "looks at": needs + ("" if metric.compares else "; of the fake alone"),
    } | ({"weights": f"`{weights['file']}`, which you bring; sha256 `{weights['expected_sha256']}`"} if weights else {})


def unit(metric: Any) -> str:
    return "none" if metric.unit == "1" else metric.unit


def direction(metric: Any) -> str:
    if metric.shown.diagnostic:
        return "none: it ranks nothing"
    return DIRECTIONS[metric.higher_is_better] if metric.ideal is None else f"{metric.ideal:g}"
