"""What a fit of a linear face model minimises: residuals and their Jacobians, by Gauss–Newton within bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.face import layout
from visemix.face.model import FaceModel
from visemix.ops.camera import DISTANCE, project_jacobian, square_camera
from visemix.ops.rotation import euler_jacobian, matrix, matrix_to_euler
from visemix.prepare.evidence import LandmarkObservations, LandmarkSigmas
from visemix.prepare.solve import ArrowheadSystem, ChainSystem, minimise, second_difference_gradient

POSE = 6
FLIP = torch.tensor([1.0, -1.0])  # y up in space, down in the picture
IDENTITY_BOUND = 3.0  # standard deviations


@dataclass(frozen=True)
class NormalEquations:
    """Normal equations of what else is known of some frames' pose and expression, linear around `at`."""

    at: Float[Tensor, "T D"]
    blocks: Float[Tensor, "T D D"]  # JᵀJ
    right: Float[Tensor, "T D"]  # Jᵀ · what is missing
    least: Float[Tensor, " T"]  # half the square of what is missing

    def cost(self, local: Float[Tensor, "T D"]) -> Float[Tensor, ""]:
        """Half the squared residuals at `local`, summed over frames."""
        return (0.5 * (local - self.at) * (self.gradient(local) - self.right)).sum() + self.least.sum()

    def gradient(self, local: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
        """Gradient of `cost` at `local`."""
        return (self.blocks @ (local - self.at).unsqueeze(-1)).squeeze(-1) - self.right


FractionCallback = Callable[[float], None]
ExtraEquations = Callable[[int, int], NormalEquations]  # of the frames from the first one up to the last


class Problem:
    """Residuals and Jacobians in units of standard deviations, double precision; the mesh cut down to what is seen.

    A frame's own unknowns are its pose and then its expression.
    """

    def __init__(
        self, face: FaceModel, seen: LandmarkObservations, present: Tensor, size: int, weights: LandmarkSigmas
    ) -> None:
        ids = seen.vertices
        bases = (face.mean, face.identity, face.expression)
        self.mean, self.basis_i, self.basis_e = (basis[ids].double().cpu() for basis in bases)
        self.target, self.mix, self.metric = seen.target.clone(), seen.mix, seen.metric
        self.seen, self.weights, self.camera = present.double(), weights, square_camera(size).double()
        low, high = face.expression_range.double().cpu().unbind(-1)
        width, none, endless = high - low, torch.zeros(POSE), torch.full((POSE,), torch.inf)
        self.low, self.high = torch.cat([-endless, low]), torch.cat([endless, high])
        self.rest = torch.cat([none, torch.zeros_like(low).clamp(low, high)])
        self.prior = torch.cat([none, 1 / (weights.expression * width)])  # 1 / standard deviation
        jump = torch.cat([torch.tensor([weights.turn] * 3 + [weights.move] * 3), weights.speech * width])
        self.smooth = 1 / jump.square()

    def first_pose(self, known: Tensor) -> Tensor:
        """Pose of each frame by scaled orthography (DeMenthon & Davis 1995) on points that speech does not move, held
        through the gaps."""
        still = torch.arange(layout.NO_JAW.start, layout.MOUTH.start)
        model = torch.cat([self.mean[still], torch.ones(len(still), 1, dtype=torch.double)], -1)
        flipped = (self.target[known][:, still] - self.camera[1:]) * FLIP
        right = model.T @ flipped.transpose(0, 1).flatten(1)
        # `lstsq` would answer other last digits in one call of twenty, as the memory lies
        affine = torch.linalg.solve(model.T @ model, right).unflatten(1, (-1, 2))
        rows, shift = affine[:3].permute(1, 2, 0), affine[3]
        u, s, v = torch.linalg.svd(rows, full_matrices=False)
        scale = s.mean(-1)
        first, second = (u @ v).unbind(-2)
        turn = torch.stack([first, second, torch.linalg.cross(first, second)], -2)
        depth = self.camera[0] / scale
        pose = torch.cat([matrix_to_euler(turn), shift / scale[:, None], DISTANCE - depth[:, None]], -1)
        return pose[nearest(known, len(self.target))]

    def pixels(self, identity: Tensor, local: Tensor) -> Tensor:
        """The points of each frame, (T, P, 2)."""
        return self._place(identity, local)[0]

    def _place(self, identity: Tensor, local: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = self.mean + self.basis_i @ identity + torch.einsum("pce,te->tpc", self.basis_e, local[:, POSE:])
        turned = shape @ matrix(local[:, :3]).mT
        at = turned + local[:, None, 3:POSE]
        pixels = self.camera[1:] + self.camera[0] * FLIP * at[..., :2] / (DISTANCE - at[..., 2:])
        return pixels, turned, at

    def misfit(self, identity: Tensor, local: Tensor, frames: Tensor) -> Tensor:
        """Huber's loss of the landmarks plus the expression's prior, per frame."""
        error = self.mix @ (self.pixels(identity, local) - self.target[frames])
        length = (self.metric[frames] @ error.unsqueeze(-1)).flatten(2).norm(dim=-1)
        k = self.weights.outlier
        data = torch.where(length < k, 0.5 * length**2, k * (length - 0.5 * k)).sum(-1) * self.seen[frames]
        return data + 0.5 * ((local - self.rest) * self.prior).square().sum(-1)

    def linearise(
        self, identity: Tensor, local: Tensor, frames: Tensor, by_identity: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Residuals (T, 2 R) in standard deviations, and their Jacobian by pose + expression (+ identity)."""
        pixels, turned, at = self._place(identity, local)
        metric = self.metric[frames]
        residual = (metric @ (self.mix @ (pixels - self.target[frames])).unsqueeze(-1)).squeeze(-1)
        robust = (self.weights.outlier / residual.norm(dim=-1).clamp(min=1e-9)).clamp(max=1).sqrt()
        robust = robust * self.seen[frames, None]
        to_pixels = project_jacobian(at, self.camera[0])
        by_shape = to_pixels @ matrix(local[:, :3])[:, None]
        bases = [self.basis_e, self.basis_i] if by_identity else [self.basis_e]
        parts = [
            to_pixels @ euler_jacobian(local[:, :3], turned),
            to_pixels,
            *(torch.einsum("tpij,pje->tpie", by_shape, each) for each in bases),
        ]
        mixed = self.mix @ torch.cat(parts, -1).flatten(2)
        jacobian = robust[..., None, None] * metric @ mixed.unflatten(-1, (2, -1))
        return (residual * robust.unsqueeze(-1)).flatten(1), jacobian.flatten(1, 2)

    def solve_identity(self, frames: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """One identity, and each frame's pose and expression, without regard to time."""
        count, width = len(frames), POSE + self.basis_e.shape[-1]
        trust = count / self.weights.independent / self.weights.identity**2

        def split(x: Tensor) -> tuple[Tensor, Tensor]:
            return x[count * width :], x[: count * width].view(count, width)

        def cost(x: Tensor) -> Tensor:
            identity, local = split(x)
            return self.misfit(identity, local, frames).sum() + 0.5 * trust * identity.square().sum()

        def system(x: Tensor) -> Callable[[float], ArrowheadSystem]:
            identity, local = split(x)
            r, both = self.linearise(identity, local, frames, by_identity=True)
            j, g = both.tensor_split([width], -1)
            blocks, cross, shared = j.mT @ j + torch.diag(self.prior**2), j.mT @ g, (g.mT @ g).sum(0)
            shared = shared + trust * torch.eye(len(identity))
            by_local = (j.mT @ r.unsqueeze(-1)).squeeze(-1) + self.prior**2 * (local - self.rest)
            by_shared = (g.mT @ r.unsqueeze(-1)).sum((0, 2)) + trust * identity
            gradient = torch.cat([by_local.flatten(), by_shared])
            return lambda damping: ArrowheadSystem(_damped(blocks, damping), cross, _damped(shared, damping), gradient)

        bound = torch.full((self.basis_i.shape[-1],), IDENTITY_BOUND)
        low = torch.cat([self.low.repeat(count), -bound])
        high = torch.cat([self.high.repeat(count), bound])
        start = self.rest.repeat(count, 1)
        start[:, :POSE] = pose
        x = minimise(torch.cat([start.flatten(), torch.zeros_like(bound)]), cost, system, low, high)
        return split(x)

    def solve_clip(
        self,
        identity: Tensor,
        start: Tensor,
        cut: int,
        window: int,
        more: ExtraEquations | None = None,
        step: FractionCallback = lambda done: None,
    ) -> Tensor:
        """Pose and expression of all frames, `window` at once; those before `cut` do not depend on those from it on."""
        count, overlap = len(start), 20
        windows = [(low, min(low + window, cut), cut) for low in range(0, cut, window)]
        windows += [(low, min(low + window, count), count) for low in range(cut, count, window)]
        parts = []
        for low, high, end in windows:
            first, last = max(low - overlap, 0), min(high + overlap, end)
            known = None if more is None else more(first, last)
            local = self.solve_frames(identity, start[first:last], first, known)
            parts.append(local[low - first :][: high - low])
            step(high / count)
        return torch.cat(parts)

    def solve_frames(self, identity: Tensor, local: Tensor, first: int, more: NormalEquations | None = None) -> Tensor:
        """Pose and expression of successive frames under one identity, accelerating little."""
        count, width = local.shape
        frames = torch.arange(first, first + count)

        low, high = self.low.repeat(count), self.high.repeat(count)
        x = local.flatten()
        rounds = (torch.zeros_like(self.smooth), self.smooth)  # each frame by itself is a good and cheap start
        for smooth in rounds if more is None else rounds[1:]:

            def cost(x: Tensor, smooth: Tensor = smooth) -> Tensor:
                local = x.view(count, width)
                jumps = 0.5 * (local.diff(n=2, dim=0).square() * smooth).sum()
                known = 0.0 if more is None else more.cost(local)
                return self.misfit(identity, local, frames).sum() + jumps + known

            def system(x: Tensor, smooth: Tensor = smooth) -> Callable[[float], ChainSystem]:
                local = x.view(count, width)
                r, j = self.linearise(identity, local, frames)
                blocks = j.mT @ j + torch.diag(self.prior**2)
                gradient = (j.mT @ r.unsqueeze(-1)).squeeze(-1) + self.prior**2 * (local - self.rest)
                if more is not None:
                    blocks, gradient = blocks + more.blocks, gradient + more.gradient(local)
                gradient = (gradient + smooth * second_difference_gradient(local)).flatten()
                return lambda damping: ChainSystem(_damped(blocks, damping), smooth, gradient)

            x = minimise(x, cost, system, low, high)
        return x.view(count, width)


def nearest(known: Tensor, count: int) -> Tensor:
    """For each of `count` frames, which of the `known` ones (ascending) is nearest to it."""
    clock = torch.arange(count)
    after = torch.searchsorted(known, clock).clamp(max=len(known) - 1)
    before = (after - 1).clamp(min=0)
    return torch.where(clock - known[before] < known[after] - clock, before, after)


def _damped(h: Tensor, damping: float) -> Tensor:
    """Blocks `h` with Marquardt's damping, which is relative to each unknown's own diagonal entry."""
    return h + torch.diag_embed(damping * h.diagonal(dim1=-2, dim2=-1) + 1e-9)
