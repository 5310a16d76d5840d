"""A face tracker and a reconstructor in one file, for a first look: `visemix prepare … --tracker sparse --fit closed`.

The one looks for the face in every few frames only, the other asks no optimiser: both solve what is linear.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from visemix.face import FaceModel
from visemix.ops.camera import DISTANCE, square_camera
from visemix.ops.rotation import matrix_to_euler
from visemix.prepare import RECONSTRUCT, TRACKER, Fit, Reconstructor, Track, Tracker
from visemix.prepare.fit import ProgressCallback, TrackedFace, summarise
from visemix.prepare.geometry import Geometry
from visemix.prepare.track import Picture


@TRACKER.register("sparse")
class Sparse(Tracker):
    """Another tracker (`base`, a name) on every `every`-th frame; between them landmarks go straight."""

    def __init__(self, *, base: str = "mediapipe", every: int = 5) -> None:
        self.base, self.every = TRACKER.build({"name": base}), every

    def __call__(self, frames: Iterable[Picture]) -> list[Track]:
        return [self._between(track) for track in self.base(islice(frames, 0, None, self.every))]

    def _between(self, track: Track) -> Track:
        clock = np.arange(self.every * (len(track.present) - 1) + 1) / self.every
        low = np.minimum(clock.astype(int), max(len(track.present) - 2, 0))
        high, part = np.minimum(low + 1, len(track.present) - 1), (clock - low)[:, None, None]

        def straight(points: np.ndarray) -> np.ndarray:
            return (points[low] * (1 - part) + points[high] * part).astype(np.float32)

        points = None if track.points is None else straight(track.points)
        present = track.present[low] & track.present[high]
        return replace(
            track, start=track.start * self.every, present=present, landmarks=straight(track.landmarks), points=points
        )


@RECONSTRUCT.register("closed")
class Closed(Reconstructor):
    """Scaled orthographic pose (orthogonal Procrustes), then expression by ridge least squares, frame by frame.

    Everyone has the mean face's shape and colour, in even light. `ridge` is the weight of "no expression", px² in a
    picture of 100².
    """

    def __init__(self, face: FaceModel, *, ridge: float = 1.0) -> None:
        self.face, self.ridge = face, ridge

    @torch.no_grad()
    def __call__(self, tracked: TrackedFace, progress: ProgressCallback | None = None) -> Fit:
        tracked.require_face()
        landmarks, present, size = tracked.landmarks, tracked.present, tracked.size
        face, camera = self.face, square_camera(size)
        rest = face.mean[face.landmark_ids]
        seen = (landmarks - camera[1:]) * torch.tensor([1.0, -1.0])  # y up
        middle, centre = rest.mean(0), seen.mean(1, keepdim=True)
        affine = (torch.linalg.pinv(rest - middle) @ (seen - centre)).mT  # (T, 2, 3): where x, y and z go
        u, scales, v = torch.linalg.svd(affine, full_matrices=False)
        across = u @ v
        turn = torch.cat([across, torch.linalg.cross(across[:, :1], across[:, 1:])], 1)
        scale = scales.mean(1)[:, None, None]  # pixels a decimetre
        depth = DISTANCE - camera[0] / scale[:, 0, 0] - (turn[:, 2] * middle).sum(1)
        shift = torch.cat([(centre / scale)[:, 0] - (across @ middle), depth[:, None]], 1)
        left = seen - centre - scale * ((rest - middle) @ across.mT)
        basis = torch.einsum("tac,pce->tpae", scale * across, face.expression[face.landmark_ids]).flatten(1, 2)
        gram = basis.mT @ basis + self.ridge * (size / 100) ** 2 * torch.eye(basis.shape[-1])
        expression = torch.linalg.solve(gram, (basis.mT @ left.flatten(1).unsqueeze(-1))).squeeze(-1)
        pose = torch.cat([matrix_to_euler(turn), shift], 1)
        geometry = Geometry(torch.zeros(face.identity.shape[-1]), expression, pose)
        light = torch.zeros(len(landmarks), 27)
        return summarise(face, geometry, light, face.albedo, landmarks, present, size)
