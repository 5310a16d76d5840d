"""Gaussians in space → a picture, differentiable in all that they are (Kerbl et al. 2023, section 4 and 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.ops import splat_gsplat, splat_torch
from visemix.ops.backends import choose_backend
from visemix.types import VisemixError


@dataclass(frozen=True)
class Splats:
    """A picture without its background: `image + transmittance * background` has one."""

    image: Float[Tensor, "3 H W"]  # premultiplied: black where nothing is
    transmittance: Float[Tensor, "1 H W"]  # the share of the background that shows through; 1 where nothing is


def splat(
    means: Float[Tensor, "N 3"],
    factors: Float[Tensor, "N 3 3"],
    opacity: Float[Tensor, " N"],
    colour: Float[Tensor, "N 3"],
    camera: Float[Tensor, "3"],
    size: tuple[int, int],
    *,
    backend: Literal["auto", "torch", "numba", "gsplat"] = "auto",
) -> Splats:
    """Draw Gaussians, front to back in the order of their means, into `size` = (H, W).

    `means` are posed points in decimetres, as `ops.camera.project` takes them, and `factors @ factors.mT` their
    covariances; `opacity` lies in [0, 1]; `camera` is focal length and centre in pixels. A Gaussian projects to an
    ellipse about its mean (EWA splatting), blurred by 0.1 px² in both directions (gsplat's `eps2d`); at a pixel's
    centre it hides `opacity * exp(-d² / 2)`, 0.99 at most and nothing below 1/255. What is nearer than 0.1 dm, or
    behind the viewer, is left out. Gradients reach all five tensors (gsplat: not `camera`), and are zero where a
    contribution is cut or clamped.

    `auto` is gsplat on CUDA and numba on a processor, where they are installed, else torch, the readable twin. numba
    and gsplat compute in float32 and are done with a pixel that lets less through than 1e-5 (gsplat: 1e-4). On one
    machine the same call gives the same bytes with numba, whatever the number of threads: as many as torch's.

    Raises:
        VisemixError: the backend is missing, or means of less than float32.
    """
    if means.dtype not in (torch.float32, torch.float64):
        raise VisemixError(f"{means.dtype} is too coarse for the positions of Gaussians; pose them in float32")
    chosen = choose_backend(backend, "gsplat", means.device, processor="numba")
    factors, opacity, colour, camera = (t.to(means.dtype) for t in (factors, opacity, colour, camera))
    with torch.autocast(means.device.type, enabled=False):  # bfloat16 would be pixels off
        if chosen == "gsplat":
            return Splats(*splat_gsplat.draw(means, factors, opacity, colour, camera, size))
        prints = splat_torch.footprints(means, factors, opacity, camera, size)
        if chosen == "torch":
            return Splats(*splat_torch.draw(prints, opacity, colour, size))
        from visemix.ops import splat_numba  # numba takes half a second to import

        return Splats(*splat_numba.draw(prints, opacity, colour, size))
