import resource
import zlib

import numpy as np
import pytest
import torch
from clip_maker import make
from safetensors.torch import save_file
from tiny_videos import grey

from visemix.data import ClipFolder, Label, write_clip
from visemix.data.labels import LabelFile, LabelWriter
from visemix.types import VisemixError


def noise(frames=20, size=32):
    return torch.randint(3, (frames, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def write_labels(path, labels):
    with LabelWriter(path) as out:
        for picture in labels:
            out.write(picture)


def with_labels(path, face, labels):
    """A clip of 20 frames of 32 × 32, and labels for it."""
    plain = make(path.with_name("plain"), face)
    tensors = {name: plain.tensor(name) for name in ("wave", "identity", "expression", "pose", "camera", "light")}
    tensors |= {name: plain.tensor(name) for name in ("albedo", "landmarks", "error")}
    return write_clip(path, tensors, grey(20, 32), {}, face=face, labels=labels)


def test_labels_come_back_to_the_pixel_in_any_order(tmp_path, face):
    labels = noise()
    clip = with_labels(tmp_path / "anna", face, labels)
    assert clip.has_labels
    assert torch.equal(clip.labels([7, 3, 3, 19, 0]), labels[[7, 3, 3, 19, 0]])


def test_a_picture_of_one_label_comes_back(tmp_path):
    labels = torch.full((2, 48, 64), int(Label.TORSO), dtype=torch.uint8)
    write_labels(tmp_path / "labels.safetensors", labels)
    file = LabelFile(tmp_path / "labels.safetensors")
    assert file.shape == (2, 48, 64)
    assert torch.equal(file.frames([1]), labels[:1])


def test_three_regions_of_a_head_and_shoulders_take_under_a_kilobyte_a_frame(tmp_path):
    y, x = torch.meshgrid(torch.arange(512), torch.arange(512), indexing="ij")
    torso, head = (y > 400).to(torch.uint8), ((x - 256) ** 2 + (y - 230) ** 2 < 150**2)
    write_labels(tmp_path / "labels.safetensors", [torch.where(head, 2, torso)] * 10)
    assert (tmp_path / "labels.safetensors").stat().st_size < 10_000


def test_a_clip_without_labels_says_so(tmp_path, face):
    clip = make(tmp_path / "anna", face)
    assert not clip.has_labels
    with pytest.raises(VisemixError, match=r"anna has no labels\.safetensors"):
        clip.labels([0])


def test_frames_that_are_not_there_are_refused(tmp_path, face):
    clip = with_labels(tmp_path / "anna", face, noise())
    with pytest.raises(VisemixError, match="has frames 0 to 19"):
        clip.labels([20])


@pytest.mark.parametrize("labels", [noise(19), noise(20, 16)])
def test_labels_that_do_not_fit_the_pictures_leave_no_clip(tmp_path, face, labels):
    with pytest.raises(VisemixError, match=r"labels must have the shape \(20, 32, 32\)"):
        with_labels(tmp_path / "anna", face, labels)
    assert not (tmp_path / "anna").exists()


@pytest.mark.parametrize("keep", [10, 300])
def test_a_damaged_file_is_named(tmp_path, face, keep):
    clip = with_labels(tmp_path / "anna", face, noise())
    file = clip.path / "labels.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(VisemixError, match=r"labels\.safetensors is damaged"):
        ClipFolder(clip.path).labels([0])


@pytest.mark.parametrize(
    ("size", "content"),
    [
        ((64, 64), bytes(10**9)),  # a picture's runs that unpack to a gigabyte
        ((64, 64), np.array([2**32 - 1], "<u4").view(np.uint8).tobytes() + b"\1"),  # one run of four billion pixels
        ((2**40, 2**20), b"\0" * 5),
        ((-8, -8), np.array([64], "<u4").view(np.uint8).tobytes() + b"\1"),
        ((64, 64), b"\0" * 6),
    ],
    ids=["runs", "pixels", "size", "negative", "cut"],
)
def test_a_bomb_of_labels_is_refused_before_it_takes_memory(size, content, tmp_path):
    packed = zlib.compress(content, 9)
    tensors = {"runs": torch.frombuffer(bytearray(packed), dtype=torch.uint8), "ends": torch.tensor([len(packed)])}
    save_file(tensors | {"size": torch.tensor(size)}, tmp_path / "labels.safetensors")
    del content
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VisemixError, match="is damaged"):
        LabelFile(tmp_path / "labels.safetensors").frames([0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize("wanted", [[7], [-1]])
def test_labels_of_frames_that_are_not_there_are_refused(wanted, tmp_path):
    with LabelWriter(tmp_path / "l.safetensors") as out:
        out.write(torch.ones(8, 8, dtype=torch.uint8))
    with pytest.raises(VisemixError, match="it holds 1 pictures"):
        LabelFile(tmp_path / "l.safetensors").frames(wanted)
