"""Gaussians to draw, and what a picture of them is by the sum over all of them."""

import math

import pytest
import torch

from visemix.ops.backends import available

FLIP = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # our axes to OpenCV's: y down, z away from the viewer


def scene(count=60, size=(37, 53), pixels=3.0, seed=0):
    """Gaussians all over the picture and beyond its border: means, factors, opacity, colour, camera; float64."""
    g = torch.Generator().manual_seed(seed)
    height, width = size
    camera = torch.tensor([4.5 * width, width / 2 + 0.7, height / 2 - 1.3], dtype=torch.float64)
    pixel = 10 / camera[0]

    def uniform(*shape):
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    half = torch.tensor([width, height, width], dtype=torch.float64) * pixel * 0.6
    means = (2 * uniform(count, 3) - 1) * half
    turn, _ = torch.linalg.qr(uniform(count, 3, 3) - 0.5)
    factors = turn * (pixels * pixel * (0.3 + 2 * uniform(count, 1, 3)))
    return means, factors, 0.05 + 0.95 * uniform(count), uniform(count, 3), camera


def naive(means, covariance, opacity, colour, focal, centre, size):
    """One Gaussian at a time at every pixel, OpenCV's camera: the picture, what shows through, and how near the
    nearest contribution to each pixel is to 1/255 or 0.99, as a share of it."""
    height, width = size
    y, x = torch.meshgrid(*(torch.arange(n).to(means) + 0.5 for n in size), indexing="ij")
    image, through = means.new_zeros(3, height, width), means.new_ones(1, height, width)
    margin = means.new_full((height, width), math.inf)
    for i in means[:, 2].argsort().tolist():
        px, py, pz = means[i]
        if pz < 0.1 or opacity[i] < 1 / 255:
            continue
        at = torch.stack([centre[0] + focal * px / pz, centre[1] + focal * py / pz])
        nx = at[0].clamp(-0.15 * width, 1.15 * width) - centre[0]
        ny = at[1].clamp(-0.15 * height, 1.15 * height) - centre[1]
        zero = torch.zeros_like(pz)
        jacobian = torch.stack([torch.stack([focal / pz, zero, -nx / pz]), torch.stack([zero, focal / pz, -ny / pz])])
        flat = jacobian @ covariance[i] @ jacobian.T + 0.1 * torch.eye(2, dtype=means.dtype)
        away = torch.stack([x - at[0], y - at[1]], -1)
        raw = opacity[i] * torch.exp(-0.5 * (away @ flat.inverse() * away).sum(-1))
        near = torch.minimum((raw * 255 - 1).abs(), (raw / 0.99 - 1).abs())
        margin = margin.minimum(near.detach())
        alpha = raw.where(raw >= 1 / 255, 0).clamp(max=0.99)
        image = image + through * alpha * colour[i][:, None, None]
        through = through * (1 - alpha)
    return image, through, margin


def truth(means, factors, opacity, colour, camera, size):
    eye = (means * FLIP.to(means)) + means.new_tensor([0.0, 0.0, 10.0])
    turned = FLIP.to(means)[:, None] * factors
    return naive(eye, turned @ turned.mT, opacity, colour, camera[0], camera[1:], size)


def leaves(*tensors, dtype=None):
    return [t.detach().to(dtype or t.dtype).requires_grad_() for t in tensors]


def one(x=0.0, y=0.0, z=0.0, *, pixels=2.0, opacity=0.5, colour=(1.0, 0.5, 0.25), size=(16, 16)):
    """A round Gaussian, and a camera under which a decimetre at the origin is ten pixels."""
    camera = torch.tensor([100.0, size[1] / 2, size[0] / 2])
    factors = (pixels / 10 * torch.eye(3))[None]
    return torch.tensor([[x, y, z]]), factors, torch.tensor([opacity]), torch.tensor([colour]), camera


def both(*scenes):
    """Several scenes of one camera as one."""
    return [torch.cat(parts) for parts in list(zip(*scenes, strict=True))[:4]] + [scenes[0][4]]


# numba compiles when it is first used and keeps the code; without it, its half of these tests has nothing to check
BACKENDS = ["torch", pytest.param("numba", marks=pytest.mark.skipif(not available("numba"), reason="needs numba"))]
needs_numba = pytest.mark.skipif(not available("numba"), reason="needs numba")
