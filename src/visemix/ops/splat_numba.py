"""Gaussians → pixels on a processor: forward and hand-written backward, compiled by numba. Computed in float32.

Threads are Python's (machine code lets go of its lock), not numba's, whose pool aborts the process when two threads
enter it and hangs after a fork: each of n takes every n-th tile. No tile knows of another, so n changes no byte.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from visemix.ops import splat_kernels as kernels
from visemix.ops.splat_torch import Footprints
from visemix.types import VisemixError


def draw(
    prints: Footprints, opacity: Float[Tensor, " N"], colour: Float[Tensor, "N 3"], size: tuple[int, int]
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "1 H W"]]:
    """Image and transmittance, as `ops.splat.splat` promises.

    Raises:
        VisemixError: the tensors are not on a processor.
    """
    if opacity.device.type != "cpu":
        raise VisemixError(f"backend 'numba' draws on a processor, these Gaussians are on {opacity.device}; say 'auto'")
    gaussians = (t.float() for t in (prints.centre, prints.conic, opacity, colour))
    image, through = _Draw.apply(*gaussians, prints, size)
    return image.to(opacity.dtype), through.to(opacity.dtype)


class _Draw(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        centre: Tensor,
        conic: Tensor,
        opacity: Tensor,
        colour: Tensor,
        prints: Footprints,
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        order = _front_to_back(prints)
        gaussians = (centre, conic, prints.variance.float(), opacity, colour)
        splats = kernels.pack(order, *(t.detach().contiguous().numpy() for t in gaussians))
        starts, members = kernels.bin(splats, *size)
        image, through = torch.empty(3, *size), torch.empty(1, *size)
        _in_threads(kernels.compose, splats, starts, members, image.numpy(), through[0].numpy())
        ctx.save_for_backward(image, through)
        ctx.lists, ctx.count = (order, splats, starts, members), len(opacity)
        return image, through

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_image: Tensor, to_through: Tensor) -> tuple[Tensor | None, ...]:
        image, through = (t.numpy() for t in ctx.saved_tensors)
        order, splats, starts, members = ctx.lists
        arriving = to_image.contiguous().numpy(), to_through.contiguous().numpy()[0]
        shares = np.zeros((len(members), 9), np.float32)
        _in_threads(kernels.decompose, splats, starts, members, image, through[0], *arriving, shares)
        grads = np.zeros((ctx.count, 9), np.float32)
        kernels.gather(order, splats, members, shares, grads)
        rows = torch.from_numpy(grads).T.contiguous()
        return rows[:2], rows[2:5], rows[5], rows[6:].T, None, None


def _front_to_back(prints: Footprints) -> np.ndarray:
    """Ids of the Gaussians that are seen. The bits of a positive float sort as the float does; ids settle a tie."""
    ids = prints.seen.numpy().nonzero()[0]
    depth = prints.depth.float().numpy()[ids].view(np.uint32)
    return np.sort(depth.astype(np.uint64) << np.uint64(32) | ids.astype(np.uint64)).astype(np.uint32).astype(np.int64)


def _in_threads(kernel: Callable[..., None], splats: np.ndarray, starts: np.ndarray, *rest: np.ndarray) -> None:
    count = min(torch.get_num_threads(), len(starts) - 1)
    if count < 2:
        kernel(splats, starts, *rest, 0, 1)
        return
    with ThreadPoolExecutor(count) as pool:  # a pool of this call's own costs 0.1 ms and survives a fork
        for done in [pool.submit(kernel, splats, starts, *rest, k, count) for k in range(count)]:
            done.result()
