"""Volume rendering of a head: samples along rays where there is something, composited."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.ops.volume import importance_sampling, ray_box_intersection, render_weights
from visemix.render.fields import THIN, FieldOutput, FrameCondition, GridField, VanillaField

BOX = ((-1.4, -1.8, -1.8), (1.4, 1.8, 0.9))  # a head with its hair, decimetres around the middle of the face
CHUNK_SAMPLES = 2**17  # samples that go through the networks at once: in smaller pieces two threads wait for each other
UPDATE_EVERY, UPDATE_SHARE, DECAY = 16, 0.25, 0.7  # steps between looks at a share of the cells; the weight of the past
UNIFORM_SHARE = 0.05  # share of the samples that go where nothing is known to be
MIN_OPACITY = 1e-2  # opacity below which a ray is taken to pass the head by
MAX_DENSITY = 12.0  # per decimetre: no cell counts for more, as the surface may lie behind its first corner
COARSE_FACTOR = 4  # steps in one of a first walk, in which most rays are found to meet nothing
EARLY_STOP = 1e-3  # light that has to be left for a ray's further samples to be looked at
METRE = 10.0  # decimetres
FAINT = 1e-6  # per metre: density of the authors' that is always there


@dataclass(frozen=True)
class RenderOutput:
    """Colour and opacity of F × R rays, without a background."""

    colour: Float[Tensor, "F R 3"]  # RGB, premultiplied by the opacity
    opacity: Float[Tensor, "F R"]
    driven: Float[Tensor, "F R"] | None = None  # how much the landmarks change of it
    weights: Float[Tensor, "F R S"] | None = None  # how much of each sample is seen
    places: Float[Tensor, "F R S"] | None = None  # decimetres from the camera to each sample


class SceneBox(nn.Module):
    """The box that a head lies in, in its own frame."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(BOX[0]), persistent=False)
        self.register_buffer("high", torch.tensor(BOX[1]), persistent=False)

    def normalise(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
        """Decimetres → [-1, 1]."""
        return (points - self.low) / (self.high - self.low) * 2 - 1

    def intersect(self, origins: Tensor, directions: Float[Tensor, "F R 3"]) -> tuple[Tensor, Tensor]:
        """Distances (decimetres) at which rays enter and leave the box, (F, R) each; equal for a ray that misses it."""
        return ray_box_intersection(origins[:, None].expand_as(directions), directions, self.low, self.high)


class OccupancyGrid(nn.Module):
    """Running density of each cell of the box: decides where along a ray samples go, never what they show."""

    density: Tensor
    looks: Tensor

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("density", torch.ones(side**3))
        self.register_buffer("looks", torch.zeros((), dtype=torch.long))
        self._cache: tuple[tuple[int, int], Tensor, Tensor] | None = None

    def ray_weights(
        self, box: SceneBox, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, steps: int
    ) -> Float[Tensor, "N S"]:
        """Approximate render weights of `steps` equal parts of N rays, by the cells' densities."""
        cells, wide = self._cached_cells()
        rough = self._march(wide, box, origins, directions, near, far, max(1, steps // COARSE_FACTOR))
        some = (rough.amax(-1) * (far - near) > MIN_OPACITY).nonzero()[:, 0]
        view = (origins[some], directions[some], near[some], far[some])
        depth = self._march(cells, box, *view, steps).mul_(((view[3] - view[2]) / steps)[:, None])
        through = torch.exp(-depth.cumsum(-1))
        mass = origins.new_zeros(len(origins), steps)
        mass[some] = F.pad(through, (1, 0), value=1.0).diff(dim=-1).neg_()
        return mass

    def _cached_cells(self) -> tuple[Float[Tensor, "X Y Z"], Float[Tensor, "x y z"]]:
        """Densities of the cells, and the highest of each block of eight and those around it; kept until an update."""
        untold = self.density.is_inference()  # such tensors do not count their changes
        version = (self.density.data_ptr(), -1 if untold else self.density._version)
        if self._cache is None or self._cache[0] != version or untold:
            cells = self.density.clamp(max=MAX_DENSITY).view(*[self.side] * 3)
            wide = F.max_pool3d(F.max_pool3d(cells[None, None], 2, ceil_mode=True), 3, 1, 1)[0, 0]
            self._cache = (version, cells, wide)
        return self._cache[1:]

    @staticmethod
    def _march(
        cells: Float[Tensor, "X Y Z"],
        box: SceneBox,
        origins: Tensor,
        directions: Tensor,
        near: Tensor,
        far: Tensor,
        steps: int,
    ) -> Float[Tensor, "N S"]:
        """The density of the cell in the middle of each of `steps` equal parts of N rays."""
        side = len(cells)
        scale = side / (box.high - box.low)
        start, slope = (origins - box.low) * scale, directions * scale
        at = near[:, None] + ((far - near) / steps)[:, None] * (torch.arange(steps, device=near.device) + 0.5)
        x, y, z = (
            torch.addcmul(start[:, k, None], slope[:, k, None], at).clamp_(0, side - 1e-3).int() for k in range(3)
        )
        cell = (x * side + y) * side + z
        return cells.flatten().index_select(0, cell.flatten()).view_as(at)

    @torch.no_grad()
    def update(self, field: GridField, condition: Float[Tensor, "1 C"], share: float, decay: float) -> None:
        """Update a `share` of the cells by the density at a random place in each; older densities are scaled by
        `decay`."""
        cells = torch.randint(len(self.density), (int(share * len(self.density)),), device=self.density.device)
        place = torch.stack([cells // self.side**2, cells // self.side % self.side, cells % self.side], -1)
        points = (place + torch.rand(len(place), 3, device=place.device)) / self.side * 2 - 1
        density = field.get_density(points[None], field.encode_condition(condition))[0][0]
        self.density[cells] = torch.lerp(density, self.density[cells], decay)


class GridHead(nn.Module):
    """Renders a grid field with `samples` along each ray that hits something."""

    def __init__(self, field: GridField, *, samples: int, cells: int, steps: int, compositing: str = "torch") -> None:
        super().__init__()
        self.field, self.samples, self.steps, self.compositing = field, samples, steps, compositing
        self.box, self.occupancy = SceneBox(), OccupancyGrid(cells)
        self.bytes_per_ray = 64 * (steps + samples) + 2560  # the walk, the samples, a torso's layers

    def update_occupancy(self, condition: Float[Tensor, "1 C"]) -> None:
        """Update the occupancy grid every so often; to be called once a training step."""
        if self.occupancy.looks % UPDATE_EVERY == 0:
            self.occupancy.update(self.field, condition, UPDATE_SHARE, DECAY)
        self.occupancy.looks += 1

    def forward(
        self, origins: Float[Tensor, "F 3"], directions: Float[Tensor, "F R 3"], condition: Float[Tensor, "F C"]
    ) -> list[RenderOutput]:
        """One output: in training with weights and places of the samples, in use with colour and opacity alone."""
        near, far = self.box.intersect(origins, directions)
        with torch.no_grad():
            mass = self._sampling_weights(origins, directions, near, far)
        frames = self.field.encode_condition(condition)
        if self.training:
            return [self._render_samples(origins, directions, *self._place_samples(near, far, mass), frames)]
        colour, opacity = torch.zeros_like(directions), torch.zeros_like(near)
        for f in range(len(directions)):  # each frame has other rays that hit
            one = slice(f, f + 1)
            hits = (mass[f].sum(-1) > MIN_OPACITY).nonzero()[:, 0]
            for some in hits.split(max(1, CHUNK_SAMPLES // self.samples)) if len(hits) else ():
                view = (origins[one], directions[one, some], near[one, some], far[one, some], mass[one, some])
                colour[f, some], opacity[f, some] = self._render_frame(*view, frames.at_frame(f))
        return [RenderOutput(colour, opacity)]

    def _sampling_weights(
        self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor
    ) -> Float[Tensor, "F R S"]:
        flat = (origins[:, None].expand_as(directions).reshape(-1, 3), directions.reshape(-1, 3))
        seen = self.occupancy.ray_weights(self.box, *flat, near.flatten(), far.flatten(), self.steps)
        wider = F.max_pool1d(seen[:, None], 3, stride=1, padding=1)[:, 0]
        return wider.view(*near.shape, -1)

    def _place_samples(self, near: Tensor, far: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
        spread = mass + UNIFORM_SHARE / self.steps
        cut = importance_sampling(
            spread.flatten(0, 1), near.flatten(), far.flatten(), self.samples, jitter=self.training
        )
        places, length = (each.view(*near.shape, -1) for each in cut)
        return places, length

    def _render_frame(
        self, origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, mass: Tensor, condition: FrameCondition
    ) -> tuple[Tensor, Tensor]:
        """Colour and opacity of one frame's rays: half of the samples, then a quarter each where light is left."""
        places, length = self._place_samples(near, far, mass)
        colour, opacity = torch.zeros_like(directions[0]), torch.zeros_like(near[0])
        on = torch.arange(len(opacity), device=opacity.device)
        half, quarter = (self.samples + 1) // 2, (self.samples + 3) // 4
        for part in ((0, half), (half, half + quarter), (half + quarter, self.samples)):
            if not len(on) or part[0] >= part[1]:
                break
            k = slice(*part)
            seen = self._render_samples(origins, directions[:, on], places[:, on, k], length[:, on, k], condition)
            left = 1 - opacity[on]
            colour[on] += left[:, None] * seen.colour[0]
            opacity[on] += left * seen.opacity[0]
            on = on[opacity[on] < 1 - EARLY_STOP]
        return colour, opacity

    def _render_samples(
        self, origins: Tensor, directions: Tensor, places: Tensor, length: Tensor, condition: FrameCondition
    ) -> RenderOutput:
        points = origins[:, None, None] + directions[:, :, None] * places[..., None]
        found = self.field(self.box.normalise(points), directions, condition)
        return composite_samples(found, length, places, self.compositing)


class VanillaHead(nn.Module):
    """Renders the paper's two networks: 64 samples everywhere, then 128 more where the first one saw something.

    `released`: as in the authors' code, places and densities are in metres, the latter a ReLU, and a ray's last sample
    is the background.
    """

    def __init__(self, condition: int, *, width: int, coarse: int, fine: int, released: bool = False) -> None:
        super().__init__()
        self.released = released
        start = math.exp(-THIN) * (METRE if released else 1)
        nets = [VanillaField(condition, width=width, start=start, relu=released) for _ in range(2)]
        self.coarse, self.fine = nets
        self.first, self.second = coarse, fine
        self.box = SceneBox()
        self.bytes_per_ray = 16 * width * (2 * coarse + fine)

    def forward(
        self,
        origins: Float[Tensor, "F 3"],
        directions: Float[Tensor, "F R 3"],
        condition: Float[Tensor, "F C"] | Float[Tensor, "F R C"],
    ) -> list[RenderOutput]:
        """Outputs of the coarse network and of the fine one."""
        per_ray = condition if condition.ndim == 3 else condition[:, None]
        near, far = self.box.intersect(origins, directions)
        length = ((far - near) / self.first)[..., None].expand(*near.shape, self.first)
        offset = torch.rand_like(length) if self.training else torch.full_like(length, 0.5)
        where = near[..., None] + length * (torch.arange(self.first, device=near.device) + offset)
        rough = self._query(self.coarse, origins, directions, where, per_ray)
        with torch.no_grad():
            mass = render_weights(rough.density, length) + 1e-5
            extra, _ = importance_sampling(
                mass.flatten(0, 1), near.flatten(), far.flatten(), self.second, jitter=self.training
            )
            every = torch.cat([where, extra.view(*near.shape, -1)], -1).sort(-1).values
        good = self._query(self.fine, origins, directions, every, per_ray)
        if self.released:  # each sample counts up to the next one; the last, for which nothing is left, is background
            stretches = [F.pad(places.diff(dim=-1), (0, 1)) for places in (where, every)]
        else:
            ends = torch.cat([near[..., None], (every[..., 1:] + every[..., :-1]) / 2, far[..., None]], -1)
            stretches = [length, ends.diff(dim=-1)]
        return [composite_samples(rough, stretches[0], where), composite_samples(good, stretches[1], every)]

    def _query(
        self, field: VanillaField, origins: Tensor, directions: Tensor, where: Tensor, condition: Tensor
    ) -> FieldOutput:
        points = origins[:, None, None] + directions[:, :, None] * where[..., None]
        if not self.released:
            return field(self.box.normalise(points), directions, condition)
        found = field(points / METRE, directions, condition)
        return replace(found, density=(found.density + FAINT) / METRE)


def composite_over(seen: RenderOutput, behind: Float[Tensor, "F M 3"]) -> Float[Tensor, "F M 3"]:
    """The rays' colour composited over a background."""
    return seen.colour + (1 - seen.opacity)[..., None] * behind


def composite_samples(
    found: FieldOutput, length: Float[Tensor, "F R S"], places: Float[Tensor, "F R S"], backend: str = "torch"
) -> RenderOutput:
    """Rays by volume rendering of their samples; `length` of the intervals and `places` in decimetres."""
    weights = render_weights(found.density, length, backend)
    colour = (weights[..., None] * found.colour).sum(-2)
    driven = None if found.driven is None else (weights * found.driven.abs().mean(-1)).sum(-1)
    return RenderOutput(colour, weights.sum(-1), driven, weights, places)
