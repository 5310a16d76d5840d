"""Eyes and brows of a face that speaks, taken from the footage or made to blink: sound says little about them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.face.model import UPPER, FaceModel
from visemix.types import FPS, Motion, Space, Subject

EYES = ("blinking", "footage", "driven")  # blinking: the footage's, with blinks made where it has none
UPPER_LIDS, LOWER_LIDS = [37, 38, 43, 44], [41, 40, 47, 46]  # of iBUG-68, point above point
CLOSED = 0.6  # of the usual opening: less is a blink
INTERVAL, SPREAD = 4.0, 0.5  # seconds from blink to blink: mean, and standard deviation of their logarithm
CLOSING, OPENING = 3, 5  # frames that lids take
LIDS, CALM = 1e3, 1e-2  # a face without a name for it closes its eyes: weights of the lids' points, and of ease


def transfer_eyes(face: FaceModel, motion: Motion, own: Motion) -> Motion:
    """`motion` with the eyes and brows of `own`, which is in the same space; the mouth is unchanged.

    Landmarks change places point by point; expressions are merged (`FaceModel.merge`).
    """
    if motion.space is Space.EXPRESSION:
        return Motion(face.merge(motion.values, own.values), motion.space)
    points = motion.values.unflatten(-1, (68, 3)).clone()
    points[:, :, UPPER] = own.values.unflatten(-1, (68, 3))[:, :, UPPER]
    return Motion(points.flatten(2), motion.space)


def blinking(face: FaceModel, subject: Subject, seed: int = 0) -> Float[Tensor, "B T E"]:
    """The footage's expression (B, T, E), with `blinks` added for whoever never closes their eyes in it."""
    shut = closed_eyes_expression(face)
    gap = lid_gap(face, subject.expression, subject)
    lowest = lid_gap(face, shut[None, None], subject)
    amount = (gap - lowest).clamp(min=0) / -(shut @ _gaps(face))  # of `shut`, until the lids meet
    due = torch.stack([blinks(gap.shape[1], seed + k) for k in range(len(gap))]).to(gap)
    due = due * ~blinked(gap)[:, None]
    return subject.expression + (due * amount)[..., None] * shut


def blinked(gap: Float[Tensor, "B T"]) -> Tensor:
    """Mask (B,): whether the lids come together anywhere, to less than CLOSED of how far they are open in the
    middle."""
    return (gap < CLOSED * gap.median(1, keepdim=True).values).any(1)


def lid_gap(face: FaceModel, expression: Float[Tensor, "#B T E"], subject: Subject) -> Float[Tensor, "B T"]:
    """Height of the eyes' opening, the mean of four pairs of points, decimetres."""
    points = face.mean[face.landmark_ids] + face.shape(subject.identity).unflatten(-1, (68, 3))
    rest = (points[:, UPPER_LIDS, 1] - points[:, LOWER_LIDS, 1]).mean(1)
    return rest[:, None] + expression @ _gaps(face)


def closed_eyes_expression(face: FaceModel) -> Float[Tensor, " E"]:
    """The expression that closes both eyes: the model's own named blinks, else that which brings the lids' points
    together and moves as little else as it can, by coefficients that stay small (least squares over all vertices)."""
    named = ["blink" in name.lower() for name in face.expression_names]
    if any(named):
        return torch.tensor(named, dtype=face.mean.dtype, device=face.mean.device)
    basis, points = (value[face.landmark_ids].double() for value in (face.expression, face.mean))
    apart = (basis[UPPER_LIDS] - basis[LOWER_LIDS]).flatten(0, 1)
    open_ = (points[UPPER_LIDS] - points[LOWER_LIDS]).flatten()
    still = face.gram(torch.ones(len(face.mean), dtype=basis.dtype, device=basis.device))
    ease = CALM * still.diagonal().mean() * torch.eye(len(still), dtype=still.dtype, device=still.device)
    return torch.linalg.solve(still + LIDS * apart.mT @ apart + ease, -LIDS * apart.mT @ open_).to(face.mean)


def blinks(frames: int, seed: int = 0) -> Float[Tensor, " {frames}"]:
    """How far the eyes are closed, 0 to 1, for a person who blinks now and then.

    From blink to blink it takes INTERVAL seconds on average, log-normally spread; the first one comes anywhere within
    such an interval. Lids close in CLOSING frames and open in OPENING, as people's do: faster down than up. More frames
    begin with the same blinks.
    """
    g = torch.Generator().manual_seed(seed)
    closed, now = torch.zeros(frames), torch.arange(frames)
    at = float(torch.rand((), generator=g)) * _interval(g)
    while at < frames:
        away = now - round(at)
        share = torch.where(away < 0, 1 + away / CLOSING, 1 - away / OPENING).clamp(min=0)
        closed = torch.maximum(closed, share * share * (3 - 2 * share))
        at += _interval(g)
    return closed


def _interval(g: torch.Generator) -> float:
    """Frames to the next blink."""
    drawn = torch.randn((), generator=g, dtype=torch.float64)
    return float(FPS * INTERVAL * (SPREAD * drawn - SPREAD**2 / 2).exp())


def _gaps(face: FaceModel) -> Float[Tensor, " E"]:
    """What a unit of each expression adds to the eyes' opening, decimetres."""
    heights = face.expression[face.landmark_ids, 1]
    return (heights[UPPER_LIDS] - heights[LOWER_LIDS]).mean(0)
