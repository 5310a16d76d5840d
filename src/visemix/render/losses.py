"""Losses of a landmark NeRF: differences to the footage, and priors where footage says little."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from visemix.face import FaceModel
from visemix.ops.volume import cross_entropy, entropy
from visemix.render.heads import RenderOutput, composite_over
from visemix.render.rays import Regions, gather_pixels, sample_pixels
from visemix.types import Label, Losses, Subject

BEFORE_HEAD = (
    0.05  # weight of "no torso stands before a head": the picture says so, too, and a gap is the torso's to fill
)
SLACK = 0.05  # decimetres: how far from the fitted skin a face may be seen at no cost


@dataclass(frozen=True)
class RayBatch:
    """Pixels of each frame that a training step samples, with their true colour, label and surface distance."""

    pixels: Float[Tensor, "F M 2"]
    truth: Float[Tensor, "F M 3"]
    plate: Float[Tensor, "F M 3"]
    label: UInt8[Tensor, "F M"]
    surface: Float[Tensor, "F M"]  # decimetres from the camera to the fitted face's skin; 0 where it is not seen
    face: Float[Tensor, "F M"]  # 1 where landmarks may change something

    @staticmethod
    def sample(
        face: FaceModel,
        subject: Subject,
        frames: Float[Tensor, "F 3 H W"],
        plates: Float[Tensor, "F 3 H W"],
        count: int,
    ) -> RayBatch:
        """`count` pixels of each frame, most of them on the head."""
        assert subject.labels is not None
        regions = Regions.from_subject(face, subject, subject.labels)
        pixels, index = sample_pixels(regions, count)
        label, surface, near = (
            picture.flatten(-2).view(len(index), -1).gather(1, index)
            for picture in (subject.labels, regions.surface, regions.face)
        )
        return RayBatch(
            pixels, gather_pixels(frames, index), gather_pixels(plates, index), label, surface, near.float()
        )


def head_losses(seen: list[RenderOutput], at: RayBatch) -> Losses:
    """Loss terms of the head over the outputs of all networks of a field (coarse and fine), the last of which is
    shown. Where there is a torso, a head is to let the empty background through."""
    on_head, best = (at.label == Label.HEAD).float(), seen[-1]
    wanted = torch.lerp(at.plate, at.truth, on_head[..., None])
    losses = {
        "head": sum_losses([(composite_over(head, at.plate) - wanted).square().mean() for head in seen]),
        "mask": sum_losses([cross_entropy(head.opacity, on_head) for head in seen]),
        "entropy": entropy(best.opacity).mean(),
    }
    if best.weights is not None:  # in use nobody asks a grid where its samples are
        known = on_head * (at.surface > 0)
        losses["surface"] = sum_losses([(known * depth_deviation(head, at.surface, SLACK)).mean() for head in seen])
    if best.driven is not None:
        losses["ambient"] = (best.driven * (1 - at.face)).mean()
    return losses


def torso_losses(torsos: list[RenderOutput], head: RenderOutput, at: RayBatch) -> Losses:
    """Loss terms of the whole picture, the torso over the given head, and of the torso's opacity against the
    labels."""
    on_torso, behind = (at.label == Label.TORSO).float(), composite_over(head, at.plate)
    sure = 1 - (1 - BEFORE_HEAD) * (at.label == Label.HEAD).float()
    return {
        "torso": sum_losses([(composite_over(torso, behind) - at.truth).square().mean() for torso in torsos]),
        "torso_mask": sum_losses([cross_entropy(torso.opacity, on_torso, sure) for torso in torsos]),
    }


def peak_opacity(seen: RenderOutput, on: Bool[Tensor, "F R"]) -> Float[Tensor, ""]:
    """The greatest opacity among some rays; 1 where there are none."""
    return torch.where(on.any(), (seen.opacity.detach() * on).amax().float(), 1.0)


def depth_deviation(seen: RenderOutput, surface: Float[Tensor, "F R"], slack: float) -> Float[Tensor, "F R"]:
    """Expected distance (decimetres, beyond `slack`) of each ray's samples from a known surface."""
    assert seen.weights is not None and seen.places is not None
    return (seen.weights * ((seen.places - surface[..., None]).abs() - slack).clamp(min=0)).sum(-1)


def sum_losses(values: list[Tensor]) -> Tensor:
    """Sum of scalars."""
    return torch.stack(values).sum()
