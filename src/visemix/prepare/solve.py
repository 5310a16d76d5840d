"""Least squares within bounds: Levenberg's damping around a Newton step whose unknowns are pinned where they meet a
bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Vector = Float[Tensor, " n"]
Free = Bool[Tensor, " n"]


@runtime_checkable
class System(Protocol):
    """A damped normal equation `H · step = −gradient` at one point."""

    @property
    def gradient(self) -> Tensor:
        """Gradient of the cost at that point."""

    def apply(self, step: Tensor) -> Tensor:
        """H · step."""

    def solve(self, right: Tensor, free: Tensor) -> Tensor:
        """The x with H · x = `right` in the rows and columns of the free unknowns; zero elsewhere."""


def minimise(
    x: Vector,
    cost: Callable[[Tensor], Tensor],
    linearise: Callable[[Tensor], Callable[[float], System]],
    low: Vector,
    high: Vector,
    rounds: int = 25,
    tolerance: float = 1e-3,
) -> Vector:
    """The x within [low, high] that makes the cost small; ends when a step gains less than `tolerance` of it.

    `linearise(x)(damping)` gives the damped system of the Gauss–Newton model at x.
    """
    best, damping = cost(x), 1e-2
    system = linearise(x)
    for _ in range(rounds):
        new = (x + bounded_step(x, system(damping), low, high)).clamp(low, high)
        value = cost(new)
        if value < best:
            done = best - value < tolerance * best
            x, best, damping = new, value, max(damping / 3, 1e-3)
            if done:
                break
            system = linearise(x)
        else:
            damping *= 10
    return x


def bounded_step(x: Vector, system: System, low: Vector, high: Vector, rounds: int = 4) -> Vector:
    """Newton's step, unknowns that would leave the box pinned to its wall and the rest solved again."""
    gradient = system.gradient
    pinned = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
    step = torch.zeros_like(x)
    for _ in range(rounds):
        held = step * pinned
        right = -(gradient + system.apply(held)) if bool(held.any()) else -gradient
        step = held + system.solve(right * ~pinned, ~pinned)
        # by the walls alone: (x + step) − x is another number than step in the last digit, for no reason
        out = ((x + step < low) | (x + step > high)) & ~pinned
        inside = torch.where(out, torch.minimum(torch.maximum(x + step, low), high) - x, step)
        step, pinned = inside, pinned | out
        if not out.any():
            break
    return step


@dataclass(frozen=True)
class ChainSystem:
    """Normal equations with one diagonal block a frame, coupled by second differences over time."""

    blocks: Float[Tensor, "T D D"]
    smooth: Float[Tensor, " D"]  # weight of half the squared second difference of each unknown
    gradient: Vector

    def apply(self, step: Tensor) -> Tensor:
        """H · step, the coupling over time included."""
        local = step.view(self.blocks.shape[:2])
        return (
            (self.blocks @ local.unsqueeze(-1)).squeeze(-1) + self.smooth * second_difference_gradient(local)
        ).flatten()

    def solve(self, right: Tensor, free: Tensor) -> Tensor:
        """`System.solve` by conjugate gradients (Hestenes & Stiefel 1952); inexact is enough for a Newton step."""
        shape = self.blocks.shape[:2]
        kept = free.view(shape).to(right.dtype)
        blocks = (self.blocks + torch.diag_embed(6 * self.smooth)) * kept.unsqueeze(-1) * kept.unsqueeze(-2)
        inverse = inverse_spd(blocks + torch.diag_embed(1 - kept))  # exact but for the neighbours in time

        def precondition(r: Tensor) -> Tensor:
            return (inverse @ r.view(*shape, 1)).flatten() * free

        x, r = torch.zeros_like(right), right
        z = precondition(r)
        p, rz = z, r @ z
        stop = 1e-4 * rz
        for _ in range(60):
            if rz <= stop:
                break
            q = self.apply(p) * free
            alpha = rz / (p @ q)
            x, r = x + alpha * p, r - alpha * q
            z = precondition(r)
            rz, before = r @ z, rz
            p = z + rz / before * p
        return x


@dataclass(frozen=True)
class ArrowheadSystem:
    """Arrowhead normal equations: a diagonal block a frame, bordered by what all frames share (last in a vector)."""

    blocks: Float[Tensor, "T D D"]
    cross: Float[Tensor, "T D S"]
    shared: Float[Tensor, "S S"]
    gradient: Vector

    def apply(self, step: Tensor) -> Tensor:
        """H · step, the unknowns that frames share last."""
        local, shared = self._parts(step)
        first = (self.blocks @ local.unsqueeze(-1)).squeeze(-1) + self.cross @ shared
        second = torch.einsum("tds,td->s", self.cross, local) + self.shared @ shared
        return torch.cat([first.flatten(), second])

    def solve(self, right: Tensor, free: Tensor) -> Tensor:
        """`System.solve` by eliminating the frames (Schur complement)."""
        local, shared = self._parts(right)
        free_local, free_shared = self._parts(free.to(right.dtype))
        blocks = self.blocks * free_local.unsqueeze(-1) * free_local.unsqueeze(-2)
        inverse = inverse_spd(blocks + torch.diag_embed(1 - free_local))
        cross = self.cross * free_local.unsqueeze(-1) * free_shared
        gone = inverse @ cross
        whole = self.shared * free_shared * free_shared[:, None] + torch.diag(1 - free_shared)
        reduced = whole - (cross.mT @ gone).sum(0)
        second = torch.linalg.solve(reduced, shared - torch.einsum("tds,td->s", gone, local))
        first = (inverse @ local.unsqueeze(-1)).squeeze(-1) - gone @ second
        return torch.cat([first.flatten(), second]) * free

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        frames, width = self.blocks.shape[:2]
        return x[: frames * width].view(frames, width), x[frames * width :]


def inverse_spd(blocks: Float[Tensor, "T D D"]) -> Float[Tensor, "T D D"]:
    """Inverses of symmetric positive definite blocks, in half the time of a general inverse."""
    return torch.cholesky_inverse(torch.linalg.cholesky(blocks))


def second_difference_gradient(x: Float[Tensor, "T D"]) -> Float[Tensor, "T D"]:
    """Gradient of half the squared second differences over time."""
    out = torch.zeros_like(x)
    if len(x) > 2:
        second = x.diff(n=2, dim=0)
        out[:-2] += second
        out[1:-1] -= 2 * second
        out[2:] += second
    return out
