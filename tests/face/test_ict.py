import numpy as np
import pytest
import torch

from visemix.face import FACE
from visemix.face.topology import boundary_loops
from visemix.types import Motion, Space, VisemixError


@pytest.fixture(scope="module")
def ict(assets):
    return FACE.build({"name": "ict", "path": str(assets / "face/ict_facekit.npz")})


def test_the_real_file_has_the_published_sizes(ict):
    assert ict.identity.shape == (24591, 3, 100)
    assert ict.expression.shape == (24591, 3, 53)
    assert ict.texture.shape == (24591, 3, 0)
    assert ict.expression_names[26] == "jawOpen"
    assert ict.expression_range.tolist() == [[0.0, 1.0]] * 53


def test_lengths_are_decimetres_around_the_middle_of_the_face(ict):
    points = ict.mean[ict.landmark_ids]
    eyes = points[42:48].mean(0) - points[36:42].mean(0)
    assert 0.5 < eyes[0] < 0.75
    assert abs(points[27:31, 0]).max() < 0.01
    assert 0.45 < points[30, 2] < 0.65
    assert -1.0 < points[8, 1] < -0.75


def test_the_skin_is_one_piece_whose_mouth_and_eyes_are_closed(ict):
    loops = boundary_loops(ict.triangles[ict.skin].numpy())
    assert sorted(len(loop) for loop in loops)[:3] == [42, 42, 74]
    assert len(loops) == 4
    assert len(boundary_loops(ict.closed_skin.numpy())) == 1
    assert len(ict.hole) == 40 + 40 + 72


def test_the_skin_runs_from_the_forehead_to_under_the_chin_without_the_ears(ict):
    skin = ict.mean[ict.triangles[ict.skin].unique()]
    points = ict.mean[ict.landmark_ids]
    assert skin[:, 1].max() > points[17:27, 1].max() + 0.3
    assert skin[:, 1].min() < points[8, 1]
    assert 0.7 < skin[:, 0].max() < 0.78
    assert torch.isin(ict.landmark_ids[17:], ict.triangles[ict.skin].unique()).all()


def test_an_open_jaw_parts_the_inner_lips(ict, clip):
    subject = clip.subject.at(torch.arange(1))
    subject = type(subject)(**{**vars(subject), "identity": torch.zeros(2, 100)})
    open_jaw = torch.zeros(2, 1, 53)
    open_jaw[..., ict.expression_names.index("jawOpen")] = 1.0
    points = ict.landmarks(Motion(open_jaw, Space.EXPRESSION), subject)[0, 0]
    assert points[62, 1] - points[66, 1] > 0.2


def test_colours_tell_the_parts_apart(ict):
    lips, cheek = ict.albedo[ict.landmark_ids[[51, 57]]], ict.albedo[ict.landmark_ids[2]]
    assert (lips[:, 1] < cheek[1] - 0.1).all()
    assert ict.albedo[21451:24591].amax(1).min() < 0.1  # pupils
    assert ict.albedo[21451:24591].amin(1).max() > 0.85  # whites


def test_it_is_found_through_the_environment(assets, monkeypatch):
    monkeypatch.delenv("VISEMIX_FACES", raising=False)
    monkeypatch.setenv("VISEMIX_ASSETS", str(assets))
    assert FACE.build({"name": "ict"}).name == "ict"


def test_a_missing_file_says_where_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("VISEMIX_FACES", str(tmp_path))
    monkeypatch.delenv("VISEMIX_ASSETS", raising=False)
    with pytest.raises(VisemixError, match=r"VISEMIX_FACES.*github\.com"):
        FACE.build({"name": "ict"})
    with pytest.raises(VisemixError, match=r"nowhere\.npz"):
        FACE.build({"name": "ict", "path": str(tmp_path / "nowhere.npz")})


def test_a_file_of_something_else_is_refused_by_name(tmp_path):
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(VisemixError, match=r"text\.npz is not a readable"):
        FACE.build({"name": "ict", "path": str(text)})
    other = tmp_path / "other.npz"
    np.savez(other, neutral=np.zeros((5, 3)))
    with pytest.raises(VisemixError, match="no array 'triangles'"):
        FACE.build({"name": "ict", "path": str(other)})


def test_a_file_of_another_layout_is_refused(tmp_path):
    arrays = {
        "neutral": np.zeros((5, 3)),
        "triangles": np.zeros((2, 3), int),
        "identity": np.zeros((4, 5, 3)),
        "expression": np.zeros((4, 5, 3)),
        "expression_names": np.array(["a"] * 4),
        "landmarks68": np.zeros(68, int),
    }
    small = tmp_path / "small.npz"
    np.savez(small, **arrays)
    with pytest.raises(VisemixError, match="5 vertices"):
        FACE.build({"name": "ict", "path": str(small)})
    np.savez(small, **{**arrays, "landmarks68": np.zeros(51, int)})
    with pytest.raises(VisemixError, match=r"'landmarks68' has shape \(51,\)"):
        FACE.build({"name": "ict", "path": str(small)})
