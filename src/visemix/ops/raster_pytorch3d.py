"""The rasteriser of PyTorch3D behind our conventions: fast on CUDA, minutes per picture on a processor."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def to_ndc(points: Float[Tensor, "*b N 3"], size: tuple[int, int]) -> Float[Tensor, "*b N 3"]:
    """Pixels → PyTorch3D's normalised coordinates: +x left, +y up, the shorter side of the picture from -1 to 1.

    Our pixel centres at i + 0.5 are its pixel centres. Depth is handed on: it must be that of the camera, not
    normalised, for `perspective_correct` to be so.

    >>> to_ndc(torch.tensor([[0.0, 0.0, 10.0], [200.0, 100.0, 10.0]]), (100, 200))
    tensor([[ 2.,  1., 10.],
            [-2., -1., 10.]])
    """
    (height, width), shorter = size, min(size)
    x, y, depth = points.unbind(-1)
    return torch.stack([(width - 2 * x) / shorter, (height - 2 * y) / shorter, depth], -1)


def draw(
    points: Float[Tensor, "B N 3"],
    triangles: Int[Tensor, "F 3"],
    attributes: Float[Tensor, "B N C"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"], Int[Tensor, "B H W"]]:
    """Attributes, depth and triangle of each pixel, as `ops.raster_torch.draw`; computed in float32.

    A pixel centre exactly on an edge belongs to neither triangle here, to both in the plain backend.
    """
    from pytorch3d.ops import interpolate_face_attributes
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    ahead = (points[..., 2] > 0)[:, triangles].all(-1)  # (B, F): PyTorch3D would draw the part before the camera
    faces = [triangles[keep] for keep in ahead]
    meshes = Meshes(verts=list(to_ndc(points.float(), size)), faces=faces)
    packed, depth, weights, _ = rasterize_meshes(
        meshes, image_size=size, blur_radius=0.0, faces_per_pixel=1, perspective_correct=True
    )
    corners = attributes.float().flatten(0, 1)[meshes.faces_packed()]  # (faces of all items, 3, C)
    values = interpolate_face_attributes(packed, weights, corners)  # (B, H, W, 1, C), 0 where nothing is hit
    hit = packed[..., 0] >= 0
    original = ahead.nonzero()[:, 1]  # packed face → triangle
    triangle = packed[..., 0].clone()
    triangle[hit] = original[triangle[hit]]
    depth = depth[..., 0].where(hit, 0).unsqueeze(1)
    return values[..., 0, :].permute(0, 3, 1, 2).to(points.dtype), depth.to(points.dtype), triangle
