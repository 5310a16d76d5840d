"""Cameras of the frames of a clip, and the condition of a field in each of them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from visemix.ops.volume import camera_rays


@dataclass(frozen=True)
class CameraViews:
    """Condition, head pose and camera of F frames of one size."""

    codes: Float[Tensor, "F C"]
    poses: Float[Tensor, "F 6"]
    cameras: Float[Tensor, "F 3"]
    size: tuple[int, int]  # height and width, pixels

    def frame(self, f: int) -> CameraViews:
        """The view of frame `f` alone (F = 1)."""
        one = slice(f, f + 1)
        return CameraViews(self.codes[one], self.poses[one], self.cameras[one], self.size)

    def rays(self, pixels: Float[Tensor, "F M 2"]) -> tuple[Float[Tensor, "F 3"], Float[Tensor, "F M 3"]]:
        """Origins and directions of the rays through pixels (x, y), as `ops.volume.camera_rays` has them."""
        return camera_rays(pixels, self.poses, self.cameras)
