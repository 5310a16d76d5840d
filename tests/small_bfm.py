"""The licensed files of BFM 2009 and their company in small: the same arrays, types and traps."""

import numpy as np
from scipy.io import savemat

ROWS, COLUMNS, WHOLE, TRIMMED = 9, 9, 200, 150
HOLE = [(4, c) for c in range(2, 6)]  # squares left out: the mouth


def sheet():
    triangles = []
    for r in range(ROWS - 1):
        for c in range(COLUMNS - 1):
            if (r, c) not in HOLE:
                a, b = r * COLUMNS + c, (r + 1) * COLUMNS + c
                triangles += [(a, b, b + 1), (a, b + 1, a + 1)]
    return np.array(triangles)


def write(folder):
    """The licensed files in a folder, and what was put into them."""
    g = np.random.default_rng(0)
    front = ROWS * COLUMNS
    trim = g.permutation(WHOLE)[:TRIMMED] + 1
    idx = g.permutation(TRIMMED)[:front] + 1
    shape = g.normal(size=(WHOLE, 3)) * 1e5
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    place = np.stack([x.ravel() - 4, 4 - y.ravel(), 0 * x.ravel()], -1) * 2e4
    shape[trim[idx - 1] - 1] = place + np.array([1e5, 2e5, 3e5])  # off centre: it must be recentred
    model = {
        "shapeMU": shape.reshape(-1, 1).astype(np.float32),
        "shapePC": g.normal(size=(3 * WHOLE, 99)).astype(np.float32),
        "shapeEV": g.uniform(1e4, 9e5, size=(99, 1)).astype(np.float32),
        "texMU": g.uniform(20, 200, size=(3 * WHOLE, 1)).astype(np.float32),
        "texPC": g.normal(size=(3 * WHOLE, 99)).astype(np.float32),
        "texEV": g.uniform(1, 900, size=(99, 1)).astype(np.float32),
    }
    savemat(folder / "01_MorphableModel.mat", model)
    expression = g.normal(size=(80, 3 * TRIMMED)).astype(np.float32)  # mean, then 79 components
    with (folder / "Exp_Pca.bin").open("wb") as file:
        np.array([79], np.int32).tofile(file)
        expression.tofile(file)
    deviation = np.linspace(4e5, 276, 79)
    np.savetxt(folder / "std_exp.txt", deviation[None])
    savemat(folder / "BFM_exp_idx.mat", {"trimIndex": trim[:, None].astype(np.uint16)})
    savemat(folder / "BFM_front_idx.mat", {"idx": idx[:, None].astype(np.float32)})
    info = {
        "tri": (sheet() + 1).astype(np.float32),
        "keypoints": np.arange(1, 69)[None].astype(np.float32),
        "point_buf": np.ones((front, 8), np.float32),
    }
    savemat(folder / "facemodel_info.mat", info)
    rows = trim[idx - 1] - 1
    return folder, model, expression, deviation, rows, idx - 1
