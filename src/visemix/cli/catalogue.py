"""Lists of the parts with their options, and of what is installed: `visemix parts` and `visemix doctor`."""

from __future__ import annotations

import inspect
import platform
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from typing import Any, get_type_hints

from omegaconf import MISSING as REQUIRED

from visemix import __version__
from visemix.metrics import METRICS
from visemix.metrics.shown import direction
from visemix.ops.backends import INSTALL, version_of
from visemix.options import ranges
from visemix.prepare import videos as prepare  # noqa: F401 – registers what finds, fits and parses faces
from visemix.prepare.fit import RECONSTRUCT
from visemix.prepare.parser import PARSER
from visemix.prepare.track import TRACKER
from visemix.registry import Registry
from visemix.run import REGISTRIES
from visemix.types import VisemixError

Catalogue = dict[str, dict[str, dict[str, Any]]]
CORE = ("torch", "lightning", "torchmetrics", "transformers", "kornia", "omegaconf", "av", "soundfile", "safetensors")
BACKENDS = {  # `ops.backends` says how to come by each
    "numba": "draws Gaussians fast on a processor",
    "gsplat": "draws Gaussians on a CUDA device",
    "pytorch3d": "another rasteriser, for CUDA devices; on a processor a hundredth as fast as ours",
    "nerfacc": "adds up a ray's samples (landmark_nerf, render.compositing=nerfacc), as ours does",
    "tinycudann": "looks hash grids up on a CUDA device (landmark_nerf, render.encoding=hash)",
}
OPTIONAL = {package: f"{what}; {INSTALL[package]}" for package, what in BACKENDS.items()} | {
    "mediapipe": "finds faces for `visemix prepare` and the landmark metrics; pip install 'visemix[prepare]'",
    "moonshine-voice": "hears speech (audio moonshine), with onnxruntime; pip install 'visemix[speech]'",
    "hama": "hears speech sounds (audio phonemes); pip install 'visemix[speech]'",
    "wandb": "logs to Weights & Biases with use: {log: wandb}",
}
PAPER = re.compile(  # as docstrings name it: (arXiv 2312.07385, IV-B), (Wang et al. 2004), Chung and Zisserman (2016)
    r"\(((?:GSmoothFace|GeneFace)[^()]*|[^()]*(?:arXiv \d|[A-Za-z.,] \d{4})[^()]*)\)|([A-Z]\w+ and [A-Z]\w+ \(\d{4}\))"
)
GROUPS: dict[str, Registry[Any]] = REGISTRIES | {"tracker": TRACKER, "fit": RECONSTRUCT, "scene": PARSER}
UNWANTED = ("torchvision", "torchaudio")


def catalogue() -> Catalogue:
    """Group → part → what it is (`about`), the paper it comes from (`source`, None where it comes from none), and its
    options with type and default, and the `range` of its numbers where it states one; a required one has no default. A
    metric also has `unit` and `better`, and whether it is a `headline` and is measured `without_truth`."""
    found = {
        group: {name: _entry(registry, name) for name in names}
        for group, registry in GROUPS.items()
        if (names := registry.names())
    }
    return found | {"metrics": {name: _metric(name) for name in METRICS.names()}}


def pages(found: Catalogue) -> str:
    """The catalogue as text for the console."""
    lines = []
    for group, named in found.items():
        lines.append(group)
        for name, part in named.items():
            source = f" [{part['source']}]" if part["source"] else ""
            better = f", {part['better']} is better" if part.get("better") else ""
            unit = f" ({part['unit']}{better})" if "unit" in part else ""
            lines.append(f"  {name}{unit}: {part['about']}{source}")
            for option, about in part["options"].items():
                value = f" = {about['default']}" if "default" in about else " (required)"
                allowed = f", {about['range']}" if "range" in about else ""
                lines.append(f"      {option}: {about['type']}{allowed}{value}")
    return "\n".join(lines)


def _entry(registry: Registry[Any], name: str) -> dict[str, Any]:
    part = registry[name]
    return {"about": _about(part), "source": _source(part), "options": _options(registry.schema(name))}


def _metric(name: str) -> dict[str, Any]:
    metric = METRICS.build({"name": name})
    return _entry(METRICS, name) | {
        "unit": metric.unit,
        "better": "" if metric.shown.diagnostic else direction(metric.higher_is_better, metric.ideal),
        "headline": metric.shown.headline,
        "without_truth": metric.without_truth,
    }


def _source(part: Any) -> str | None:
    """The first paper that the docstring of a part names, or that of its module."""
    for text in (part.__doc__, getattr(inspect.getmodule(part), "__doc__", None)):
        found = PAPER.search(" ".join((text or "").split()))
        if found:
            return found[1] or found[2]
    return None


def checks() -> Iterator[tuple[bool, str]]:
    """(ok, sentence) for each check of this installation: packages, GPU, weights of metrics, face models."""
    import torch

    from visemix.face import FACE
    from visemix.ops.device import multiplies_bfloat16

    yield True, f"visemix {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    for package in CORE:
        found = version_of(package)
        yield found is not None, f"{package} {found or 'is missing'}"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    fast = multiplies_bfloat16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    yield True, f"{gpu}, {torch.get_num_threads()} threads, bfloat16 {'fast' if fast else 'slow: float32 is used'}"
    for package, what in OPTIONAL.items():
        found = _version_behind(package)
        yield found is not None, f"{package} {found or 'is missing'}: {what}"
    for package in UNWANTED:
        here = find_spec(package) is not None
        yield not here, f"{package} is {'here and breaks torch: uninstall it' if here else 'absent, as it should be'}"
    for name in METRICS.names():
        metric = METRICS.build({"name": name})
        if metric.about():
            reason = metric.missing()
            yield reason is None, f"metric {name}: {reason or metric.about()['file']}"
    for name in FACE.names():
        try:
            face = FACE.build({"name": name})
            yield True, f"face model {name}: {len(face.mean)} vertices"
        except VisemixError as error:
            yield False, f"face model {name}: {error}"


def _version_behind(package: str) -> str | None:
    """The version of what brings a package, under whatever name it was installed."""
    found = version_of(package)
    if found is None and find_spec(package.replace("-", "_")):
        found = next(map(version_of, packages_distributions().get(package, [])), None)
    return found


def _about(part: Any) -> str:
    return (inspect.getdoc(part) or "").split("\n\n")[0].replace("\n", " ")


def _options(schema: type) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    plain = get_type_hints(schema)
    for option in fields(schema):
        kind = inspect.formatannotation(plain[option.name])
        default = option.default_factory() if option.default_factory is not MISSING else option.default
        options[option.name] = {"type": kind.replace("typing.", "")}
        if allowed := ", ".join(map(str, ranges(option.type))):
            options[option.name]["range"] = allowed
        if default != REQUIRED:
            options[option.name]["default"] = default
    return options
