"""A head built from formulas: no download, no licence, the same layout as a real morphable model."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from visemix.face.model import FACE, FaceData, FaceModel
from visemix.face.topology import close_holes
from visemix.face.toy_bases import EXPRESSIONS, expressions, identities, tones
from visemix.face.toy_parts import colours, head
from visemix.face.toy_surface import Array, Head, Ids

LOWEST, HIGHEST = 14.9, 3.4  # rows of the skin grid that bound the face skin: under the chin, below the hairline
WIDEST = np.radians(80)


@FACE.register("toy")
def toy() -> FaceModel:
    """A procedural head for tests and the demo: skull, nose, eyes, ears, lips that part, teeth and mouth inside.

    16 components of identity, 24 of expression (named in `expression_names`), 5 of colour.
    """
    return FaceModel(_data())


@cache
def _data() -> FaceData:
    h = head()
    front = np.abs(h.turn) <= WIDEST
    kept = (h.part == "skin") & front & (h.row <= LOWEST) & (h.row >= HIGHEST)
    skin = kept[h.triangles].all(1)
    corners = h.points[h.triangles[skin]]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    origin = (corners.mean(1) * area[:, None]).sum(0) / area.sum()
    points = h.points - origin

    def tensor(array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).float()

    return FaceData(
        name="toy",
        mean=tensor(points),
        identity=tensor(identities(h)),
        expression=tensor(expressions(h)),
        expression_range=torch.tensor(list(EXPRESSIONS.values())),
        albedo=tensor(colours(h)),
        texture=tensor(tones(h)),
        triangles=torch.from_numpy(h.triangles),
        skin=torch.from_numpy(skin),
        hole=torch.from_numpy(close_holes(h.triangles[skin], points)),
        landmarks=torch.from_numpy(landmarks(h)),
        lower=torch.from_numpy(points[:, 1] < -0.15),
        expression_names=tuple(EXPRESSIONS),
    )


def landmarks(h: Head) -> Ids:
    """The iBUG-68 vertices."""
    x, y, _ = h.points.T
    ahead = (h.part == "skin") & (np.abs(h.turn) < 1.2)

    def near(px: float | int, py: float | int) -> int:
        return int((np.hypot(x - px, y - py) + 9 * ~ahead).argmin())

    def contour(t: float) -> int:
        row = 14.0 - 8.0 * abs(t) ** 1.7
        away = np.hypot((h.row - row) / 8, h.turn - t * np.radians(88))
        return int((away + 9 * (h.part != "skin")).argmin())

    def along(slit: str, places: tuple[float | int, ...], which: int) -> list[int]:
        edge = h.loops[slit][which]
        return [int(edge[round(p * (len(edge) - 1))]) for p in places]

    jaw = [contour(t) for t in np.linspace(-1, 1, 17)]
    brow = [(0.53, 0.425), (0.44, 0.465), (0.34, 0.48), (0.23, 0.465), (0.13, 0.43)]
    brows = [near(-a, b) for a, b in brow] + [near(a, b) for a, b in brow[::-1]]
    nose = [near(0, b) for b in (0.28, 0.17, 0.06, -0.05)]
    nose += [near(a, b) for a, b in ((-0.12, -0.14), (-0.06, -0.16), (0, -0.175), (0.06, -0.16), (0.12, -0.14))]
    eyes = []
    for slit in ("left", "right"):
        eyes += along(slit, (0, 0.33, 0.67), 0) + along(slit, (1, 0.67, 0.33), 1)
    lip = [
        (-0.275, -0.385),
        (-0.16, -0.335),
        (-0.05, -0.30),
        (0, -0.312),
        (0.05, -0.30),
        (0.16, -0.335),
        (0.275, -0.385),
    ]
    lip += [(0.16, -0.455), (0.08, -0.485), (0, -0.49), (-0.08, -0.485), (-0.16, -0.455)]
    outer = [near(a, b) for a, b in lip]
    inner = along("mouth", (0, 0.25, 0.5, 0.75), 0) + along("mouth", (1, 0.75, 0.5, 0.25), 1)
    return np.array(jaw + brows + nose + eyes + outer + inner)
