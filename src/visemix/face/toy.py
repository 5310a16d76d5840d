"""A head built from formulas: no download, no licence, the same layout as a real morphable model."""

from __future__ import annotations

import torch
from torch import Tensor

from visemix.face.model import FACE, FaceData, FaceModel


@FACE.register("toy")
def toy(*, rows: int = 64, columns: int = 64) -> FaceModel:
    """The procedural head of `rows` × `columns` vertices."""
    v = torch.linspace(0.02, 0.98, rows)[:, None] * torch.pi
    u = torch.linspace(-1, 1, columns)[None] * torch.pi * 0.95
    mean = torch.stack([0.8 * v.sin() * u.sin(), 1.1 * v.cos() + 0 * u, 0.9 * v.sin() * u.cos() - 0.5], -1)
    mean = mean.reshape(-1, 3)
    front = torch.sigmoid(20 * (mean[:, 2] + 0.5))
    nose = torch.exp(-(mean[:, 0] ** 2 + (mean[:, 1] + 0.05) ** 2) / 0.02) * front
    mean = mean + nose[:, None] * torch.tensor([0.0, 0.0, 0.15])
    i = torch.arange(rows - 1)[:, None] * columns + torch.arange(columns - 1)[None]
    a, b, c, d = i, i + columns, i + columns + 1, i + 1
    triangles = torch.cat([torch.stack([a, b, c], -1).reshape(-1, 3), torch.stack([a, c, d], -1).reshape(-1, 3)])
    g = torch.Generator().manual_seed(0)
    identity = torch.stack([_bump(mean, g, 0.5, 0.04) for _ in range(16)], -1)
    expression = torch.stack([_bump(mean, g, 0.3, 0.1, y=-0.4) for _ in range(24)], -1)
    lips = torch.exp(-((mean[:, 0] / 0.2) ** 4) - ((mean[:, 1] + 0.4) / 0.08) ** 4) * front
    skin = torch.tensor([0.85, 0.65, 0.55])
    albedo = skin + lips[:, None] * (torch.tensor([0.75, 0.3, 0.3]) - skin)
    tone = torch.tensor([0.08, 0.08, 0.08]).expand_as(mean)
    texture = torch.stack([tone, lips[:, None] * tone, front[:, None] * tone, tone * mean[:, 1:2]], -1)
    middle = mean[triangles].mean(1)
    wanted = torch.cat([torch.linspace(-0.7, 0.7, 68)[:, None], torch.linspace(-0.6, 0.4, 68)[:, None]], -1)
    far = torch.cdist(wanted, mean[:, :2]) + 10 * (mean[:, 2] < -0.5)
    return FaceModel(
        FaceData(
            name="toy",
            mean=mean - mean[mean[:, 2] > -0.5].mean(0),
            identity=identity,
            expression=expression,
            expression_range=torch.tensor([[0.0, 1.0]]).repeat(24, 1),
            albedo=albedo,
            texture=texture,
            triangles=triangles,
            skin=middle[:, 2] > -0.5,
            hole=triangles[:2],
            landmarks=far.argmin(1),
            lower=mean[:, 1] < -0.1,
        )
    )


def _bump(points: Tensor, g: torch.Generator, radius: float, size: float, y: float = 0.0) -> Tensor:
    centre = torch.randn(3, generator=g) * 0.3 + torch.tensor([0.0, y, 0.3])
    weight = torch.exp(-((points - centre).square().sum(-1, keepdim=True)) / radius**2)
    return weight * size * torch.randn(3, generator=g)
