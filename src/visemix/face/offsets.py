"""A free shape: one offset for each vertex of the neutral face, the same in all frames, smooth over the mesh."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree
from torch import Tensor

from visemix.face.model import FaceModel

NOTHING = 1e-4  # decimetres: less than this is none


class Offsets:
    """Normal equations of the offsets, each sighting shared out to the corners of its triangle.

    Args:
        bump: decimetres by which neighbours on the mesh may differ, a standard deviation.
        reach: by which a vertex may be off.
    """

    def __init__(self, face: FaceModel, bump: float, reach: float) -> None:
        count = len(face.mean)
        self.blocks, self.right = torch.zeros(count, 9), torch.zeros(count, 3)
        pull = bump**-2 * smoothness(face) + reach**-2 * sparse.eye(count)
        self.pull = sparse.kron(pull, sparse.eye(3), format="csr")

    def add(
        self,
        corners: Int[Tensor, "S 3"],
        shares: Float[Tensor, "S 3"],
        jacobian: Float[Tensor, "S 2 3"],
        missing: Float[Tensor, "S 2"],
        weight: Float[Tensor, " S"],
    ) -> None:
        """What one frame's spots say: by how many pixels each is off and how they move with its point of the face."""
        weighted = jacobian * weight[:, None, None]
        blocks = (weighted.mT @ jacobian).flatten(1)
        right = (weighted.mT @ missing.unsqueeze(-1)).squeeze(-1)
        for total, part in ((self.blocks, blocks), (self.right, right)):
            shared = part.unsqueeze(1) * shares.unsqueeze(-1)
            total.index_add_(0, corners.flatten(), shared.flatten(0, 1))

    def solve(self, shape: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
        """The offsets after `shape`, from which the sightings were."""
        count = len(shape)
        blocks = self.blocks.double().numpy().reshape(-1, 3, 3)
        seen = sparse.bsr_matrix((blocks, np.arange(count), np.arange(count + 1)))
        system, now = (seen + self.pull).tocsr(), shape.double().numpy().flatten()
        right = self.right.double().numpy().flatten() - self.pull @ now
        step, _ = cg(system, right, rtol=1e-4, maxiter=500, M=sparse.diags(1 / system.diagonal()))
        total = (now + step).reshape(-1, 3)
        total[np.linalg.norm(total, axis=1) < NOTHING] = 0
        return torch.from_numpy(total).float()


def smoothness(face: FaceModel) -> sparse.csr_matrix:
    """The mesh's Laplacian; what is no skin (eyeballs, teeth) is tied to the nearest skin, too."""
    triangles, mean = face.triangles.cpu().numpy(), face.mean.cpu().numpy()
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    skin = np.unique(triangles[face.skin.cpu().numpy()])
    loose = np.setdiff1d(np.arange(len(mean)), skin)
    near = skin[cKDTree(mean[skin]).query(mean[loose])[1]]
    edges = np.concatenate([edges, np.stack([loose, near], 1)])
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = sparse.coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(mean),) * 2).tocsr()
    graph.data[:] = 1
    return sparse.diags(np.asarray(graph.sum(1))[:, 0]) - graph
