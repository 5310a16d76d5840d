"""Holes of a triangle mesh: found from its edges, closed without a new vertex."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Ids = NDArray[np.int64]


def boundary_loops(triangles: Int[np.ndarray, "F 3"]) -> list[Ids]:
    """The closed chains of edges that only one triangle has, longest first, each in its triangles' direction.

    Of a face the longest is the outline, the others are holes. Two loops that touch in one vertex stay apart.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    width = int(edges.max(initial=0)) + 1
    there, back = edges[:, 0] * width + edges[:, 1], edges[:, 1] * width + edges[:, 0]
    after: dict[int, list[int]] = {}
    for a, b in edges[~np.isin(there, back)].tolist():
        after.setdefault(a, []).append(b)
    loops = []
    while after:
        start = next(iter(after))
        loop, at = [start], _step(after, start)
        while at != start:
            if at in loop:  # the chain crossed itself: what it went around is a loop of its own
                k = loop.index(at)
                loops.append(np.array(loop[k:]))
                loop = loop[:k]
            loop.append(at)
            at = _step(after, at)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def _step(after: dict[int, list[int]], at: int) -> int:
    nexts = after[at]
    to = nexts.pop()
    if not nexts:
        del after[at]
    return to


def close_loop(loop: Int[np.ndarray, " L"], points: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "K 3"]:
    """L − 2 triangles that fill a hole, facing as the mesh around it does.

    A zip across the hole: it starts in the corner farthest left and walks both sides to the right, always adding
    the shorter rung. That suits slits (mouths, eyes), stays valid while they open and close, and needs no new vertex.
    """
    loop = np.asarray(loop)
    place = points[loop]
    start = int(place[:, 0].argmin())
    order = np.roll(np.arange(len(loop)), -start)
    one, other = 1, len(loop) - 1  # both neighbours of the start, walking towards each other
    triangles = [(order[other], order[one], order[0])]
    while other - one > 1:
        advance_one = np.linalg.norm(place[order[one + 1]] - place[order[other]])
        advance_other = np.linalg.norm(place[order[one]] - place[order[other - 1]])
        if advance_one <= advance_other:
            triangles.append((order[other], order[one + 1], order[one]))
            one += 1
        else:
            triangles.append((order[other], order[other - 1], order[one]))
            other -= 1
    return loop[np.array(triangles)]


def close_holes(triangles: Int[np.ndarray, "F 3"], points: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "K 3"]:
    """What closes every hole of a face but its outline, the longest loop."""
    holes = [close_loop(loop, points) for loop in boundary_loops(triangles)[1:]]
    return np.concatenate([np.zeros((0, 3), np.int64), *holes])


def parts(triangles: Int[np.ndarray, "F 3"], count: int) -> Int[np.ndarray, " N"]:
    """The connected part of the mesh that each of `count` vertices belongs to, by number."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels
