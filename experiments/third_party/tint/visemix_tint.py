"""A third party's metric in one file: installed, or given with `--plugin`, it stands in every table and on every page.

    visemix evaluate REAL FAKE --metrics psnr,tint --plugin visemix_tint.py

Nothing lists it anywhere else: what the tables must know of it (unit, direction, its place) it says itself.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from visemix.metrics import METRICS, FrameBatch, Presentation, VideoMetric


@METRICS.register("tint")
class Tint(VideoMetric):
    """How far a picture's mean colour is from the real one's: a face that is pasted gives itself away by it."""

    unit = "levels"
    variant = "RGB, 8 bits, distance of the frames' mean colours"
    higher_is_better = False
    shown = Presentation(headline=True, digits=1, over_time="tint (levels)")

    def measure(self, fake: FrameBatch, real: FrameBatch) -> Float[Tensor, "T K"]:
        there, here = (batch.frames.double().mean((-2, -1)) for batch in (fake, real))
        return (there - here).norm(dim=-1, keepdim=True)
