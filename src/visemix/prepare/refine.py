"""A fitted face brought to lie on the pictures: dense refinement of pose and expression.

Landmarks say to a few pixels where a face is; the skin's own pattern says it to a fraction of one. Each round (1)
averages training frames, unwrapped through the mesh as it is, into one texture (`face.unwrap`); (2) finds the optical
flow from it to every frame and solves for all poses and expressions again, on flow, landmarks, prior and smoothness at
once (`geometry.refit_geometry`). A round that leaves no less flow than the one before is not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.face.model import FaceModel
from visemix.ops.camera import project, project_jacobian, square_camera
from visemix.ops.rotation import euler_jacobian, matrix, pose_points
from visemix.prepare.appearance import Frames
from visemix.prepare.evidence import STANDARD, LandmarkSigmas
from visemix.prepare.geometry import Geometry
from visemix.prepare.problem import ExtraEquations, FractionCallback, NormalEquations
from visemix.prepare.unwrap import Chart, Flow, UnwrappedFrame, opencv

Refit = Callable[[Geometry, ExtraEquations], Geometry]  # `refit_geometry` of what is known of the clip
FlowResidual = tuple[Tensor, Tensor]  # pixels (S, 2) by which each spot of the chart should move, and its weight (S)


@dataclass(frozen=True)
class FlowSigmas:
    """How far to believe the flow: standard deviations, in pixels of a 512² picture."""

    flow: float = 0.7
    spots: float = 1000.0  # that all of a frame's count as: neighbours err alike
    outlier: float = 2.0  # flow of more pixels than this counts linearly (Huber)
    sample: int = 48  # frames that the texture is made of


def anchors(weights: LandmarkSigmas) -> LandmarkSigmas:
    """Sigmas of the landmarks beside flow: smaller where it cannot follow, at lids, inner lips and the outline."""
    return replace(
        weights,
        jaw=0.4 * weights.jaw,
        eyes=0.4 * weights.eyes,
        inner_mouth=0.2 * weights.inner_mouth,
    )


@torch.no_grad()
def refine(
    face: FaceModel,
    geometry: Geometry,
    present: Bool[Tensor, " T"],
    size: int,
    frames: Frames,
    refit: Refit,
    *,
    cut: int | None = None,
    rounds: int = 3,
    trust: FlowSigmas | None = None,
    step: FractionCallback = lambda done: None,
) -> tuple[Geometry, tuple[float, float]]:
    """The geometry with pose and expression refined in the frames that show the face; the others stay as they are.

    Args:
        geometry: of the landmarks.
        present, size, frames, cut: as `Reconstructor` takes them; frames from `cut` on are refined from their own
            pictures, but make no part of the texture.
        refit: finds pose and expression again, given more that is known of the frames.
        step: is told the part that is done.

    Returns:
        And the median flow that is left to the sample of training frames, pixels of a 512² picture, before and after.

    Raises:
        VisemixError: OpenCV is not installed.
    """
    with one_core(opencv()):
        clip = _Clip(face, geometry, present, size, frames, cut, trust or FlowSigmas())
        return _refine(clip, geometry, refit, rounds, step)


def _refine(
    clip: _Clip, geometry: Geometry, refit: Refit, rounds: int, step: FractionCallback
) -> tuple[Geometry, tuple[float, float]]:
    best = geometry
    texture, first = clip.average(best)
    least = first
    for done in range(rounds):
        fine = done == rounds - 1
        tried = clip.round(best, texture, fine, refit, partial(_part, step, done, rounds))
        texture, left = clip.average(tried)
        if not left < least:
            break
        best, least = tried, left
    step(1.0)
    return best, (first, least)


def _part(step: FractionCallback, done: int, rounds: int, part: float) -> None:
    step((done + part) / rounds)


@contextmanager
def one_core(cv: Any) -> Iterator[None]:
    """Context: OpenCV on one thread. It cuts a picture into as many parts as it has threads, and the flow differs with
    them."""
    before = cv.getNumThreads()
    cv.setNumThreads(1)
    try:
        yield
    finally:
        cv.setNumThreads(before)


class _Clip:
    def __init__(
        self,
        face: FaceModel,
        geometry: Geometry,
        present: Tensor,
        size: int,
        frames: Frames,
        cut: int | None,
        trust: FlowSigmas,
    ) -> None:
        self.present, self.frames, self.trust = present, frames, trust
        known = present[:cut].nonzero()[:, 0]
        some = torch.linspace(0, len(known) - 1, min(trust.sample, len(known))).round().long()
        self.sample: list[int] = known[some].tolist()
        neutral = face.mean + face.identity @ geometry.identity
        self.chart = Chart(face, neutral, geometry.pose[known].median(0).values, size)
        self.camera, self.unit = square_camera(size), size / STANDARD
        self.basis = face.expression[self.chart.vertices]
        self.corners, self.shares = (of[self.chart.spots] for of in (self.chart.corners, self.chart.shares))
        self.neutral = neutral[self.chart.vertices]
        self.neutral_at_spots, self.basis_at_spots = self.at_spots(self.neutral), self.at_spots(self.basis)

    def at_spots(self, vertices: Tensor) -> Tensor:
        """(V, …) of the chart's vertices → (S, …) of its spots."""
        shares = self.shares.view(*self.shares.shape, *[1] * (vertices.ndim - 1))
        return (vertices[self.corners] * shares).sum(1)

    def sheet(self, geometry: Geometry, k: int) -> UnwrappedFrame:
        shape = self.neutral + self.basis @ geometry.expression[k]
        points = project(pose_points(shape, geometry.pose[k]), self.camera)[:, :2]
        return self.chart.unwrap(self.frames([k])[0], points)

    def average(self, geometry: Geometry) -> tuple[Float[np.ndarray, "h w"], float]:
        """The sample's mean texture, and how much flow is left from it to each frame."""
        sheets = [self.sheet(geometry, k) for k in self.sample]
        mass = np.sum([sheet.seen for sheet in sheets], 0)
        texture = sum(sheet.seen * sheet.picture for sheet in sheets) / np.maximum(mass, 1)
        flow = Flow(self.chart, texture, fine=False)
        left = []
        for sheet in sheets:
            found, believed = flow(sheet)
            if believed.any():
                left.append(float(np.median(np.hypot(*found[believed > 0].T))))
        return texture, float(np.mean(left)) / self.chart.unit if left else 0.0

    def round(
        self, geometry: Geometry, texture: Float[np.ndarray, "h w"], fine: bool, refit: Refit, step: FractionCallback
    ) -> Geometry:
        flow = Flow(self.chart, texture, fine)

        def more(first: int, last: int) -> NormalEquations:
            rows = []
            for k in range(first, last):
                rows.append(self.normal(geometry, k, self.flow_residual(flow, geometry, k)))
                step((k + 1) / len(self.present))
            at = torch.cat([geometry.pose, geometry.expression], -1)[first:last].double()
            return NormalEquations(at, *(torch.stack(column).double() for column in zip(*rows, strict=True)))

        return refit(geometry, more)

    def flow_residual(self, flow: Flow, geometry: Geometry, k: int) -> FlowResidual:
        if not self.present[k]:
            return torch.zeros(len(self.corners), 2), torch.zeros(len(self.corners))
        sheet = self.sheet(geometry, k)
        found, believed = flow(sheet)
        at = self.chart.texels[self.chart.spots].numpy()
        x, y = found.reshape(-1, 2)[at].T
        move = sheet.along.reshape(2, -1)[:, at] * x + sheet.down.reshape(2, -1)[:, at] * y
        scale = self.trust.spots / (self.trust.flow * self.unit) ** 2 / max(len(at), 1)
        return torch.from_numpy(move.T), scale * torch.from_numpy(believed.reshape(-1)[at])

    def normal(self, geometry: Geometry, k: int, move: FlowResidual) -> tuple[Tensor, Tensor, Tensor]:
        """Normal equations of a frame's pose and expression, flow that is far off counting less (Huber)."""
        missing, weight = move
        pose, turn = geometry.pose[k], matrix(geometry.pose[k, :3])
        turned = (self.neutral_at_spots + self.basis_at_spots @ geometry.expression[k]) @ turn.T
        by_place = project_jacobian(turned + pose[3:], self.camera[0])
        parts = [by_place @ euler_jacobian(pose[:3], turned), by_place, by_place @ turn @ self.basis_at_spots]
        limit = self.trust.outlier * self.unit
        root = (weight * (limit / missing.norm(dim=-1).clamp(min=1e-9)).clamp(max=1)).sqrt()[:, None]
        rows, missing = (torch.cat(parts, -1) * root.unsqueeze(-1)).flatten(0, 1), (missing * root).flatten()
        return rows.T @ rows, rows.T @ missing, 0.5 * missing.square().sum()
