"""Input encodings of small networks: sines and cosines of coordinates, spherical harmonics of directions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def positional_encoding(values: Float[Tensor, "*b C"], octaves: int) -> Float[Tensor, "*b D"]:
    """Positional encoding: the values and their sines and cosines at 1, 2, 4, … (radians); D = C (1 + 2 · octaves).

    NeRF's, without its factor of π, as AD-NeRF and GeneFace use it.

    >>> [positional_encoding(torch.zeros(3), octaves).shape[-1] for octaves in (10, 4, 6)]
    [63, 27, 39]
    """
    scaled = [values * 2.0**k for k in range(octaves)]
    return torch.cat([values, *(wave for x in scaled for wave in (x.sin(), x.cos()))], -1)


def spherical_harmonics(directions: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 9"]:
    """Spherical harmonics of unit directions up to the second degree, real and without their constants."""
    x, y, z = directions.unbind(-1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], -1)
