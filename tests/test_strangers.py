"""Checkpoints that strangers wrote: data, and nothing but data."""

import inspect
import re
import socket

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
    with pytest.raises(VisemixError, match=r"motion model 'a2ep': motion\.style refers to something else by \$\{…\}"):
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
