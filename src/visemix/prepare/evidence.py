"""What a tracker's points say of a face, as weighted residuals: points, how far lids are apart, where irises are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.prepare.contours import CORNERS, IRISES, LIDS, MIRROR, ContourPoints, contour_points
from visemix.prepare.track import MESH

STANDARD = 512  # pixels: the picture side in which noise and distances of the fit are stated
LEFT_EYE, RIGHT_EYE = (range(eye.start, eye.stop) for eye in (layout.LEFT_EYE, layout.RIGHT_EYE))
SHUT, OPEN = 0.08, 0.2  # height of an eye in widths: the iris is not seen at all, and seen as well as ever


@dataclass(frozen=True)
class LandmarkSigmas:
    """How far each thing may be off: standard deviations, in pixels of a 512² picture or the unknown's own unit."""

    brows: float = 2.0
    eyes: float = 1.2
    nose: float = 1.5
    outer_mouth: float = 1.0
    inner_mouth: float = 0.5
    jaw: float = 2.5  # across the contour
    jaw_slide: float = 60.0  # along it: the jaw line is a contour, its points are no fixed vertices
    between: float = 4.0  # points between the 68 are so many times less sure: they share their neighbours' errors
    lids: float = 0.5  # upper from lower lid, across the eye: what is off in both alike does not count
    lids_slide: float = 0.7  # along it
    iris: float = 1.0  # from the middle between the eye's corners
    outlier: float = 3.0  # residuals over this many standard deviations count linearly (Huber)
    identity: float = 1.0  # of the prior
    independent: float = 3.0  # frames that a whole clip counts as: a detector's errors repeat from frame to frame
    expression: float = 0.25  # of the prior, as a part of each coefficient's range
    turn: float = 0.02  # acceleration of the head, radians per frame²
    move: float = 0.02  # decimetres per frame²
    speech: float = 0.15  # acceleration of the expression, as a part of each coefficient's range per frame²

    def landmarks(self) -> Float[Tensor, "68"]:
        """Standard deviation of each of the 68 points, pixels of a 512² picture, float64."""
        groups = ((17, self.jaw), (10, self.brows), (9, self.nose), (12, self.eyes))
        mouth = ((12, self.outer_mouth), (8, self.inner_mouth))
        return torch.cat([torch.full((n,), sigma, dtype=torch.double) for n, sigma in groups + mouth])


@dataclass(frozen=True)
class LandmarkObservations:
    """P points of a face model seen in T frames. Each of R residuals is a combination of what the points are off."""

    vertices: Int[Tensor, " P"]
    target: Float[Tensor, "T P 2"]  # pixels
    mix: Float[Tensor, "R P"]
    metric: Float[Tensor, "T R 2 2"]  # takes pixels to standard deviations
    eyes: tuple[list[int], list[int]]  # which of the points belong to an eye


def landmark_observations(
    face: FaceModel,
    landmarks: Float[Tensor, "T 68 2"],
    points: Float[Tensor, "T Q 2"] | None,
    size: int,
    weights: LandmarkSigmas,
) -> LandmarkObservations:
    """Observations of the 68 landmarks, and of lids, lips and irises too where mediapipe's whole mesh is given as
    `points`: of another tracker's it is not known where its points are."""
    scale = size / STANDARD
    landmarks = landmarks.double()
    metric = _metric_of_68(landmarks, weights, scale)
    if points is None or points.shape[1] != MESH:
        eyes = (list(LEFT_EYE), list(RIGHT_EYE))
        return LandmarkObservations(face.landmark_ids.cpu(), landmarks, torch.eye(68, dtype=torch.double), metric, eyes)
    found = contour_points(face)
    target = torch.cat([landmarks, points.double()[:, found.tracked[68:]]], 1)
    parts = [
        (torch.eye(68, len(found.tracked), dtype=torch.double), metric),
        _between(found, weights, scale),
        _lids(found, target, weights.lids * scale, weights.lids_slide * scale),
        *(_iris(found, target, k, weights.iris * scale) for k, iris in enumerate(IRISES) if iris in found.tracked),
    ]
    mix = torch.cat([rows for rows, _ in parts])
    metric = torch.cat([each.expand(len(target), -1, -1, -1) for _, each in parts], 1)
    return LandmarkObservations(found.vertices, target, mix, metric, _points_of_eyes(found))


def _metric_of_68(
    landmarks: Float[Tensor, "T 68 2"], weights: LandmarkSigmas, scale: float
) -> Float[Tensor, "T 68 2 2"]:
    """Weights (…, 2, 2) of the 68 points: as sure in all directions, but the jaw's across the contour alone."""
    sigma = weights.landmarks() * scale
    metric = (torch.eye(2, dtype=torch.double) / sigma[:, None, None]).repeat(len(landmarks), 1, 1, 1)
    line = landmarks[:, layout.JAW]
    along = torch.cat([line[:, 1:2] - line[:, :1], line[:, 2:] - line[:, :-2], line[:, -1:] - line[:, -2:-1]], 1)
    metric[:, layout.JAW] = _across(along, weights.jaw * scale, weights.jaw_slide * scale)
    return metric


def _points_of_eyes(found: ContourPoints) -> tuple[list[int], list[int]]:
    """Which points belong to the left eye and to the right one, lids and iris."""
    left = {k for pair in LIDS for k in pair} | {IRISES[0]}
    right = {MIRROR[k] for pair in LIDS for k in pair} | {IRISES[1]}
    further = [(k, mark) for k, mark in enumerate(found.tracked.tolist()) if k >= 68]
    return (
        [*LEFT_EYE, *(k for k, mark in further if mark in left)],
        [*RIGHT_EYE, *(k for k, mark in further if mark in right)],
    )


def _across(along: Tensor, across_sigma: float, along_sigma: float) -> Tensor:
    """(…, 2, 2): measures across a direction and along it."""
    along = F.normalize(along, dim=-1)
    across = torch.stack([-along[..., 1], along[..., 0]], -1)
    return torch.stack([across / across_sigma, along / along_sigma], -2)


def _between(found: ContourPoints, weights: LandmarkSigmas, scale: float) -> tuple[Tensor, Tensor]:
    """Observations of the points between the 68, as sure as those at their ends but for a factor."""
    lids = {k for pair in LIDS for k in (*pair, *(MIRROR[each] for each in pair))}
    more = [k for k in found.tracked[68:].tolist() if k not in IRISES]
    sigma = torch.tensor([weights.eyes if k in lids else weights.outer_mouth for k in more], dtype=torch.double)
    rows = torch.eye(len(found.tracked), dtype=torch.double)[68 : 68 + len(more)]
    return rows, torch.eye(2, dtype=torch.double) / (sigma * weights.between * scale)[:, None, None]


def _lids(found: ContourPoints, target: Tensor, sigma: float, slide: float) -> tuple[Tensor, Tensor]:
    """Observations of each pair of points on upper and lower lid, measured across the line between the eye's
    corners."""
    rows, metrics = [], []
    known = set(found.tracked.tolist())
    for side in (lambda k: k, MIRROR.__getitem__):
        outer, inner = (target[:, found[side(k)]] for k in CORNERS)
        metric = _across(inner - outer, sigma, slide)
        for upper, lower in LIDS:
            if {side(upper), side(lower)} <= known:
                rows.append(_row(found, [(side(upper), 1.0), (side(lower), -1.0)]))
                metrics.append(metric)
    return torch.stack(rows), torch.stack(metrics, 1)


def _iris(found: ContourPoints, target: Tensor, eye: int, sigma: float) -> tuple[Tensor, Tensor]:
    """Observation of an iris from the middle of its eye, the less sure the less open the eye is."""
    side = MIRROR.__getitem__ if eye else (lambda k: k)
    outer, inner, up, down = (target[:, found[side(k)]] for k in (*CORNERS, 160, 144))
    height = (up - down).norm(dim=-1) / (outer - inner).norm(dim=-1)
    seen = ((height - SHUT) / (OPEN - SHUT)).clamp(0, 1)
    row = _row(found, [(IRISES[eye], 1.0), *((side(k), -0.5) for k in CORNERS)])
    return row[None], torch.eye(2, dtype=torch.double) * (seen / sigma)[:, None, None, None]


def _row(found: ContourPoints, parts: Sequence[tuple[int, float]]) -> Tensor:
    row = torch.zeros(len(found.tracked), dtype=torch.double)
    for tracked, weight in parts:
        row[found[tracked]] = weight
    return row
