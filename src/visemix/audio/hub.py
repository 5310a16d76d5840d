"""Speech models of `transformers`: from a hub name, from a folder, or from random weights."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from visemix.parts import advise
from visemix.types import VisemixError

log = logging.getLogger(__name__)

HOP = 320  # samples between two rows of the convolutions: 50 Hz
RECEPTIVE_FIELD = 400  # samples that one such row sees
UNSHAPED = ("num_attention_heads", "conv_stride", "do_stable_layer_norm", "hidden_act")  # in no weight's shape


def load(kind: str, weights: str, architecture: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A model of the class `kind` (`Wav2Vec2Model`, `HubertForCTC` …), its config overruled by `options`.

    `weights` is a hub name, a folder in `transformers`' layout, "random", or "checkpoint" (to be filled from one of
    Visemix's own files); the last two are built by `architecture`.

    Raises:
        VisemixError: weights that are not there, or with another clock.
    """
    import transformers

    family = kind.removesuffix("Model").removesuffix("ForCTC")
    config_class, model_class = getattr(transformers, f"{family}Config"), getattr(transformers, kind)
    if weights in ("random", "checkpoint"):
        if weights == "random":
            advise(log, "%s starts from random weights: it has never heard speech (audio.weights=random)", family)
        return model_class(config_class(**{**own_options(config_class, architecture), **options}))
    try:
        model = model_class.from_pretrained(weights, **options)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise VisemixError(
            f"audio.weights='{weights}' cannot be loaded ({reason}); give a folder that holds it, fetch it once with "
            f"`hf download {weights}` while online, or ask for weights=random"
        ) from error
    strides = math.prod(model.config.conv_stride)
    if strides != HOP:
        raise VisemixError(f"audio.weights='{weights}' answers every {strides} samples; the clock needs {HOP}")
    return model


def check_architecture(weights: str | None, architecture: Mapping[str, Any] | None) -> None:
    """Refuse weights "checkpoint" without the architecture that Visemix's own files bring.

    Raises:
        VisemixError: they have none.
    """
    if weights == "checkpoint" and architecture is None:
        raise VisemixError("audio.weights=checkpoint is for Visemix's own checkpoints; give a hub name or a path")


def architecture_of(model: Any) -> dict[str, Any]:
    """Options of its config class that build the same network, in types that JSON and YAML have."""
    plain = json.loads(model.config.to_json_string(use_diff=True))
    return {name: value for name, value in plain.items() if name not in ("id2label", "label2id", "_name_or_path")}


def own_options(config_class: Any, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Those options of an architecture that are the model's own numbers and words: not what `transformers` takes beside
    them, such as repositories of code for attention, quantisation or a data type."""
    import transformers

    known = config_class().to_dict().keys() - transformers.PreTrainedConfig().to_dict().keys()
    return {name: value for name, value in architecture.items() if name in known and not name.startswith("_")}


def unshaped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an encoder's architecture that change its features, but not the shapes of its weights."""
    built = options["architecture"] or {}
    return {name: built[name] for name in UNSHAPED if name in built}
