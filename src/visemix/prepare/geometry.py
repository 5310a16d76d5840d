"""A linear face model fitted to the landmarks of a clip: Gauss–Newton within bounds, smooth over time.

Two passes. The first finds one identity over a few dozen different frames: each frame's pose and expression are
eliminated (Schur complement), what is left is a system as wide as the identity. The second keeps the identity and
solves all frames at once; second differences over time couple them, so the system is banded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from visemix.face.model import FaceModel
from visemix.prepare.evidence import LandmarkSigmas, landmark_observations
from visemix.prepare.problem import POSE, ExtraEquations, FractionCallback, Problem, nearest


@dataclass(frozen=True)
class Geometry:
    """Shape and place of a clip's face; `pose` is Euler XYZ in radians, then translation in decimetres."""

    identity: Float[Tensor, " I"]
    expression: Float[Tensor, "T E"]
    pose: Float[Tensor, "T 6"]


def fit_geometry(
    face: FaceModel,
    landmarks: Float[Tensor, "T 68 2"],
    present: Bool[Tensor, " T"],
    size: int,
    weights: LandmarkSigmas | None = None,
    identity_frames: int = 48,
    window: int = 500,
    cut: int | None = None,
    points: Float[Tensor, "T Q 2"] | None = None,
    step: FractionCallback = lambda done: None,
) -> Geometry:
    """Identity, expression and pose whose projection meets the landmarks (pixels of a `size`² picture).

    Frames that are not `present` are filled by the smoothness. `window` frames are solved at once. Frames from `cut` on
    are held out: they follow those before and never the other way round. With the tracker's whole mesh as `points`,
    lids, lips and irises are met between the 68 too.
    """
    weights = weights or LandmarkSigmas()
    problem = Problem(face, landmark_observations(face, landmarks, points, size, weights), present, size, weights)
    count = len(present)
    cut = count if cut is None else cut
    known = present.nonzero()[:, 0]
    pose = problem.first_pose(known)
    known = known[known < cut]
    pose[:cut] = problem.first_pose(known)[:cut]
    chosen = known[farthest_points(_describe(landmarks[known]), min(identity_frames, len(known)))]
    identity, local = problem.solve_identity(chosen, pose[chosen])
    step(0.5)
    start = local[nearest(chosen, count)]
    start[:, :POSE] = pose
    start[chosen] = local
    local = problem.solve_clip(identity, start, cut, window, step=lambda part: step(0.5 + 0.5 * part))
    return Geometry(identity.float(), local[:, POSE:].float(), local[:, :POSE].float())


def refit_geometry(
    face: FaceModel,
    geometry: Geometry,
    more: ExtraEquations,
    *,
    landmarks: Float[Tensor, "T 68 2"],
    present: Bool[Tensor, " T"],
    size: int,
    weights: LandmarkSigmas | None = None,
    window: int = 500,
    cut: int | None = None,
    points: Float[Tensor, "T Q 2"] | None = None,
) -> Geometry:
    """Pose and expression again, as `fit_geometry` finds them, near `geometry` and with what `more` tells of frames.

    Frames that are not `present` are left as they are, and so is what all frames share. Landmarks say how open the eyes
    are and no longer where: a detector and the mesh mean different spots, and lids that follow both shut too late.
    """
    weights = weights or LandmarkSigmas()
    seen = landmark_observations(face, landmarks, points, size, weights)
    problem = Problem(face, seen, present, size, weights)
    start = torch.cat([geometry.pose, geometry.expression], -1).double()
    identity, count = geometry.identity.double(), len(start)
    at = problem.pixels(identity, start)
    for eye in seen.eyes:
        problem.target[:, eye] += (at - problem.target)[:, eye].mean(1, keepdim=True)
    local = problem.solve_clip(identity, start, count if cut is None else cut, window, more)
    local = torch.where(present.unsqueeze(-1), local, start).float()
    return replace(geometry, expression=local[:, POSE:], pose=local[:, :POSE])


def farthest_points(points: Float[Tensor, "N D"], count: int) -> Int[Tensor, " K"]:
    """Ids of `count` points that are far from one another (farthest-point sampling from the middle one), sorted."""
    far = (points - points.mean(0)).square().sum(-1)
    chosen = [int(far.argmin())]
    far = (points - points[chosen[0]]).square().sum(-1)
    for _ in range(count - 1):
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (points - points[chosen[-1]]).square().sum(-1))
    return torch.tensor(sorted(set(chosen)))


def _describe(landmarks: Tensor) -> Tensor:
    """Descriptor of each frame by which different ones are chosen: where the points are in the face, a turned head and
    an open mouth alike."""
    centred = landmarks - landmarks.mean(1, keepdim=True)
    return (centred / centred.square().mean((1, 2), keepdim=True).sqrt()).flatten(1)
