"""The rasteriser of gsplat behind our conventions: fast on CUDA, and nowhere else."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.ops.camera import DISTANCE
from visemix.ops.splat_torch import BLUR, NEAR


def draw(
    means: Float[Tensor, "N 3"],
    factors: Float[Tensor, "N 3 3"],
    opacity: Float[Tensor, " N"],
    colour: Float[Tensor, "N 3"],
    camera: Float[Tensor, "3"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "1 H W"]]:
    """Image and transmittance, as `ops.splat.splat` promises; computed in float32, no gradient to `camera`.

    gsplat before 1.6 clamps a contribution at 0.999, not at 0.99. It leaves out the Gaussian that would bring a pixel
    below 1e-4, which the other backends still draw.
    """
    height, width = size
    if not len(means):  # gsplat would launch kernels of no threads
        nothing = (means.sum() + factors.sum() + opacity.sum() + colour.sum()) * means.new_ones(4, height, width)
        return nothing[:3], 1 + nothing[3:]
    from gsplat import rasterization

    image, alpha, _ = rasterization(
        means=means.float(),
        quats=None,
        scales=None,
        opacities=opacity.float(),
        colors=colour.float(),
        viewmats=world_to_camera(means.device)[None],
        Ks=intrinsics(camera.detach().float())[None],
        width=width,
        height=height,
        near_plane=NEAR,
        eps2d=BLUR,
        packed=False,
        covars=(factors @ factors.mT).float(),
    )
    return image[0].permute(2, 0, 1).to(means.dtype), (1 - alpha[0]).permute(2, 0, 1).to(means.dtype)


def world_to_camera(device: torch.device | str = "cpu") -> Float[Tensor, "4 4"]:
    """Our space (y up, z toward a viewer at `DISTANCE`) → OpenCV's camera (y down, z away from the viewer).

    >>> world_to_camera() @ torch.tensor([1.0, 2.0, 3.0, 1.0])
    tensor([ 1., -2.,  7.,  1.])
    """
    view = torch.tensor([1.0, -1.0, -1.0, 1.0], device=device).diag()
    view[2, 3] = DISTANCE
    return view


def intrinsics(camera: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """Focal length and centre, in pixels, as a matrix; both sides put pixel centres at i + 0.5.

    >>> intrinsics(torch.tensor([100.0, 32.0, 24.0])).tolist()
    [[100.0, 0.0, 32.0], [0.0, 100.0, 24.0], [0.0, 0.0, 1.0]]
    """
    matrix = torch.eye(3, device=camera.device)
    matrix[0, 0] = matrix[1, 1] = camera[0]
    matrix[:2, 2] = camera[1:]
    return matrix
