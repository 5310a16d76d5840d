import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from small_bfm import sheet, write

from visemix.face import FACE
from visemix.face.bfm_build import read_mat
from visemix.face.topology import boundary_loops
from visemix.types import VisemixError

# iBUG order, 0-based
PUBLISHED = """
16644 16888 16467 16264 32244 32939 33375 33654 33838 34022 34312 34766 35472 27816 27608 27208 27440
28111 28787 29177 29382 29549 30288 30454 30662 31056 31716 8161 8177 8187 8192 6515 7243 8204
9163 9883 2215 3886 4920 5828 4801 3640 10455 11353 12383 14066 12653 11492 5522 6025 7495
8215 8935 10395 10795 9555 8836 8236 7636 6915 5909 7384 8223 9064 10537 8829 8229 7629
"""


@pytest.fixture
def licensed(tmp_path):
    return write(tmp_path)


def test_the_front_model_is_built_with_every_scale_and_index_in_place(licensed):
    folder, model, expression, deviation, rows, index = licensed
    face = FACE.build({"name": "bfm", "path": str(folder)})
    assert face.identity.shape == (81, 3, 80)
    assert face.expression.shape == (81, 3, 64)
    assert face.texture.shape == (81, 3, 80)
    v = 17
    row = 3 * rows[v]
    mean = np.stack([model["shapeMU"][3 * r : 3 * r + 3, 0] for r in rows]).astype(np.float64) / 1e5
    np.testing.assert_allclose(face.mean[v], mean[v] - mean.mean(0), atol=1e-5)
    expected = model["shapePC"][row : row + 3, 5] * model["shapeEV"][5, 0] / 1e5
    np.testing.assert_allclose(face.identity[v, :, 5], expected, rtol=1e-5)
    expected = expression[1 + 7, 3 * index[v] : 3 * index[v] + 3] * deviation[7] / 1e5
    np.testing.assert_allclose(face.expression[v, :, 7], expected, rtol=1e-5)
    np.testing.assert_allclose(face.albedo[v], model["texMU"][row : row + 3, 0] / 255, rtol=1e-5)
    expected = model["texPC"][row : row + 3, 2] * model["texEV"][2, 0] / 255
    np.testing.assert_allclose(face.texture[v, :, 2], expected, rtol=1e-5)


def test_ids_count_from_nought_and_the_mouth_is_closed(licensed):
    face = FACE.build({"name": "bfm", "path": str(licensed[0])})
    assert face.triangles.tolist() == sheet().tolist()
    assert face.landmark_ids.tolist() == list(range(68))
    assert [len(loop) for loop in boundary_loops(face.triangles.numpy())] == [32, 10]
    assert len(face.hole) == 8
    assert face.lower.sum() == (face.mean[:, 1] < -0.15).sum() == 36


def test_it_is_built_once_and_read_from_then_on(licensed):
    folder = licensed[0]
    first = FACE.build({"name": "bfm", "path": str(folder)})
    (folder / "01_MorphableModel.mat").unlink()
    again = FACE.build({"name": "bfm", "path": str(folder)})
    torch.testing.assert_close(first.expression, again.expression, atol=0, rtol=0)
    assert not list(folder.glob("*.part"))


def test_deep3dfacerecon_still_finds_the_folder_without_its_own_file_and_builds_it(licensed):
    before = {path.name for path in licensed[0].iterdir()}
    FACE.build({"name": "bfm", "path": str(licensed[0])})
    assert {path.name for path in licensed[0].iterdir()} - before == {"visemix_bfm_front.mat"}


def test_an_older_versions_file_is_read_and_named_with_the_way_out(licensed, caplog):
    folder = licensed[0]
    first = FACE.build({"name": "bfm", "path": str(folder)})
    (folder / "visemix_bfm_front.mat").rename(folder / "BFM_model_front.mat")
    again = FACE.build({"name": "bfm", "path": str(folder)})
    torch.testing.assert_close(first.expression, again.expression, atol=0, rtol=0)
    assert "BFM_model_front.mat holds no skinmask" in caplog.text
    assert "rename it to visemix_bfm_front.mat" in caplog.text


def test_deep3dfacerecons_own_file_is_read_without_a_word(licensed, caplog):
    rewritten(licensed[0], skinmask=np.ones((1, 81)))
    (licensed[0] / "visemix_bfm_front.mat").rename(licensed[0] / "BFM_model_front.mat")
    assert len(FACE.build({"name": "bfm", "path": str(licensed[0])}).mean) == 81 and not caplog.text


def test_what_is_missing_is_named_with_where_to_ask_for_it(licensed, monkeypatch):
    folder = licensed[0]
    (folder / "Exp_Pca.bin").unlink()
    with pytest.raises(VisemixError, match=r"lacks Exp_Pca\.bin; ask for .*faces\.dmi\.unibas\.ch"):
        FACE.build({"name": "bfm", "path": str(folder)})
    monkeypatch.delenv("VISEMIX_BFM", raising=False)
    with pytest.raises(VisemixError, match="VISEMIX_BFM"):
        FACE.build({"name": "bfm"})
    with pytest.raises(VisemixError, match="no file or folder"):
        FACE.build({"name": "bfm", "path": str(folder / "elsewhere")})


def test_the_environment_names_the_folder(licensed, monkeypatch):
    monkeypatch.setenv("VISEMIX_BFM", str(licensed[0]))
    assert len(FACE.build({"name": "bfm"}).mean) == 81


def rewritten(folder, **changes):
    FACE.build({"name": "bfm", "path": str(folder)})
    path = folder / "visemix_bfm_front.mat"
    names = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")
    arrays = {**read_mat(path, names), **changes}
    savemat(path, {name: array for name, array in arrays.items() if array is not None})
    return {"name": "bfm", "path": str(path)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"idBase": None}, "holds no idBase"),
        ({"exBase": np.zeros((240, 64))}, r"exBase has shape \(240, 64\), but 81 vertices"),
        ({"meanshape": np.zeros((1, 244))}, "no multiple of 3"),
        ({"meanshape": np.zeros((1, 3 * 90)), "idBase": np.zeros((270, 2))}, r"exBase has shape \(243, 64\)"),
        ({"meantex": np.zeros((1, 81))}, "meantex has 81 numbers"),
        ({"keypoints": np.ones((1, 51))}, "51 landmarks, not 68"),
        ({"keypoints": np.zeros((1, 68))}, "keypoints must count the 81 vertices from 1"),
        ({"tri": np.array([[1, 2, 3], [1, 2, 99]])}, "tri must count"),
        ({"tri": np.array([[1, 2, 3]])}, "tri reaches vertex 3, but meanshape has 81"),
    ],
)
def test_a_file_of_another_layout_is_refused(licensed, changes, message):
    with pytest.raises(VisemixError, match=message):
        FACE.build(rewritten(licensed[0], **changes))


def test_a_file_that_is_no_mat_file_is_refused(tmp_path):
    path = tmp_path / "BFM_model_front.mat"
    path.write_text("not a matrix")
    with pytest.raises(VisemixError, match=r"BFM_model_front\.mat is not a readable \.mat file"):
        FACE.build({"name": "bfm", "path": str(path)})


def test_topology_of_another_model_is_refused(licensed):
    folder = licensed[0]
    info = read_mat(folder / "facemodel_info.mat", ("keypoints", "point_buf"))
    savemat(folder / "facemodel_info.mat", info | {"tri": np.array([[1.0, 2, 70]])})
    with pytest.raises(VisemixError, match=r"is for 70 vertices, BFM_front_idx\.mat picks 81"):
        FACE.build({"name": "bfm", "path": str(folder)})


def test_a_cut_off_expression_file_is_refused(licensed):
    path = licensed[0] / "Exp_Pca.bin"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(VisemixError, match=r"Exp_Pca\.bin says 79 components"):
        FACE.build({"name": "bfm", "path": str(licensed[0])})


@pytest.fixture
def real():
    folder = os.environ.get("VISEMIX_BFM")
    if not folder or not (Path(folder) / "facemodel_info.mat").is_file():
        pytest.skip("VISEMIX_BFM does not name a folder with facemodel_info.mat")
    return Path(folder)


def test_the_open_topology_is_as_published(real):
    info = read_mat(real / "facemodel_info.mat", ("tri", "keypoints"))
    triangles = info["tri"].astype(np.int64) - 1
    assert triangles.shape == (70789, 3)
    assert triangles.max() == 35708
    assert np.bincount(triangles.ravel()).max() == 8
    loops = boundary_loops(triangles)
    assert [len(loop) for loop in loops] == [551, 78]
    keypoints = info["keypoints"].astype(np.int64).reshape(-1) - 1
    assert keypoints.tolist() == [int(n) for n in PUBLISHED.split()]


def test_the_licensed_model_is_as_published(real):
    if not (real / "BFM_model_front.mat").is_file():
        pytest.skip("VISEMIX_BFM has no BFM_model_front.mat")
    face = FACE.build({"name": "bfm", "path": str(real)})
    assert face.identity.shape == (35709, 3, 80)
    assert face.expression.shape == (35709, 3, 64)
    assert face.lower.sum() == 14379
    assert len(face.hole) == 76


def test_landmarks_come_back_through_expression(licensed):
    from visemix.types import Motion, Space, Subject

    face = FACE.build({"name": "bfm", "path": str(licensed[0])})
    g = torch.Generator().manual_seed(0)
    expression = 0.3 * torch.randn(1, 5, 64, generator=g)
    rest = [torch.zeros(1, *shape) for shape in ((5, 6), (3,), (5, 27), (4, 3))]
    subject = Subject(("ann",), torch.randn(1, 80, generator=g), expression, *rest)
    there = face.convert(Motion(expression, Space.EXPRESSION), Space.LANDMARKS, subject)
    back = face.convert(face.convert(there, Space.EXPRESSION, subject), Space.LANDMARKS, subject)
    spread = there.values.std()
    assert (back.values - there.values).abs().max() < 1e-3 * spread  # the layout's numbers are noise, not decimetres
