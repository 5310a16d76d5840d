"""A whole clip, explained by a face model: who, how the head moves, what the face does, in which light."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.ops.camera import project, square_camera
from visemix.ops.device import torch_threads
from visemix.ops.rotation import pose_points
from visemix.options import Count, NotNegative
from visemix.prepare.appearance import Frames, Labels, fit_appearance
from visemix.prepare.evidence import LandmarkSigmas
from visemix.prepare.geometry import Geometry, fit_geometry, refit_geometry
from visemix.prepare.refine import anchors, refine
from visemix.prepare.unwrap import opencv
from visemix.registry import Registry
from visemix.types import TensorStruct, VisemixError

ProgressCallback = Callable[[int, int], None]  # steps done, of how many
STEPS = 100


@dataclass(frozen=True)
class Fit(TensorStruct):
    """A clip's parameters in a face model; pixels are those of the clip's square crop."""

    identity: Float[Tensor, " I"]  # in standard deviations
    expression: Float[Tensor, "T E"]
    pose: Float[Tensor, "T 6"]  # Euler XYZ in radians, then translation in decimetres
    camera: Float[Tensor, "3"]
    light: Float[Tensor, "T 27"]
    albedo: Float[Tensor, "N 3"]  # RGB in [0, 1]
    error: Float[Tensor, " T"]  # mean distance of 51 landmarks (no jaw line), px; where absent, to interpolated ones
    reprojection_px: float  # the same, mean over the frames in which the face is seen
    inner_mouth_px: float
    mouth_opening_r: float  # Pearson's r of the fitted against the detected mouth opening
    flow_px: tuple[float, float] | None = None  # median flow left, px of a 512² picture, before and after refinement


@dataclass(frozen=True)
class TrackedFace:
    """What is known of one face in a clip before it is fitted.

    Args:
        landmarks: in pixels of the clip's `size`² crop, pixel centres at i + 0.5.
        present: False where the face was not seen; such frames are interpolated.
        frames: gives the crop's pictures by number, uint8 (n, 3, H, W).
        cut: from this frame on all are held out: what a clip has once (identity, albedo) never depends on them, nor
            does anything of the frames before. By default none is.
        points: the tracker's own mesh, in pixels of the crop, where it has one (mediapipe: 478 points).
        labels: gives by number which pixels show the person, where that is known: uint8 (n, H, W), 0 elsewhere.
    """

    landmarks: Float[Tensor, "T 68 2"]
    present: Bool[Tensor, " T"]
    size: int
    frames: Frames
    cut: int | None = None
    points: Float[Tensor, "T Q 2"] | None = None
    labels: Labels | None = None

    def require_face(self) -> None:
        """
        Raises:
            VisemixError: no frame before `cut` has a face.
        """
        if not self.present[: self.cut].any():
            held = "" if self.cut is None else f" before frame {self.cut}, where what is held out begins"
            raise VisemixError(f"no frame has a face{held}; there is nothing to fit")


class Reconstructor(ABC):
    """Turns a clip's landmarks and pictures into a `Fit`."""

    @abstractmethod
    def __call__(self, tracked: TrackedFace, progress: ProgressCallback | None = None) -> Fit:
        """The fit of one face; `progress` is told (steps done, of how many).

        Raises:
            VisemixError: no frame before `tracked.cut` has a face.
        """


RECONSTRUCT: Registry[Reconstructor] = Registry("reconstructor", Reconstructor)  # type: ignore[type-abstract]


@RECONSTRUCT.register("landmarks")
class FromLandmarks(Reconstructor):
    """Least squares on the landmarks, then light and albedo from the pixels; any face model, no weights.

    `smooth` scales how much the motion may accelerate: 1 is faithful to speech, 0.5 calmer. `appearance_frames` are
    looked at for light and albedo. `refine` "dense" brings the mesh to lie on the pictures (`face.refine`): held-out
    frames, too, each by its own picture; "none" leaves it where the landmarks have it.

    Raises:
        VisemixError: `smooth` is not above 0.
    """

    def __init__(
        self,
        face: FaceModel,
        *,
        smooth: NotNegative = 1.0,
        identity_frames: Count = 48,
        appearance_frames: Count = 32,
        refine: Literal["dense", "none"] = "dense",
    ) -> None:
        if smooth <= 0:
            raise VisemixError(f"smooth must be above 0, not {smooth}")
        if refine == "dense":
            opencv()  # what is missing is said before a video is read
        self.face, self.refine = face, refine
        base = LandmarkSigmas()
        self.weights = LandmarkSigmas(turn=base.turn * smooth, move=base.move * smooth, speech=base.speech * smooth)
        self.identity_frames, self.appearance_frames = identity_frames, appearance_frames

    def __call__(self, tracked: TrackedFace, progress: ProgressCallback | None = None) -> Fit:
        """The fit by least squares on the landmarks; `flow_px` is None where nothing is refined."""
        tracked.require_face()
        face, landmarks, present, size = self.face, tracked.landmarks, tracked.present, tracked.size
        frames, cut, points = tracked.frames, tracked.cut, tracked.points

        def third(number: int) -> Callable[[float], None]:
            return lambda part: progress(round((number + part) * STEPS / 3), STEPS) if progress else None

        with torch_threads(1):  # many small operations: waiting for a second thread costs more than it gives
            geometry = fit_geometry(
                face,
                landmarks,
                present,
                size,
                self.weights,
                self.identity_frames,
                cut=cut,
                points=points,
                step=third(0),
            )
            left = None
            if self.refine == "dense":
                again = partial(
                    refit_geometry,
                    face,
                    landmarks=landmarks,
                    present=present,
                    size=size,
                    weights=anchors(self.weights),
                    cut=cut,
                    points=points,
                )
                geometry, left = refine(face, geometry, present, size, frames, again, cut=cut, step=third(1))
            light, albedo = fit_appearance(
                face,
                geometry,
                present,
                size,
                frames,
                self.appearance_frames,
                cut=cut,
                labels=tracked.labels,
                step=third(2),
            )
        return replace(summarise(face, geometry, light, albedo, landmarks, present, size), flow_px=left)


def summarise(
    face: FaceModel,
    geometry: Geometry,
    light: Float[Tensor, "T 27"],
    albedo: Float[Tensor, "N 3"],
    landmarks: Float[Tensor, "T 68 2"],
    present: Bool[Tensor, " T"],
    size: int,
) -> Fit:
    """A `Fit` with its figures, measured against the landmarks."""
    fitted = landmarks_of(face, geometry, size)
    off = (fitted - landmarks).norm(dim=-1)
    return Fit(
        identity=geometry.identity,
        expression=geometry.expression,
        pose=geometry.pose,
        camera=square_camera(size),
        light=light,
        albedo=albedo,
        error=off[:, layout.NO_JAW].mean(-1),
        reprojection_px=float(off[present][:, layout.NO_JAW].mean()),
        inner_mouth_px=float(off[present][:, layout.INNER_MOUTH].mean()),
        mouth_opening_r=correlation(opening(fitted[present]), opening(landmarks[present])),
    )


def landmarks_of(face: FaceModel, geometry: Geometry, size: int) -> Float[Tensor, "T 68 2"]:
    """The 68 points of the fitted mesh, in pixels of the crop."""
    ids = face.landmark_ids
    shape = face.mean[ids] + face.identity[ids] @ geometry.identity
    points = shape + torch.einsum("pce,te->tpc", face.expression[ids], geometry.expression)
    camera = square_camera(size).expand(len(points), 3)
    return project(pose_points(points, geometry.pose), camera)[..., :2]


def opening(landmarks: Float[Tensor, "T 68 2"]) -> Float[Tensor, " T"]:
    """How far the inner lips are apart, px: mean of the three pairs of points."""
    return (landmarks[:, layout.UPPER_LIP] - landmarks[:, layout.LOWER_LIP]).norm(dim=-1).mean(-1)


def correlation(a: Float[Tensor, " T"], b: Float[Tensor, " T"]) -> float:
    """Pearson's r; 0 where one of them does not vary.

    >>> correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0]))
    1.0
    """
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    norm = float(a.norm() * b.norm())
    return round(float(a @ b) / norm, 6) if norm > 1e-12 else 0.0
