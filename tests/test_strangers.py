"""Checkpoints that strangers wrote: data, and nothing but data."""

import inspect
import json
import math
import re
import socket
import subprocess
import sys

import pytest
import standins  # noqa: F401 – registers its parts
import torch
from tiny_parts import config as tiny

from visemix.audio import AUDIO
from visemix.ops.store import read_tensors, write_tensors
from visemix.parts import Part
from visemix.pipeline import PARTS, TalkingFace
from visemix.types import VisemixError

LOCAL = re.compile("path|folder|file|root|weights|vgg|url|cache|dir|host|token|repo")  # names of what is on one machine
CONFIG = {
    "face": {"name": "toy"},
    "audio": {"name": "mel", "dim": 8},
    "motion": {"name": "regression", "hidden": 8},
    "render": {"name": "mesh"},
}


def saved(path, **parts):
    TalkingFace.from_config(CONFIG | parts).save(path / "model.safetensors", trained=["motion"], loaded=[])
    return path / "model.safetensors"


def edited(file, change):
    weights, notes = read_tensors(file)
    change(notes["config"])
    write_tensors(file, weights, notes)
    return file


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, registry in PARTS.items() for name in registry.names()]
)
def test_every_option_that_names_something_of_one_machine_is_declared_and_a_checkpoint_has_none(kind, name):
    registry = PARTS[kind]
    options = [p for p in inspect.signature(registry[name]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    text = [p.name for p in options if "str" in str(p.annotation) or "Path" in str(p.annotation)]
    suspect = {option for option in text if LOCAL.search(option)}
    assert suspect <= registry.local_options(name).keys()
    said = registry.portable(tiny(name))
    assert {key: said[key] for key in registry.local_options(name)} == registry.local_options(name)


def test_a_checkpoint_neither_deletes_nor_writes_files(tmp_path, clip):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.safetensors").write_bytes(b"mine")
    hostile = {"name": "cached", "base": CONFIG["audio"] | {"learned": False}, "folder": str(kept), "limit": 0.0}
    file = edited(saved(tmp_path, audio=hostile["base"]), lambda config: config.update(audio=hostile))
    model = TalkingFace.from_checkpoint(file)
    assert model.audio(clip.speech).values.shape[:2] == (2, 10)
    assert [path.name for path in kept.iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize("where", ["audio", "base"])
def test_a_checkpoint_reaches_for_no_weights_but_its_own(where, tmp_path, monkeypatch):
    frozen = tiny("hubert") | {"trainable": False}
    file = saved(tmp_path, audio=frozen)

    def name_a_repository(config):
        config["audio"] |= {"weights": "somebody/model"}
        if where == "base":
            config["audio"] = {"name": "concat", "parts": {"it": {"name": "cached", "base": config["audio"]}}}

    def refuse(*args, **kwargs):
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("transformers.HubertModel.from_pretrained", refuse)
    edited(file, name_a_repository)
    if where == "audio":
        assert TalkingFace.from_checkpoint(file).audio.dim == 16
    else:
        with pytest.raises(VisemixError, match=r"the weights in .* belong to other parts"):
            TalkingFace.from_checkpoint(file)


@pytest.mark.parametrize("text", ["${oc.env:SECRET}", "a ${face.name} b"])
def test_text_in_a_checkpoint_stays_text(text, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    motion = {"name": "a2ep", "dim": 16, "heads": 2, "feedforward": 16, "speakers": ["anna"]}
    file = edited(saved(tmp_path, motion=motion), lambda config: config["motion"].update(style=text))
    with pytest.raises(VisemixError, match=r"no checkpoint that can be loaded: .* refers to something outside it"):
        TalkingFace.from_checkpoint(file)


def test_paths_of_one_machine_do_not_travel_and_are_given_by_who_loads(tmp_path, monkeypatch):
    seen = []

    def toy(*, path: str | None = None):
        seen.append(path)
        return PARTS["face"].build({"name": "toy"})

    monkeypatch.setattr(PARTS["face"], "_parts", PARTS["face"]._parts | {})
    monkeypatch.setattr(PARTS["face"], "_local", PARTS["face"]._local | {})
    PARTS["face"].register("toy_of_a_path", local={"path": None})(toy)
    file = saved(tmp_path, face={"name": "toy_of_a_path", "path": "/home/anna/faces"})
    assert "anna" not in str(read_tensors(file)[1])
    edited(file, lambda config: config["face"].update(path="/home/anna/faces"))
    TalkingFace.from_checkpoint(file)
    TalkingFace.from_checkpoint(file, face={"path": "here"})
    assert seen == ["/home/anna/faces", None, "here"]


@pytest.mark.parametrize("name", ["hubert", "ctc", "ssl"])
def test_an_architecture_says_sizes_and_names_no_repository_of_code(name, tmp_path):
    file = saved(tmp_path, audio=tiny(name))
    hostile = {
        "attn_implementation": "somebody/kernel",
        "_attn_implementation": "somebody/kernel",
        "experts_implementation": "somebody/kernel",
        "auto_map": {"AutoModel": "somebody/model--code.Model"},
        "quantization_config": {"quant_method": "gptq"},
        "dtype": "float64",
        "_name_or_path": "somebody/model",
        "no_such_option": {"deep": 1},
    }
    edited(file, lambda config: config["audio"]["architecture"].update(hostile))
    audio = TalkingFace.from_checkpoint(file).audio
    found = (audio.recogniser if name == "ctc" else audio.model).config
    assert "somebody" not in str({**vars(found), "used": found._attn_implementation})
    assert not hasattr(found, "quantization_config") and not hasattr(found, "no_such_option")
    assert {weight.dtype for weight in audio.parameters()} == {torch.float32}


def test_what_a_part_says_of_a_machine_must_be_an_option_of_it():
    with pytest.raises(
        ValueError, match="audio encoder 'odd' has no option 'folder', which it says is about one machine"
    ):
        AUDIO.register("odd", local={"folder": None})(type("Odd", (Part,), {}))


HUGE = {
    "wide": {"motion": {"name": "regression", "hidden": 100_000}},
    "wider": {"motion": {"name": "a2ep", "dim": 1_000_000, "heads": 2, "feedforward": 16}},
    "deep": {"motion": {"name": "regression", "hidden": 8, "layers": 1_000_000}},
    "deep net": {"motion": {"name": "flow_vae", "encoder_layers": 1_000_000}},
    "many": {"render": {"name": "gaussians", "count": 1_000_000_000}},
    "fine": {"render": {"name": "landmark_nerf", "levels": [1_000_000] * 8}},
    "cells": {"render": {"name": "landmark_nerf", "cells": 100_000}},
    "bands": {"audio": {"name": "mel", "bands": 1_000_000_000}},
    "infinite": {"motion": {"name": "smooth", "base": {"name": "regression", "hidden": 8}, "sigma": 1e30}},
    "architecture": {"audio": tiny("hubert") | {"architecture": {"hidden_size": 100_000, "num_hidden_layers": 1000}}},
    "nested": {"motion": {"name": "regression", "hidden": 8}, "deep": 300},
}
CHILD = """
import json, resource, sys, time
from visemix.pipeline import TalkingFace
from visemix.types import VisemixError
TalkingFace.from_checkpoint(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in sys.argv[2:]:
    begun = time.process_time()
    try:
        TalkingFace.from_checkpoint(file)
        said = ""
    except VisemixError as error:
        said = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([said, time.process_time() - begun, grown / 1024]))
"""


def test_a_small_file_takes_neither_memory_nor_time_whatever_sizes_its_config_names(tmp_path):
    good = saved(tmp_path)
    files = []
    for number, parts in enumerate(HUGE.values()):
        inside = dict(parts)
        for _ in range(inside.pop("deep", 0)):
            inside["motion"] = {"name": "smooth", "base": inside["motion"]}
        (tmp_path / str(number)).mkdir()
        file = tmp_path / str(number) / "model.safetensors"
        file.write_bytes(good.read_bytes())
        files.append(edited(file, lambda config, inside=inside: config.update(inside)))
    command = [sys.executable, "-c", CHILD, str(good), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for name, (said, seconds, megabytes) in zip(HUGE, rows, strict=True):
        assert said and seconds < 10 and megabytes < 500, (name, said, seconds, megabytes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(value, tmp_path):
    file = saved(tmp_path)
    weights, notes = read_tensors(file)
    weights["motion.head.bias"][3] = value
    write_tensors(file, weights, notes)
    with pytest.raises(VisemixError, match=r"hold NaN or an infinite number in 'motion\.head\.bias'"):
        TalkingFace.from_checkpoint(file)


def test_weights_that_nobody_knows_before_training_may_be_no_numbers(tmp_path):
    file = saved(tmp_path, motion=tiny("flow_vae"))
    assert read_tensors(file)[0]["motion.learned_variance.mean"].isnan()
    TalkingFace.from_checkpoint(file)


@pytest.mark.parametrize("kind", [torch.int64, torch.complex64, torch.bool])
def test_weights_of_another_type_do_not_fit(kind, tmp_path):
    file = saved(tmp_path)
    weights, notes = read_tensors(file)
    weights["motion.head.bias"] = weights["motion.head.bias"].to(kind)
    write_tensors(file, weights, notes)
    with pytest.raises(VisemixError, match=r"'motion\.head\.bias' does not fit"):
        TalkingFace.from_checkpoint(file)


@pytest.mark.parametrize(("name", "value"), [("corners", -1), ("corners", 10**6), ("vertices", 10**6)])
def test_gaussians_sit_on_what_the_face_has(name, value, tmp_path):
    file = saved(tmp_path, render=tiny("gaussians"))
    weights, notes = read_tensors(file)
    weights[f"render.bindings.{name}"].view(-1)[0] = value
    write_tensors(file, weights, notes)
    with pytest.raises(VisemixError, match=f"'render.bindings.{name}' what the face model does not have"):
        TalkingFace.from_checkpoint(file)
