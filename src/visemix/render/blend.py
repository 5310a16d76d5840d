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
from visemix.ops.raster import Raster, rasterise
from visemix.types import Subject, TensorStruct

UNIT = 224  # footprints below are in pixels of a picture this wide, and grow with the picture
CLOSING = (21, 21)
FIXED = (5, 31)  # width, height
DILATIONS = ((5, 21), (5, 31), (11, 11), (21, 21))
EROSIONS = ((3, 3), (11, 11))
NOSE_BASE = 33  # iBUG-68: below it the face talks
STILL = 0.01  # decimetres: skin that lies no further off is the same
BORDER, FADING = (9, 9), 3.0  # pixels of 224 around the skin that is drawn, where it becomes the footage's
Operation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Blend(TensorStruct):
    """The driven face laid over the footage, and its mask, as the generator sees them."""

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
    `soft_edge`: standard deviation of the mask's edge, in pixels of 224. `keep_eyes`: M leaves
    out what lies above the nose where the driven face is the footage's own (to STILL), by default eyes and brows; so
    they stay as they are, and a lid that closes where the footage's is open is drawn. In training, where all of it is
    the footage's own, half of the frames leave nothing out. `overflow`: colours of the face above 1 are cut off
    ("clamp") or start again at black ("wrap", as eight bits do).
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
            faces = [expression]
            if self.union and not torch.equal(expression, subject.expression):
                faces.append(subject.expression)
            outlines = [picture.skin] if self.hole == "mesh" else []
            outlines += [self._outline(other, subject, footage) for other in faces[len(outlines) :]]
            mask = torch.stack(outlines).amax(0)
            if self.keep_eyes:
                moves = self._driven_vertices(expression, subject, generator)
                moving = torch.stack([self._where(moves, other, subject, footage) for other in faces]).amax(0)
                mask = mask * _share(moving, mask)
        if self.morphology == "random" and self.training:
            mask = self._random_morphology(mask, generator)
        elif self.morphology != "none":
            mask = self._fixed(mask, landmarks_2d(self.face, expression, subject)[..., NOSE_BASE, 1])
        mask = soften(mask, self.soft_edge)
        blended = footage * (1 - mask) + picture.image * mask
        # The dark inside of an open mouth is no mesh either, but it is part of the face.
        missing = mask * (1 - torch.maximum(picture.coverage, picture.skin))
        return Blend(blended, mask, missing, picture.image)

    def _driven_vertices(
        self, expression: Tensor, subject: Subject, generator: torch.Generator | None
    ) -> Float[Tensor, "B T N 1"]:
        """Mask of the vertices that are drawn: those below the nose, and those that are not where the footage has
        them."""
        change = (expression - subject.expression) @ self.face.expression.flatten(0, 1).mT
        moves = (change.unflatten(-1, (-1, 3)).norm(dim=-1) > STILL) | self.face.lower
        if self.training:
            moves |= (torch.rand(moves.shape[:2], generator=generator) < 0.5).to(moves.device).unsqueeze(-1)
        return moves.unsqueeze(-1).to(expression.dtype)

    def _where(
        self, marks: Float[Tensor, "B T N 1"], expression: Tensor, subject: Subject, footage: Tensor
    ) -> Float[Tensor, "B T 1 H W"]:
        """Values at vertices, drawn as a picture (0 where no skin is); mouth and eyes are closed."""
        seen = self._raster(self.face.closed_skin, expression, subject, footage, marks.flatten(0, 1))
        return (seen.attributes * seen.coverage).unflatten(0, expression.shape[:2])

    def _outline(self, expression: Tensor, subject: Subject, footage: Tensor) -> Float[Tensor, "B T 1 H W"]:
        seen = self._raster(self.get_buffer("outline"), expression, subject, footage).coverage
        if self.hole == "closing":
            seen = close(seen, *footprint(CLOSING, seen))
        return seen.unflatten(0, expression.shape[:2])

    def _raster(
        self,
        triangles: Int[Tensor, "F 3"],
        expression: Tensor,
        subject: Subject,
        footage: Tensor,
        marks: Float[Tensor, "M N 1"] | None = None,
    ) -> Raster:
        camera = subject.camera.unsqueeze(1).expand(-1, expression.shape[1], 3)
        points = project(posed(self.face, expression, subject), camera).flatten(0, 1)
        marks = points.new_zeros(*points.shape[:2], 0) if marks is None else marks
        return rasterise(points, triangles, marks, (footage.shape[-2], footage.shape[-1]))

    def _fixed(self, mask: Tensor, nose: Float[Tensor, "B T"]) -> Tensor:
        grown = dilate(mask.flatten(0, 1), *footprint(FIXED, mask)).view_as(mask)
        rows = torch.arange(mask.shape[-2], device=mask.device)[:, None] + 0.5
        return torch.where(rows > nose[..., None, None, None], grown, mask)

    def _random_morphology(self, mask: Tensor, generator: torch.Generator | None) -> Tensor:
        """One operation a frame, all equally likely; frames that drew the same one are done together."""
        flat = mask.flatten(0, 1)
        operations = [_identity, *(_dilation(f, mask) for f in DILATIONS), *(_erosion(f, mask) for f in EROSIONS)]
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


def _share(part: Float[Tensor, "B T 1 H W"], whole: Float[Tensor, "B T 1 H W"]) -> Float[Tensor, "B T 1 H W"]:
    """Mask of a part within a whole: 1 on the part, 0 on the rest, a soft border between and none to the outside of the
    whole."""
    wider = dilate(part.flatten(0, 1), *footprint(BORDER, part)).view_as(part)
    return (soften(wider, FADING) / soften(whole, FADING).clamp(min=1e-6)).clamp(0, 1)


def _identity(mask: Tensor) -> Tensor:
    return mask


def _dilation(size: tuple[int, int], like: Tensor) -> Operation:
    width, height = footprint(size, like)
    return partial(dilate, width=width, height=height)


def _erosion(size: tuple[int, int], like: Tensor) -> Operation:
    width, height = footprint(size, like)
    return partial(erode, width=width, height=height)
