"""Where in the picture a metric looks: the face, or the mouth, by landmarks of the real video."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.face.layout import MOUTH
from visemix.metrics.base import FrameBatch, NoScore, VideoMetric
from visemix.metrics.shown import UNSHOWN, Presentation
from visemix.ops.ssim import WINDOW

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom exclusive


def landmark_box(points: Float[Tensor, "*n 2"], margin: float, height: int, width: int) -> Box | None:
    """The pixels that hold all `points`, grown on every side by `margin` × the longer side, kept inside the picture.

    Points that are NaN are left out; None where none is left or the box misses the picture.

    >>> landmark_box(torch.tensor([[10.2, 20.0], [29.5, 24.0]]), 0.0, 100, 100)
    (10, 20, 30, 24)
    """
    found = points.reshape(-1, 2)
    found = found[~found.isnan().any(1)]
    if not len(found):
        return None
    low, high = found.amin(0), found.amax(0)
    grow = margin * (high - low).max()
    left, top = (low - grow).floor().clamp(min=0).int().tolist()
    right, bottom = (high + grow).ceil().int().tolist()
    right, bottom = min(right, width), min(bottom, height)
    return (left, top, right, bottom) if right > left and bottom > top else None


def mouth_box(landmarks: Float[Tensor, "T 68 2"], margin: float, height: int, width: int) -> Box:
    """One box for a whole clip that holds the mouth (points 48 to 67) of every frame.

    It is grown by `margin` of its longer side on every side. For judging renderers where it matters. Raises
    `ValueError` where no frame shows a mouth inside the picture.

    >>> still = torch.full((5, 68, 2), 50.0)
    >>> still[:, 48:58, 0] = 70.0
    >>> mouth_box(still, 0.5, 100, 100)
    (40, 40, 80, 60)
    """
    box = landmark_box(landmarks[:, MOUTH], margin, height, width)
    if box is None:
        raise ValueError("no frame has a mouth inside the picture")
    return box


def crop(batch: FrameBatch, box: Box) -> FrameBatch:
    """The `FrameBatch` cut to the box; landmarks move with it."""
    left, top, right, bottom = box
    points = batch.landmarks
    if points is not None:
        points = points - torch.tensor([left, top], dtype=points.dtype, device=points.device)
    return FrameBatch(batch.frames[..., top:bottom, left:right], points)


class FaceRegion(VideoMetric):
    """Another metric over the face only: the box of the real frame's 68 landmarks, the same box for both videos.

    Methods that paste a face into given footage copy most of the frame, which flatters a score over all of it.
    """

    region = "face"
    needs = frozenset({"landmarks"})

    def __init__(self, base: VideoMetric, shown: Presentation = UNSHOWN) -> None:
        super().__init__(statistics=len(base.total))
        self.base, self.shown = base, shown
        self.unit, self.ideal = base.unit, base.ideal
        self.variant = f"{base.variant}; box of the real 68 landmarks, frame by frame"

    def missing(self) -> str | None:
        """Why the other metric cannot be measured, or None."""
        return self.base.missing()

    def doubt(self) -> str | None:
        """Why what the other metric measures is no score, or None."""
        return self.base.doubt()

    def about(self) -> dict[str, Any]:
        """What belongs beside the other metric's number."""
        return self.base.about()

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """As the other metric has it."""
        return self.base.higher_is_better

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        """The other metric's row for each frame's box; NaN where the real frame shows no face, or too small a one.

        Raises:
            ValueError: the real frames have no landmarks.
        """
        if real.landmarks is None:
            raise ValueError("the face region needs the landmarks of the real frames")
        return torch.cat([self._frame(fake, real, t) for t in range(len(real.frames))])

    def _frame(self, fake: FrameBatch, real: FrameBatch, t: int) -> Tensor:
        box = landmark_box(real.landmarks[t], 0.0, *real.frames.shape[-2:])  # type: ignore[index]
        if box is None or min(box[2] - box[0], box[3] - box[1]) < WINDOW:
            return torch.full((1, len(self.total)), torch.nan, dtype=torch.float64)
        try:
            return self.base.measure(_cut(fake, t, box), _cut(real, t, box))
        except NoScore:  # a face too small
            return torch.full((1, len(self.total)), torch.nan, dtype=torch.float64)

    def value(self, mean: Float[Tensor, " K"]) -> Float[Tensor, ""]:
        """The other metric's number."""
        return self.base.value(mean)


def _cut(batch: FrameBatch, t: int, box: Box) -> FrameBatch:
    """A box of one frame, cut out once for every metric that looks at it."""
    return batch.memoised(f"frame {t} {box}", lambda: crop(FrameBatch(batch.frames[t : t + 1]), box))
