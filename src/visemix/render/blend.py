"""Morphology-augmented face blending (GSmoothFace, section III-C): the driven face, laid over the footage.

The mask decides what the generator has to make up. Were it always the exact outline of the mesh, the outline itself
would tell the network where the chin was; a random operation on the mask in training takes that hint away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn

from visemix.face import FaceModel
from visemix.face.shading import draw, landmarks_2d, posed
from visemix.ops.camera import project
from visemix.ops.image import close, dilate, erode
from visemix.ops.raster import rasterise
from visemix.types import Subject, TensorStruct

UNIT = 224  # footprints below are in pixels of a picture this wide, and grow with the picture
CLOSING = (21, 21)
FIXED = (5, 31)  # width, height
DILATIONS = ((5, 21), (5, 31), (11, 11), (21, 21))
EROSIONS = ((3, 3), (11, 11))
NOSE_BASE = 33  # iBUG-68: below it the face talks
Operation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Blend(TensorStruct):
    """What the generator sees of the driven face."""

    image: Float[Tensor, "B T 3 H W"]  # footage outside the mask, rendered face inside; RGB in [0, 1]
    mask: Float[Tensor, "B T 1 H W"]  # 1 where the face replaces the footage
    missing: Float[Tensor, "B T 1 H W"]  # 1 around the face where the mask took the footage and gave black
    face: Float[Tensor, "B T 3 H W"]  # the rendered face alone, black elsewhere


class FaceBlend(nn.Module):
    """I_b = I_t · (1 − M) + I_r · M, for a whole batch of windows, differentiable in the expression through I_r.

    `hole`: the mouth is closed by triangles ("mesh", exact in every pose) or by morphology ("closing", the paper's).
    `union`: M also covers where the footage's own face is, so that a chin that moves up leaves no second one behind.
    `morphology`: "random" draws one operation per frame in training and uses the fixed one otherwise; "fixed" always
    uses it (5×31 of 224 pixels, below the nose only); "none" leaves M as it is.
    `soft_edge`: standard deviation of the mask's edge, in pixels of 224. `keep_eyes`: M stays below the nose, and the
    footage's eyes and brows stay as they are. `overflow`: colours of the face above 1 are cut off ("clamp") or start
    again at black ("wrap", as eight bits do).
    """

    def __init__(
        self,
        face: FaceModel,
        hole: Literal["mesh", "closing"] = "mesh",
        union: bool = True,
        morphology: Literal["random", "fixed", "none"] = "random",
        soft_edge: float = 0.0,
        keep_eyes: bool = False,
        overflow: Literal["clamp", "wrap"] = "clamp",
    ) -> None:
        super().__init__()
        self.face = face
        self.hole, self.union, self.morphology = hole, union, morphology
        self.soft_edge, self.keep_eyes = soft_edge, keep_eyes
        self.overflow: Literal["clamp", "wrap"] = overflow
        skin = face.closed_skin if hole == "mesh" else face.triangles[face.skin]
        if keep_eyes:
            skin = skin[face.lower[skin].all(1)]
        self.register_buffer("outline", skin, persistent=False)

    def forward(
        self,
        expression: Float[Tensor, "B T E"],
        subject: Subject,
        footage: Float[Tensor, "B T 3 H W"],
        generator: torch.Generator | None = None,
    ) -> Blend:
        """`generator` is where training draws its operations from; torch's global one by default."""
        height, width = footage.shape[-2:]
        picture = draw(self.face, expression, subject, (height, width), self.overflow)
        with torch.no_grad():
            as_drawn = self.hole == "mesh" and not self.keep_eyes
            mask = picture.skin if as_drawn else self._outline(expression, subject, (height, width))
            if self.union and not torch.equal(expression, subject.expression):
                mask = torch.maximum(mask, self._outline(subject.expression, subject, (height, width)))
        if self.morphology == "random" and self.training:
            mask = self._vary(mask, generator)
        elif self.morphology != "none":
            mask = self._fixed(mask, landmarks_2d(self.face, expression, subject)[..., NOSE_BASE, 1])
        mask = soften(mask, self.soft_edge)
        blended = footage * (1 - mask) + picture.image * mask
        # The dark inside of an open mouth is no mesh either, but it is part of the face.
        missing = mask * (1 - torch.maximum(picture.coverage, picture.skin))
        return Blend(blended, mask, missing, picture.image)

    def _outline(self, expression: Tensor, subject: Subject, size: tuple[int, int]) -> Tensor:
        triangles: Int[Tensor, "F 3"] = self.get_buffer("outline")
        camera = subject.camera.unsqueeze(1).expand(-1, expression.shape[1], 3)
        points = project(posed(self.face, expression, subject), camera).flatten(0, 1)
        seen = rasterise(points, triangles, points.new_zeros(*points.shape[:2], 0), size).coverage
        if self.hole == "closing":
            seen = close(seen, *footprint(CLOSING, seen))
        return seen.unflatten(0, expression.shape[:2])

    def _fixed(self, mask: Tensor, nose: Float[Tensor, "B T"]) -> Tensor:
        grown = dilate(mask.flatten(0, 1), *footprint(FIXED, mask)).view_as(mask)
        rows = torch.arange(mask.shape[-2], device=mask.device)[:, None] + 0.5
        return torch.where(rows > nose[..., None, None, None], grown, mask)

    def _vary(self, mask: Tensor, generator: torch.Generator | None) -> Tensor:
        """One operation a frame, all equally likely; frames that drew the same one are done together."""
        flat = mask.flatten(0, 1)
        operations = [_keep, *(_grow(f, mask) for f in DILATIONS), *(_shrink(f, mask) for f in EROSIONS)]
        drawn = torch.randint(len(operations), (len(flat),), generator=generator).to(mask.device)
        out = flat.clone()
        for index, operation in enumerate(operations):
            chosen = drawn == index
            if chosen.any():
                out[chosen] = operation(flat[chosen])
        return out.view_as(mask)


def footprint(size: tuple[int, int], picture: Tensor) -> tuple[int, int]:
    """Width and height of an ellipse given for 224 pixels, in odd pixels of this picture.

    >>> footprint((5, 31), torch.zeros(1, 1, 512, 512))
    (11, 71)
    """
    scale = min(picture.shape[-2:]) / UNIT
    width, height = (2 * round((side * scale - 1) / 2) + 1 for side in size)
    return max(width, 1), max(height, 1)


def soften(mask: Float[Tensor, "B T 1 H W"], sigma: float) -> Float[Tensor, "B T 1 H W"]:
    """The mask with its edge blurred by `sigma` pixels of 224."""
    sigma = sigma * min(mask.shape[-2:]) / UNIT
    if sigma < 0.1:
        return mask
    side = min(2 * round(3 * sigma) + 1, 2 * (min(mask.shape[-2:]) // 2) - 1)
    return gaussian_blur2d(mask.flatten(0, 1), (side, side), (sigma, sigma), "replicate").clamp(0, 1).view_as(mask)


def _keep(mask: Tensor) -> Tensor:
    return mask


def _grow(size: tuple[int, int], like: Tensor) -> Operation:
    width, height = footprint(size, like)
    return partial(dilate, width=width, height=height)


def _shrink(size: tuple[int, int], like: Tensor) -> Operation:
    width, height = footprint(size, like)
    return partial(erode, width=width, height=height)
