import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from visemix.ops import store
from visemix.ops.border import read_json, read_yaml
from visemix.types import VisemixError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, content):
    store.write_text(path, content)


def write_array(path, content):
    store.write_tensors(path, {"a": torch.full((4,), float(len(content)))}, {})


def full(*_):
    raise OSError(28, os.strerror(28))


@pytest.mark.parametrize("way", [write, write_array])
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_and_says_so_in_a_sentence(way, moment, tmp_path, monkeypatch):
    way(tmp_path / "a", "old")
    before = (tmp_path / "a").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if moment == "fsync" else (Path, "replace")), full)
        with pytest.raises(VisemixError, match=r"a could not be written \(No space left on device\); what was there"):
            way(tmp_path / "a", "newer")
        with pytest.raises(VisemixError):
            way(tmp_path / "b", "newer")
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == before
    way(tmp_path / "b", "newer")
    assert names(tmp_path) == ["a", "b"]


def test_what_was_written_is_on_the_disk_before_it_takes_its_place_and_so_is_its_name_afterwards(tmp_path, monkeypatch):
    done = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(Path(f"/proc/self/fd/{fd}").readlink().name), sync(fd)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (done.append("replace"), replace(self, to))[1])
    store.write_text(tmp_path / "a", "text")
    assert done == ["a", "replace", tmp_path.name]


def test_a_name_of_the_greatest_length_that_the_file_system_takes_is_written(tmp_path):
    assert store.write_text(tmp_path / ("ü" * 127), "text").read_text() == "text"


def test_a_row_that_is_appended_is_on_the_disk_itself(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", done.append)
    store.append_text(tmp_path / "log", "eins\n")
    store.append_text(tmp_path / "log", "zwölf\n")
    assert (tmp_path / "log").read_bytes() == "eins\nzwölf\n".encode() and len(done) == 2


def test_tensors_come_back(tmp_path):
    write_array(tmp_path / "a.safetensors", "four")
    assert load_file(tmp_path / "a.safetensors")["a"].tolist() == [4.0] * 4
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("read", [store.sha256, lambda path: read_yaml(path, ""), lambda path: read_json(path, "")])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "a.mp4")
    for path in (tmp_path / "a.mp4", Path("/dev/zero")):
        with pytest.raises(VisemixError, match="no ordinary file"):
            read(path)
