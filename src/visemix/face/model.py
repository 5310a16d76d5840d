"""A linear 3D face: mean + identity basis + expression basis, one triangle mesh, 68 of its vertices as landmarks."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visemix.face.layout import LEFT_BROW, LEFT_EYE, MOUTH, RIGHT_BROW, RIGHT_EYE
from visemix.registry import Registry
from visemix.types import Motion, Space, Subject

UPPER = [k for part in (LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE) for k in range(part.start, part.stop)]
MOUTH_WEIGHT, UPPER_WEIGHT = 4e6, 1e3  # of these landmarks beside every vertex, where two faces are merged


@dataclass(frozen=True)
class FaceData:
    """What a face model is made of. Decimetres; x image-right, y up, z toward the viewer; ids are 0-based."""

    name: str
    mean: Float[Tensor, "N 3"]  # neutral mean face, origin at the centroid of the face skin
    identity: Float[Tensor, "N 3 I"]  # per standard deviation
    expression: Float[Tensor, "N 3 E"]  # per unit
    expression_range: Float[Tensor, "E 2"]  # lowest and highest sensible coefficient
    albedo: Float[Tensor, "N 3"]  # mean colour, RGB in [0, 1]
    texture: Float[Tensor, "N 3 X"]  # colour per standard deviation; X = 0 where a model has no colour basis
    triangles: Int[Tensor, "F 3"]  # counter-clockwise seen from outside
    skin: Bool[Tensor, " F"]  # triangles of the face skin: what is blended into a picture (not neck, eyeballs, teeth)
    hole: Int[Tensor, "K 3"]  # extra triangles that close the mouth (and eyes) of the skin, for masks
    landmarks: Int[Tensor, "68"]  # iBUG-68 order
    lower: Bool[Tensor, " N"]  # vertices below the nose, which talk
    expression_names: tuple[str, ...] = ()  # one for each of E where the model has names for them
    pupils: Int[Tensor, " eyes"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))  # image left, right


class FaceModel(nn.Module):
    """The common 3DMM layer. Its three sources (`bfm`, `ict`, `toy`) are functions in the registry `FACE`."""

    mean: Tensor
    identity: Tensor
    expression: Tensor
    expression_range: Tensor
    albedo: Tensor
    texture: Tensor
    triangles: Tensor
    skin: Tensor
    hole: Tensor
    closed_skin: Tensor  # (·, 3) the triangles of the skin and those that close its mouth and eyes
    landmark_ids: Tensor
    pupil_ids: Tensor  # (2,) the middle of each iris, image left first; (0,) where eyes do not turn
    lower: Tensor
    _points_identity: Tensor  # (204, I) the bases at the landmarks alone
    _points_expression: Tensor  # (204, E)
    _points_fit: Tensor  # (E, 204) ridge least squares from landmark offsets to expression
    _driven_share: Tensor  # (E, E) what a merged face takes of a change of the driven expression

    def __init__(self, data: FaceData) -> None:
        super().__init__()
        self.name = data.name
        self.expression_names = data.expression_names
        for name in ("mean", "identity", "expression", "expression_range", "albedo", "texture"):
            self._keep(name, getattr(data, name).float().contiguous())
        self._keep("triangles", data.triangles.long())
        self._keep("hole", data.hole.long())
        self._keep("closed_skin", torch.cat([data.triangles[data.skin], data.hole]).long())
        self._keep("landmark_ids", data.landmarks.long())
        self._keep("pupil_ids", data.pupils.long())
        self._keep("skin", data.skin)
        self._keep("lower", data.lower)
        basis = self.expression[self.landmark_ids].flatten(0, 1)
        self._keep("_points_identity", self.identity[self.landmark_ids].flatten(0, 1))
        self._keep("_points_expression", basis)
        self._keep("_points_fit", _ridge(basis.double().mT @ basis.double(), basis.double().mT).float())
        self._keep("_driven_share", self._share(data.lower.double()))

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)  # the model's file has it; a checkpoint need not

    def extra_repr(self) -> str:
        """Name, numbers of vertices and triangles, and widths of the bases: what `repr` shows."""
        sizes = [
            f"{self.name}: {len(self.mean)} vertices, {len(self.triangles)} triangles ({int(self.skin.sum())} skin)"
        ]
        bases = {"identity": self.identity, "expression": self.expression, "texture": self.texture}
        return ", ".join(sizes + [f"{name} {basis.shape[-1]}" for name, basis in bases.items()])

    def width(self, space: Space) -> int:
        """Channels of a motion in `space` for this face model."""
        return {Space.EXPRESSION: self.expression.shape[-1], Space.LANDMARKS: 68 * 3}[space]

    def vertices(self, identity: Float[Tensor, "B I"], expression: Float[Tensor, "B T E"]) -> Float[Tensor, "B T N 3"]:
        """The mesh in its own frame (no head pose), decimetres."""
        shape = self.mean.flatten() + identity @ self.identity.flatten(0, 1).mT
        moved = shape.unsqueeze(1) + expression @ self.expression.flatten(0, 1).mT
        return moved.unflatten(-1, (-1, 3))

    def landmarks(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T 68 3"]:
        """The 68 points in the face's own frame (no head pose), decimetres."""
        offset = self.convert(motion, Space.LANDMARKS, subject).values
        return self.mean[self.landmark_ids] + offset.unflatten(-1, (68, 3))

    def convert(self, motion: Motion, space: Space, subject: Subject) -> Motion:
        """Express a motion in another space. Exact towards landmarks, ridge least squares towards expression."""
        if motion.space is space:
            return motion
        shape = self.shape(subject.identity).unsqueeze(1)
        if space is Space.LANDMARKS:
            return Motion(shape + motion.values @ self._points_expression.mT, space)
        return Motion((motion.values - shape) @ self._points_fit.mT, space)

    def shape(self, identity: Float[Tensor, "B I"]) -> Float[Tensor, "B 204"]:
        """The landmarks of a face at rest, as offsets from the mean face's, decimetres."""
        return identity @ self._points_identity.mT

    def merge(self, driven: Float[Tensor, "B T E"], own: Float[Tensor, "B T E"]) -> Float[Tensor, "B T E"]:
        """The expression whose lower face is nearest to `driven` and whose upper face is nearest to `own`.

        Least squares over the vertices, (G_driven + G_own) x = G_driven · driven + G_own · own. Beside every vertex,
        the points of the mouth weigh four million and those of eyes and brows a thousand: where one expression moves
        both (a sneer, a smile), the mouth is right first, then the lids. Where both agree, so does the answer. It is
        worked out in double precision, so that a frame's does not depend on the frames that it comes with.
        """
        share = self._driven_share.to(torch.float64)
        return own + ((driven - own).double() @ share.mT).to(own.dtype)

    def _share(self, lower: Float[Tensor, " N"]) -> Float[Tensor, "E E"]:
        """The matrix (G_driven + G_own)⁻¹ G_driven of `merge`."""
        speaks, looks = torch.zeros_like(lower), torch.zeros_like(lower)
        speaks[self.landmark_ids[MOUTH]], looks[self.landmark_ids[UPPER]] = MOUTH_WEIGHT, UPPER_WEIGHT
        driven, own = self.gram(lower + speaks), self.gram(1 - lower + looks)
        ridge = 1e-6 * self.gram(torch.ones_like(lower)).diagonal().mean() * torch.eye(len(own), dtype=own.dtype)
        return torch.linalg.solve(driven + own + ridge, driven)

    def gram(self, weights: Float[Tensor, " N"]) -> Float[Tensor, "E E"]:
        """G = Σ_n w_n E_nᵀ E_n, in the precision of `weights`: what a change δ of expression moves, as a δᵀ G δ.

        The sum over vertices of w_n ‖Δ_n‖² (square decimetres) without any vertex; GSmoothFace's loss, exactly.
        """
        basis = (self.expression.to(weights.dtype) * weights.sqrt()[:, None, None]).flatten(0, 1)
        return basis.mT @ basis


def _ridge(gram: Tensor, right: Tensor) -> Tensor:
    """(gram + ε)⁻¹ right, ε a millionth of the mean diagonal, for bases whose components overlap."""
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + ridge, right)


FACE: Registry[FaceModel] = Registry("face model", FaceModel, group="face")
