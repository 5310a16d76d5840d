"""A linear 3D face: mean + identity basis + expression basis, one triangle mesh, 68 of its vertices as landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visemix.registry import Registry
from visemix.types import Motion, Space, Subject


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
    closed_skin: Tensor
    landmark_ids: Tensor
    lower: Tensor

    def __init__(self, data: FaceData) -> None:
        super().__init__()
        self.name = data.name
        for field in ("mean", "identity", "expression", "expression_range", "albedo", "texture"):
            self.register_buffer(field, getattr(data, field).float().contiguous(), persistent=False)
        for field in ("triangles", "hole"):
            self.register_buffer(field, getattr(data, field).long(), persistent=False)
        closed = torch.cat([data.triangles[data.skin], data.hole]).long()
        self.register_buffer("closed_skin", closed, persistent=False)
        self.register_buffer("landmark_ids", data.landmarks.long(), persistent=False)
        self.register_buffer("skin", data.skin, persistent=False)
        self.register_buffer("lower", data.lower, persistent=False)

    def width(self, space: Space) -> int:
        """Channels of a motion in `space` for this face model."""
        return {Space.EXPRESSION: self.expression.shape[-1], Space.LANDMARKS: 68 * 3}[space]

    def vertices(self, identity: Float[Tensor, "B I"], expression: Float[Tensor, "B T E"]) -> Float[Tensor, "B T N 3"]:
        """The mesh in its own frame (no head pose), decimetres."""
        shape = self.mean + torch.einsum("bi,nci->bnc", identity, self.identity)
        return shape.unsqueeze(1) + torch.einsum("bte,nce->btnc", expression, self.expression)

    def landmarks(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T 68 3"]:
        """The 68 points in the face's own frame (no head pose), decimetres."""
        offset = self.convert(motion, Space.LANDMARKS, subject).values
        return self.mean[self.landmark_ids] + offset.unflatten(-1, (68, 3))

    def convert(self, motion: Motion, space: Space, subject: Subject) -> Motion:
        """Express a motion in another space. Exact towards landmarks, ridge least squares towards expression."""
        if motion.space is space:
            return motion
        shape = torch.einsum("bi,nci->bnc", subject.identity, self.identity[self.landmark_ids]).flatten(1).unsqueeze(1)
        basis = self.expression[self.landmark_ids].flatten(0, 1)  # (204, E)
        if space is Space.LANDMARKS:
            return Motion(shape + motion.values @ basis.T, space)
        gram = basis.T @ basis
        ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
        fit = torch.linalg.solve(gram + ridge, basis.T)
        return Motion((motion.values - shape) @ fit.T, space)


FACE: Registry[FaceModel] = Registry("face model")
