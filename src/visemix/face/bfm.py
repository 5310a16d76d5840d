"""Basel Face Model 2009, front part, as Deep3DFaceRecon uses it. Licensed: each user brings the files."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visemix.face.bfm_build import BUILT, FRONT, build_front, missing_sources, read_mat
from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.topology import close_holes
from visemix.types import VisemixError

log = logging.getLogger(__name__)

ARRAYS = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")
LOWER = -0.15  # decimetres below the centroid: GSmoothFace's mouth region, 14 379 of the 35 709 vertices
SOURCES = (
    "ask for 01_MorphableModel.mat at https://faces.dmi.unibas.ch/bfm; Exp_Pca.bin is at "
    "https://github.com/Juyong/3DFace; the other files are in the BFM folder of "
    "https://github.com/sicxu/Deep3DFaceRecon_pytorch"
)

Array = NDArray[Any]


@FACE.register("bfm", local={"path": None})
def bfm(*, path: str | None = None) -> FaceModel:
    """BFM 2009 front (Paysan et al. 2009): 80 components of identity, 64 of expression, 80 of colour, each per σ.

    `path` is a ready `BFM_model_front.mat`, or the folder with it or with the files it is built from (then it is
    `path` is a ready `BFM_model_front.mat`, or the folder with it or with the files it is built from (then it is
    written there once, as `visemix_bfm_front.mat`). Without `path`: the folder or file named by `VISEMIX_BFM`.

    Raises:
        VisemixError: the files are not there, or not what they should be.
    """
    where = path or os.environ.get("VISEMIX_BFM")
    if not where:
        raise VisemixError(f"the BFM face needs its files: set face.path or VISEMIX_BFM to their folder; {SOURCES}")
    return FaceModel(read_front(_ready(Path(where))))


def _ready(where: Path) -> Path:
    if not where.exists():
        raise VisemixError(f"there is no file or folder {where}; {SOURCES}")
    if not where.is_dir():
        return where
    if (where / BUILT).is_file():
        return where / BUILT
    if (where / FRONT).is_file():
        _warn_of_ours(where / FRONT)
        return where / FRONT
    missing = missing_sources(where)
    if missing:
        raise VisemixError(f"{where} has no {FRONT}, and to build it lacks {', '.join(missing)}; {SOURCES}")
    return build_front(where)


def _warn_of_ours(front: Path) -> None:
    """Version 0.1 wrote its own under Deep3DFaceRecon's name, without the mask that that reads of it."""
    try:
        read_mat(front, ["skinmask"])
    except VisemixError as error:
        log.warning("%s; Deep3DFaceRecon cannot use it and builds none beside it: rename it to %s", error, BUILT)


def read_front(path: Path) -> FaceData:
    """A `BFM_model_front.mat`, checked against itself: every array must fit the vertices that the mean shape has.

    Raises:
        VisemixError: an array is missing, or does not fit.
    """
    arrays = read_mat(path, ARRAYS)
    mean = arrays["meanshape"].astype(np.float64).reshape(-1)
    if mean.size % 3:
        raise VisemixError(f"{path}: meanshape has {mean.size} numbers, which is no multiple of 3")
    count = mean.size // 3
    for name in ("idBase", "exBase", "texBase"):
        shape = arrays[name].shape
        if len(shape) != 2 or shape[0] != 3 * count:
            raise VisemixError(f"{path}: {name} has shape {shape}, but {count} vertices need ({3 * count}, ·)")
    if arrays["meantex"].size != 3 * count:
        raise VisemixError(
            f"{path}: meantex has {arrays['meantex'].size} numbers, but {count} vertices need {3 * count}"
        )
    triangles = _ids(path, "tri", arrays["tri"], count)
    landmarks = _ids(path, "keypoints", arrays["keypoints"], count).reshape(-1)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise VisemixError(f"{path}: tri has shape {triangles.shape}, not (·, 3)")
    if len(landmarks) != 68:
        raise VisemixError(f"{path}: keypoints holds {len(landmarks)} landmarks, not 68")
    if triangles.max() != count - 1:
        raise VisemixError(f"{path}: tri reaches vertex {triangles.max() + 1}, but meanshape has {count} vertices")
    points = mean.reshape(-1, 3)
    points = points - points.mean(0)
    expression = _basis(arrays["exBase"])
    return FaceData(
        name="bfm",
        mean=torch.from_numpy(points).float(),
        identity=_basis(arrays["idBase"]),
        expression=expression,
        expression_range=torch.tensor([[-3.0, 3.0]]).repeat(expression.shape[-1], 1),
        albedo=torch.from_numpy(arrays["meantex"].astype(np.float64).reshape(-1, 3) / 255).float(),
        texture=_basis(arrays["texBase"]) / 255,
        triangles=torch.from_numpy(triangles),
        skin=torch.ones(len(triangles), dtype=torch.bool),
        hole=torch.from_numpy(close_holes(triangles, points)),
        landmarks=torch.from_numpy(landmarks),
        lower=torch.from_numpy(points[:, 1] < LOWER),
    )


def _ids(path: Path, name: str, array: Array, count: int) -> NDArray[np.int64]:
    """1-based floats in the file, 0-based integers here."""
    ids = array.astype(np.int64) - 1
    if not ids.size or (array != array.astype(np.int64)).any() or ids.min() < 0 or ids.max() >= count:
        raise VisemixError(f"{path}: {name} must count the {count} vertices from 1")
    return ids


def _basis(columns: Array) -> torch.Tensor:
    """(3N, K) with x, y, z of a vertex in consecutive rows → (N, 3, K)."""
    return torch.from_numpy(columns.astype(np.float32)).unflatten(0, (-1, 3))
