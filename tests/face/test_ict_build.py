import json

import numpy as np
import pytest

from visemix.face import FACE
from visemix.face.ict_build import FILE, IDENTITIES, build_facekit, facekit_arrays, find_model
from visemix.types import VisemixError

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 2, 0]])


def write_obj(path, vertices):
    rows = [
        "# a header",
        *("v {} {} {}".format(*v) for v in vertices),
        "vt 0.5 0.5",
        "f 1/1 2/1 3/1 4/1",
        "f 4/1 3/1 5/1",
    ]
    path.write_text("\n".join(rows))


@pytest.fixture
def checkout(tmp_path):
    model = tmp_path / "FaceXModel"
    model.mkdir()
    write_obj(model / "generic_neutral_mesh.obj", SQUARE)
    for k in range(IDENTITIES):
        write_obj(model / f"identity{k:03d}.obj", SQUARE + k)
    write_obj(model / "jawOpen.obj", SQUARE - [0, 3, 0])
    write_obj(model / "notListed.obj", SQUARE)
    names = {"expressions": ["jawOpen"], "idx_to_landmark_verts": [0] * 67 + [4]}
    (model / "vertex_indices.json").write_text(json.dumps(names))
    return tmp_path


def test_shapes_become_offsets_and_polygons_fans(checkout):
    arrays = facekit_arrays(find_model(checkout))
    assert arrays["neutral"].tolist() == SQUARE.tolist()
    assert arrays["triangles"].tolist() == [[0, 1, 2], [0, 2, 3], [3, 2, 4]]
    assert arrays["identity"].shape == (100, 5, 3)
    assert (arrays["identity"] == np.arange(100)[:, None, None]).all()
    assert arrays["expression"].tolist() == [[[0.0, -3.0, 0.0]] * 5]
    assert arrays["expression_names"].tolist() == ["jawOpen"]
    assert arrays["landmarks68"].tolist() == [0] * 67 + [4]


def test_the_files_are_gathered_once(checkout):
    built = build_facekit(find_model(checkout))
    assert built == checkout / "FaceXModel" / FILE
    assert [path.name for path in built.parent.glob("*.npz*")] == [FILE]
    (built.parent / "jawOpen.obj").unlink()
    with pytest.raises(VisemixError, match=r"has 5 vertices, but ICT-FaceKit light has 26719"):
        FACE.build({"name": "ict", "path": str(checkout)})


def test_what_is_missing_is_named(checkout, tmp_path_factory):
    (checkout / "FaceXModel" / "identity042.obj").unlink()
    with pytest.raises(VisemixError, match=r"lacks identity042\.obj and 0 more; ICT-FaceKit is at"):
        FACE.build({"name": "ict", "path": str(checkout)})
    with pytest.raises(VisemixError, match="is no checkout of ICT-FaceKit"):
        FACE.build({"name": "ict", "path": str(tmp_path_factory.mktemp("empty"))})


def test_a_shape_of_another_mesh_and_a_broken_line_are_refused_by_name(checkout):
    write_obj(checkout / "FaceXModel" / "identity007.obj", SQUARE[:4])
    with pytest.raises(VisemixError, match=r"identity007\.obj has 4 vertices"):
        facekit_arrays(checkout / "FaceXModel")
    (checkout / "FaceXModel" / "identity007.obj").write_text("v 1 2 x")
    with pytest.raises(VisemixError, match=r"identity007\.obj holds vertices"):
        facekit_arrays(checkout / "FaceXModel")
