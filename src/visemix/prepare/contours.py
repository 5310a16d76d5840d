"""Points of mediapipe's mesh on a face model's: lids and lips between the 68, and the middle of the irises.

The 68 lie on the rims of lids and lips, so what the tracker has between two of them lies on the mesh's shortest way
between them. How far along is taken from mediapipe's canonical face (Apache 2.0), where these points are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from visemix.face.model import FaceModel
from visemix.prepare.track import INDEX_68

# two of the 68 by their numbers in mediapipe's mesh, and what lies between: part of the way from the first
HALF = (
    (33, 160, {246: 0.26, 161: 0.57}),  # upper lid, from the outer corner
    (160, 158, {159: 0.53}),
    (158, 133, {157: 0.46, 173: 0.78}),
    (33, 144, {7: 0.25, 163: 0.56}),  # lower lid
    (144, 153, {145: 0.53}),
    (153, 133, {154: 0.48, 155: 0.81}),
    (61, 40, {185: 0.42}),  # outer rim of the lips, from the corner
    (40, 37, {39: 0.47}),
    (61, 91, {146: 0.43}),
    (91, 84, {181: 0.50}),
    (78, 81, {191: 0.28, 80: 0.63}),  # inner rim
    (81, 13, {82: 0.50}),
    (78, 178, {95: 0.33, 88: 0.62}),
    (178, 14, {87: 0.49}),
)
# fmt: off
MIRROR = {  # the left half's numbers in the right half of the picture
    33: 263, 246: 466, 161: 388, 160: 387, 159: 386, 158: 385, 157: 384, 173: 398, 133: 362,
    7: 249, 163: 390, 144: 373, 145: 374, 153: 380, 154: 381, 155: 382,
    61: 291, 185: 409, 40: 270, 39: 269, 37: 267, 146: 375, 91: 321, 181: 405, 84: 314,
    78: 308, 191: 415, 80: 310, 81: 311, 82: 312, 13: 13, 95: 324, 88: 318, 178: 402, 87: 317, 14: 14,
}
# fmt: on
LIDS = ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155))  # one above the other
CORNERS = (33, 133)
IRISES = (468, 473)  # their middles, image left and right


@dataclass(frozen=True)
class ContourPoints:
    """Where the tracker's points are on a face model: the 68 first, in their order."""

    tracked: Int[Tensor, " P"]  # in the tracker's mesh
    vertices: Int[Tensor, " P"]  # in the model's

    def __getitem__(self, tracked: int) -> int:
        """The place in this list of a point of the tracker's mesh."""
        return int((self.tracked == tracked).nonzero()[0])


def contour_points(face: FaceModel) -> ContourPoints:
    """All points that are known on a model: 68, 40 between them where its mesh leads from one to the next, and the
    irises where it has eyes that turn."""
    ids = face.landmark_ids.cpu().numpy()
    place = dict(zip(INDEX_68.tolist(), ids.tolist(), strict=True))
    graph = _edges(face.triangles.cpu().numpy(), face.mean.cpu().double().numpy())
    flipped = [(MIRROR[a], MIRROR[b], {MIRROR[k]: part for k, part in ways.items()}) for a, b, ways in HALF]
    for start, stop, ways in (*HALF, *flipped):
        length, before = dijkstra(graph, indices=place[start], return_predecessors=True)
        if not np.isfinite(length[place[stop]]):
            continue
        way = [place[stop]]
        while way[-1] != place[start]:
            way.append(int(before[way[-1]]))
        for k, part in ways.items():
            place[k] = way[int(np.abs(length[way] - part * length[way[0]]).argmin())]
    place |= dict(zip(IRISES, face.pupil_ids.tolist(), strict=False))
    return ContourPoints(torch.tensor(list(place)), torch.tensor(list(place.values())))


def _edges(triangles: np.ndarray, points: np.ndarray) -> sparse.csr_matrix:
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, 1), axis=0)
    length = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    graph = sparse.coo_matrix((length, pairs.T), shape=(len(points), len(points))).tocsr()
    return graph + graph.T
