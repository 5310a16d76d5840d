"""A face's skin unwrapped to one flat texture: what a frame shows of it, and by how far flow says that it is off.

The chart is the neutral face seen from where the head is on average. Each of its texels is a fixed spot of the mesh, so
a frame is unwrapped by sampling it where the fitted mesh has that spot, and nothing is rasterised per frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.ops.camera import project, square_camera
from visemix.ops.raster import rasterise
from visemix.ops.rotation import pose_points
from visemix.prepare.evidence import STANDARD
from visemix.types import VisemixError

# Distances in pixels of a STANDARD picture.
MARGIN = 7.0  # at the skin's outline that is not believed: what is beyond it is not skin
AROUND_EYES, AROUND_MOUTH = 5.0, 3.0  # lids and inner lips cover and uncover what is behind them
GRAZING = 0.35  # of the chart's area: what is seen smaller than this is not believed
BLUR = 14.0  # light is what changes over more than this
FAR = 14.0  # longer flow is a mistake
PLAIN = 40.0  # change of brightness, per cent over a few texels, from which on flow is believed
STRIDE = 4  # texels from one spot to the next


@dataclass(frozen=True)
class UnwrappedFrame:
    """One frame, unwrapped."""

    picture: UInt8[np.ndarray, "h w"]  # brightness in per cent of that of the surroundings; 0 where nothing is seen
    seen: Float[np.ndarray, "h w"]  # 1 where it is seen well, 0 where not
    along: Float[np.ndarray, "2 h w"]  # pixels of the frame (x, y) to the next texel on the right
    down: Float[np.ndarray, "2 h w"]


class Chart:
    """Texture of h × w texels with their places on the mesh, and a thinner set of `spots` at which flow is read.

    Args:
        face: any face model.
        neutral: the person's neutral face, decimetres.
        pose: the head's pose in the middle of the clip.
        size: pixels a side of the frames.

    Raises:
        VisemixError: OpenCV, which finds the flow, is not installed.
    """

    def __init__(self, face: FaceModel, neutral: Float[Tensor, "N 3"], pose: Float[Tensor, "6"], size: int) -> None:
        self.cv = opencv()
        self.size, side = size, min(size, STANDARD)
        self.scale, self.unit = side / size, side / STANDARD  # texels in a pixel, and in one of a 512² picture
        points = project(pose_points(neutral, pose), square_camera(side))
        self.vertices, skin = face.triangles[face.skin].unique(return_inverse=True)
        marks = points[face.landmark_ids, :2]
        points = points[self.vertices]
        low = (points[:, :2].amin(0) - 2).floor()
        width, height = (points[:, :2].amax(0) + 2 - low).ceil().int().tolist()
        points = points - torch.cat([low, low.new_zeros(1)])
        triangle = rasterise(points[None], skin, points.new_zeros(1, len(points), 0), (height, width)).triangle[0]
        self.shape = (height, width)
        self.skin = (triangle >= 0).numpy()
        self.texels = (triangle.flatten() >= 0).nonzero()[:, 0]
        self.corners = skin[triangle.flatten()[self.texels]]
        self.shares = _barycentric(points[self.corners][..., :2], self.texels, width)
        self.trusted = self._trusted(marks - low)
        y, x = np.mgrid[:height, :width] % STRIDE == STRIDE // 2
        self.spots = torch.from_numpy(np.flatnonzero((self.trusted & x & y).flatten()[self.texels.numpy()]))

    def _trusted(self, marks: Float[Tensor, "68 2"]) -> Any:
        """Mask of the texels well inside the skin: not near the outline, the lids and the inner lips."""
        inside = self.cv.erode(np.pad(self.skin.astype(np.uint8), 1), self.disc(MARGIN))[1:-1, 1:-1]
        apart = ((layout.LEFT_EYE, AROUND_EYES), (layout.RIGHT_EYE, AROUND_EYES), (layout.INNER_MOUTH, AROUND_MOUTH))
        for part, reach in apart:
            mask = np.zeros(self.shape, np.uint8)
            self.cv.fillConvexPoly(mask, self.cv.convexHull(marks[part].round().int().numpy()), 1)
            inside[self.cv.dilate(mask, self.disc(reach)) > 0] = 0
        return inside > 0

    def disc(self, reach: float) -> Any:
        """A structuring element of that radius, in pixels of a 512² picture."""
        side = 2 * max(round(reach * self.unit), 1) + 1
        return self.cv.getStructuringElement(self.cv.MORPH_ELLIPSE, (side, side))

    def unwrap(self, frame: UInt8[Tensor, "3 H W"], points: Float[Tensor, "V 2"]) -> UnwrappedFrame:
        """What a frame shows; `points` is where it has the chart's `vertices`, pixels."""
        height, width = self.shape
        grey = self.cv.cvtColor(np.ascontiguousarray(frame.permute(1, 2, 0).numpy()), self.cv.COLOR_RGB2GRAY)
        if self.scale < 1:
            grey = self.cv.resize(grey, None, fx=self.scale, fy=self.scale, interpolation=self.cv.INTER_AREA)
        at = np.zeros((2, height * width), np.float32)
        for axis, row in enumerate(points.T.contiguous()):  # contiguous rows: four times as fast
            corners = row.index_select(0, self.corners.T.flatten()).view(3, -1)
            at[axis, self.texels.numpy()] = (corners * self.shares.T).sum(0).numpy()
        at = at.reshape(2, height, width)
        sampled = self.cv.remap(grey, *(at * self.scale - 0.5), self.cv.INTER_LINEAR).astype(np.float32)
        along, down = np.zeros_like(at), np.zeros_like(at)
        along[:, :, 1:-1] = (at[:, :, 2:] - at[:, :, :-2]) / 2
        down[:, 1:-1] = (at[:, 2:] - at[:, :-2]) / 2
        area = (along[0] * down[1] - along[1] * down[0]) * self.scale**2
        inside = ((at > 0) & (at < self.size)).all(0)
        seen = (self.skin & inside & (area > GRAZING)).astype(np.float32)
        return UnwrappedFrame(self._level(sampled, seen), seen, along, down)

    def _level(self, picture: Any, seen: Any) -> UInt8[np.ndarray, "h w"]:
        near = self._blurred(picture * seen) / np.maximum(self._blurred(seen), 1e-3)
        level = 100 * picture / np.maximum(near, 4)
        return np.where(seen > 0, level.round().clip(1, 255), 0).astype(np.uint8)

    def _blurred(self, picture: Any) -> Any:
        small = self.cv.resize(picture, None, fx=0.25, fy=0.25, interpolation=self.cv.INTER_AREA)
        small = self.cv.GaussianBlur(small, (0, 0), BLUR * self.unit / 4, borderType=self.cv.BORDER_CONSTANT)
        return self.cv.resize(small, picture.shape[::-1], interpolation=self.cv.INTER_LINEAR)


class Flow:
    """Optical flow from a texture to unwrapped frames by dense inverse search (Kroeger et al. 2016). Not `fine` is
    faster."""

    def __init__(self, chart: Chart, texture: Float[np.ndarray, "h w"], fine: bool) -> None:
        cv = chart.cv
        self.chart, self.known = chart, texture > 0
        self.texture = np.where(self.known, texture, 100).round().clip(0, 255).astype(np.uint8)
        preset = cv.DISOPTICAL_FLOW_PRESET_MEDIUM if fine else cv.DISOPTICAL_FLOW_PRESET_FAST
        self.search = cv.DISOpticalFlow_create(preset)
        across, down = (cv.Sobel(self.texture, cv.CV_32F, *order) for order in ((1, 0), (0, 1)))
        change = cv.GaussianBlur(np.hypot(across, down), (0, 0), 4 * chart.unit)
        self.detail = (change / PLAIN - 0.02).clip(0, 1) * chart.trusted

    def __call__(self, sheet: UnwrappedFrame) -> tuple[Float[np.ndarray, "h w 2"], Float[np.ndarray, "h w"]]:
        """By how many texels each spot is off in the frame, and how far to believe that, 0 to 1."""
        cv = self.chart.cv
        both = (sheet.seen > 0) & self.known
        flow = self.search.calc(self.texture, np.where(both, sheet.picture, self.texture), None)
        inside = cv.erode(both.astype(np.uint8), self.chart.disc(MARGIN)) > 0
        near = np.hypot(flow[..., 0], flow[..., 1]) < FAR * self.chart.unit
        return flow, (self.detail * (inside & near)).astype(np.float32)


def opencv() -> Any:
    """OpenCV, imported when it is needed.

    Raises:
        VisemixError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise VisemixError(
            "optical flow is found with OpenCV, which comes with pip install 'visemix[prepare]'; "
            "or go without dense refinement: --refine none"
        ) from error
    return cv2


def _barycentric(corners: Float[Tensor, "M 3 2"], texels: Int[Tensor, " M"], width: int) -> Float[Tensor, "M 3"]:
    at = torch.stack([texels % width, texels // width], -1) + 0.5
    a, b, c = corners.unbind(1)
    area = _cross(b - a, c - a)
    second, third = _cross(at - a, c - a) / area, _cross(b - a, at - a) / area
    return torch.stack([1 - second - third, second, third], -1)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
