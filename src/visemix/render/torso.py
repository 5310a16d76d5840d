"""Neck and shoulders: they follow the head without being part of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visemix.ops.encoding import positional_encoding
from visemix.ops.volume import camera_rays
from visemix.render.conditions import LEAK
from visemix.render.fields import PlaneTables
from visemix.render.heads import RenderOutput, VanillaHead


class HeadColour(nn.Sequential):
    """Encoding (16 numbers) of the head at a pixel, three layers: of its colour, and with `inputs` = 4 its opacity."""

    def __init__(self, inputs: int, widths: tuple[int, int] = (16, 32)) -> None:
        act = nn.LeakyReLU(LEAK)
        one, other = widths
        super().__init__(nn.Linear(inputs, one), act, nn.Linear(one, other), act, nn.Linear(other, 16))


class FlatTorso(nn.Module):
    """A picture that the head's pose bends (RAD-NeRF): position → displaced position → features → colour and opacity.

    `head_aware`: both networks also see the head at the pixel, so that the two meet (GeneFace, section 3.3).
    """

    def __init__(self, *, levels: list[int], channels: int, width: int, head_aware: bool) -> None:
        super().__init__()
        aware = 16 if head_aware else 0
        self.colours = HeadColour(4) if head_aware else None
        self.pose = nn.Linear(54, width)
        self.bend = nn.Linear(42 + aware, width)
        self.shift = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 2, bias=False))
        self.tables = PlaneTables(1, levels, channels)
        self.pose_again = nn.Linear(54, width)
        self.body = nn.Linear(self.tables.dim + aware, width)
        self.paint = nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 4))

    def forward(
        self, places: Float[Tensor, "F M 2"], pose: Float[Tensor, "F 6"], head: Float[Tensor, "F M 4"]
    ) -> RenderOutput:
        """The torso at `places` in [-1, 1] of the picture; `pose` less its mean, `head` premultiplied colour and
        opacity."""
        posed = positional_encoding(pose, 4)
        extra = [] if self.colours is None else [self.colours(head)]
        hidden = (
            self.bend(torch.cat([positional_encoding(places, 10), *extra], -1)).add(self.pose(posed)[:, None]).relu_()
        )
        bent = (places + 0.1 * self.shift(hidden)).clamp(-1, 1).float()
        features = self.tables(bent.flatten(0, 1)[:, None]).view(*places.shape[:2], -1)
        hidden = self.body(torch.cat([features, *extra], -1)).add(self.pose_again(posed)[:, None]).relu_()
        out = self.paint(hidden).float().sigmoid()
        return RenderOutput(out[..., :3] * out[..., 3:], out[..., 3])


class VanillaTorso(nn.Module):
    """The paper's second NeRF: rays of one standing camera, driven by landmarks, head pose and the head's colour.

    158 numbers of condition: 64 of the landmarks, twice 39 of the pose's waves, 16 of the head at the pixel.
    """

    def __init__(
        self,
        condition: int,
        *,
        width: int,
        coarse: int,
        fine: int,
        head_aware: bool,
        colour_widths: tuple[int, int] = (16, 32),
        released: bool = False,
    ) -> None:
        super().__init__()
        self.colours = HeadColour(3, colour_widths) if head_aware else None
        inputs = condition + 78 + (16 if head_aware else 0)
        self.nerf = VanillaHead(inputs, width=width, coarse=coarse, fine=fine, released=released)

    def forward(
        self,
        pixels: Float[Tensor, "F M 2"],
        camera: Float[Tensor, "F 3"],
        still: Float[Tensor, "6"],
        pose: Float[Tensor, "F 6"],
        condition: Float[Tensor, "F C"],
        head: Float[Tensor, "F M 3"],
    ) -> list[RenderOutput]:
        """Outputs of the torso's networks; `still` is the pose whose camera all frames are seen from, `head` the head's
        colour over the background."""
        origins, directions = camera_rays(pixels, still.expand(len(pixels), 6), camera)
        posed = torch.cat([positional_encoding(pose[:, :3], 6), positional_encoding(pose[:, 3:], 6)], -1)
        driven = torch.cat([condition, posed], -1)[:, None].expand(-1, pixels.shape[1], -1)
        if self.colours is not None:
            driven = torch.cat([driven, self.colours(head)], -1)
        return self.nerf(origins, directions, driven)
