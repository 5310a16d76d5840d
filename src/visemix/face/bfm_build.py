"""The front face from the licensed Basel Face Model, Guo et al.'s expression basis and open topology files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visemix.ops.store import atomic_write
from visemix.types import VisemixError

FRONT = "BFM_model_front.mat"  # Deep3DFaceRecon's, which builds it where it is missing
BUILT = "visemix_bfm_front.mat"  # ours holds less, and would keep it from doing so under that name
MODEL, EXPRESSION, DEVIATION = "01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt"
FRONT_IDS, EXPRESSION_IDS, TOPOLOGY = "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat"
PER_DECIMETRE = 1e5  # micrometres
COMPONENTS = {"identity": 80, "expression": 64, "texture": 80}

Array = NDArray[Any]


def missing_sources(folder: Path) -> list[str]:
    """Which of the files that the front model is built from are not in `folder`."""
    names = (MODEL, EXPRESSION, DEVIATION, FRONT_IDS, EXPRESSION_IDS, TOPOLOGY)
    return [name for name in names if not (folder / name).is_file()]


def build_front(folder: Path) -> Path:
    """Build the front model from the files in `folder` and write it there as `BUILT`, whole or not at all."""
    from scipy.io import savemat

    arrays = front_arrays(folder)
    with atomic_write(folder / BUILT) as part, part.open("wb") as file:
        savemat(file, arrays)
    return folder / BUILT


def front_arrays(folder: Path) -> dict[str, Array]:
    """What is read of a `BFM_model_front.mat`: bases times their deviations, micrometres → decimetres, front vertices.

    The mean of the expression basis is dropped, so that the mean face stays the Basel one.

    Raises:
        VisemixError: a file is missing or unreadable, or does not fit the others.
    """
    names = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV")
    model = read_mat(folder / MODEL, names)
    whole = model["shapeMU"].size // 3
    expression = _expression(folder)
    to_model = _ids(folder / EXPRESSION_IDS, "trimIndex", whole)  # expression vertex → model vertex
    front = _ids(folder / FRONT_IDS, "idx", len(expression))
    if len(to_model) != len(expression):
        raise VisemixError(
            f"{folder / EXPRESSION} has {len(expression)} vertices, but {EXPRESSION_IDS} {len(to_model)}"
        )
    rows = to_model[front]
    info = read_mat(folder / TOPOLOGY, ("tri", "keypoints", "point_buf"))
    if info["tri"].max() != len(front):
        raise VisemixError(
            f"{folder / TOPOLOGY} is for {int(info['tri'].max())} vertices, {FRONT_IDS} picks {len(front)}"
        )
    arrays = {
        "meanshape": _per_vertex(model["shapeMU"])[rows].reshape(1, -1) / PER_DECIMETRE,
        "idBase": _scaled(model, "shape", rows, COMPONENTS["identity"]) / PER_DECIMETRE,
        "exBase": expression[front].reshape(3 * len(front), -1)[:, : COMPONENTS["expression"]],
        "meantex": _per_vertex(model["texMU"])[rows].reshape(1, -1),
        "texBase": _scaled(model, "tex", rows, COMPONENTS["texture"]),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()} | info


def read_mat(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """The arrays of these names in a .mat file.

    Raises:
        VisemixError: it is no readable .mat file, or lacks one of them.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=list(names))
    except (OSError, ValueError, NotImplementedError, TypeError, EOFError, MatReadError) as error:
        raise VisemixError(f"{path} is not a readable .mat file ({error})") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise VisemixError(f"{path} holds no {' and no '.join(missing)}: it is another file than its place asks for")
    return {name: content[name] for name in names}


def _per_vertex(column: Array) -> Array:
    return column.astype(np.float64).reshape(-1, 3)


def _scaled(model: dict[str, Array], kind: str, rows: NDArray[np.int64], components: int) -> Array:
    basis = model[f"{kind}PC"][:, :components].astype(np.float64) * model[f"{kind}EV"].reshape(-1)[:components]
    return basis.reshape(-1, 3, basis.shape[1])[rows].reshape(-1, basis.shape[1])


def _expression(folder: Path) -> Array:
    """Expression basis (vertices, 3, components), decimetres per deviation."""
    path = folder / EXPRESSION
    count = int(np.fromfile(path, np.int32, 1).sum())
    values = np.fromfile(path, np.float32, offset=4)
    if count < 1 or values.size % (3 * (count + 1)):
        raise VisemixError(f"{path} says {count} components, which its {values.size} numbers do not hold")
    basis = values.reshape(count + 1, -1, 3)[1:]  # the first row is the mean, which nobody wants
    deviation = np.loadtxt(folder / DEVIATION).reshape(-1)
    if len(deviation) < count:
        raise VisemixError(
            f"{folder / DEVIATION} has {len(deviation)} numbers for the {count} components of {path.name}"
        )
    return basis.transpose(1, 2, 0) * deviation[:count] / PER_DECIMETRE


def _ids(path: Path, name: str, count: int) -> NDArray[np.int64]:
    """1-based in the file, 0-based here."""
    ids = read_mat(path, [name])[name].astype(np.int64).reshape(-1) - 1
    if not ids.size or ids.min() < 0 or ids.max() >= count:
        raise VisemixError(f"{path}: {name} must count {count} vertices from 1")
    return ids
