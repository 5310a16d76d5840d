import numpy as np
import pytest
import torch

from visemix.data.clips import TENSORS, ClipFolder
from visemix.data.synthetic import synthesise
from visemix.face import FACE
from visemix.face.shading import landmarks_2d
from visemix.types import Motion, Space, VisemixError


@pytest.fixture(scope="module")
def folder(tmp_path_factory, face):
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder, 2, 4.0, 48, seed=5, face=face)
    return folder


def opening(clip, face):
    """Distance between the inner lips of the mesh, decimetres."""
    subject = clip.subject(range(clip.frames), footage=False)
    points = face.landmarks(Motion(subject.expression, Space.EXPRESSION), subject)[0]
    return (points[:, 62] - points[:, 66]).norm(dim=-1).numpy()


def test_each_speaker_is_a_clip_like_a_prepared_one(folder, face):
    assert sorted(path.name for path in folder.iterdir()) == ["ada_000", "ben_000"]
    clip = ClipFolder(folder / "ben_000", face)
    assert (clip.frames, clip.size, clip.speaker, clip.audio) == (100, 48, "ben", "speech")
    whole = clip.clip(range(20, 30))
    assert whole.video.frames.shape == (1, 10, 3, 48, 48)
    assert whole.speech.wave.shape == (1, 6400)


def test_the_mouth_opens_with_the_sound(folder, face):
    for name in ("ada_000", "ben_000"):
        clip = ClipFolder(folder / name, face)
        loudness = clip.speech().wave[0].unflatten(0, (-1, 640)).square().mean(1).sqrt().numpy()
        assert np.corrcoef(opening(clip, face), loudness)[0, 1] > 0.6
        wrong = np.corrcoef(opening(clip, face), np.roll(loudness, 12))[0, 1]
        assert wrong < 0.4  # half a second off


def test_the_pictures_show_the_truth_that_is_stored(folder, face):
    clip = ClipFolder(folder / "ada_000", face)
    subject = clip.subject(range(clip.frames))
    points = landmarks_2d(face, subject.expression, subject)[0]
    torch.testing.assert_close(clip.tensor("landmarks"), points, rtol=0, atol=1e-3)
    assert points.min() > 0 and points.max() < 48
    lips = [clip.footage([k])[0] for k in (int(opening(clip, face).argmax()), int(opening(clip, face).argmin()))]
    x, y = (int(v) for v in points[int(opening(clip, face).argmax()), 62:67:4].mean(0))
    assert lips[0][:, y, x].mean() < lips[1][:, y, x].mean() - 0.1  # an open mouth is dark inside


def test_the_same_seed_gives_the_same_numbers_and_another_one_does_not(tmp_path, face):
    bytes_of = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (clip,) = synthesise(tmp_path / name, 1, 1.0, 32, seed=seed, face=face)
        bytes_of[name] = (clip.path / TENSORS).read_bytes()
    assert bytes_of["a"] == bytes_of["b"]
    assert bytes_of["a"] != bytes_of["c"]


@pytest.mark.parametrize(("speakers", "seconds"), [(0, 2.0), (9, 2.0), (1, 0.5)])
def test_senseless_wishes_are_refused(tmp_path, face, speakers, seconds):
    with pytest.raises(VisemixError, match="ask for 1 to 8"):
        synthesise(tmp_path, speakers, seconds, 32, face=face)


def test_a_face_without_the_expressions_is_refused_by_name(tmp_path):
    other = FACE.build({"name": "toy"})
    other.name, other.expression_names = "other", ("jaw_drop",)
    with pytest.raises(VisemixError, match="face 'other' cannot act: it has no expression 'blink_"):
        synthesise(tmp_path, face=other)
