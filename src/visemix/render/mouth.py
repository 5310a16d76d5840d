"""What is inside a mouth: nearly rigid, seldom seen, and in the shade of the lips."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor, nn

from visemix.face import FaceModel, layout
from visemix.render.bindings import Bindings, inner_triangles
from visemix.types import Losses

NEIGHBOURS = 8
MOVES, COLOURS = 0.1, 0.5  # decimetres: how far apart what moves, or is coloured, differently counts to be
AROUND = 0.6  # decimetres around the middle of the lips: what is not skin there is inside the mouth
DEEP = 0.3  # decimetres: the unit of places in a mouth
ENOUGH = 2.0  # pixels, added up over all frames: a place seen so much believes its neighbours half as much
DARK = 0.1  # albedo: of what is darker than that, colours differ by differences rather than by ratios
SKIN = 0.005  # weight of "coloured as its neighbour" everywhere
INSIDE, SHAPES, OPACITY = 0.1, 0.01, 0.01  # of the same inside, and of "placed, as large, as opaque as its neighbour"
RIGID = 0.002  # of "on the mesh, and as large as at the start", inside
FREEDOM = 0.3  # how far what drives the face moves and tints a place inside, where it is 1 elsewhere
DARKEST, BRIGHTEST = -3.0, 0.5  # logarithms of the shade


class MouthInterior(nn.Module):
    """Appearance of the `bindings` inside the mouth: teeth, gums, tongue and what lies behind them.

    A clip of seconds shows few of them, and in few states, so they have little freedom to move and to be tinted by
    themselves. Each has a colour of its own, and what drives the face darkens them all by one shade, the exponential of
    a sum over a few features of a place: how deep it lies, how far aside, how low; how much it moves with the jaw; how
    white it is (the model's albedo). What hardly a frame has shown takes after its neighbours; what many have shown
    hardly does, and gives to them. A face model without a mouth inside has none of these places: there the membrane
    between the lips shows teeth and darkness in its own way.
    """

    near: Int[Tensor, "K M"]  # for each place others that are near, move alike and have the model's albedo in common
    paler: Float[Tensor, " M"]  # the model's albedo, and something
    ids: Int[Tensor, " I"]  # the places inside
    features: Float[Tensor, "F I"]
    free: Float[Tensor, " M"]  # FREEDOM inside, 1 elsewhere
    unseen: Float[Tensor, " M"]  # 1 for a place that no frame of training shows, towards 0 the more they do

    def __init__(self, face: FaceModel, bindings: Bindings, drives: int) -> None:
        super().__init__()
        for name in ("near", "paler", "ids", "features", "free"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.register_buffer("unseen", torch.ones(bindings.corners.shape[1]), persistent=False)
        self.rebuild(face, bindings)
        self.values = nn.Parameter(torch.zeros(drives, len(self.features)))
        self.lr_scale, self.decay_scale = 4.0, 4.0  # with more freedom teeth turn grey where a head turns further

    def rebuild(self, face: FaceModel, bindings: Bindings) -> None:
        """Recompute what depends on the bindings: a checkpoint may bring others."""
        strength = face.expression.norm(dim=1).amax(-1, keepdim=True)
        known = torch.cat([face.mean, face.albedo, face.expression.sum(-1), strength], -1)[bindings.vertices]
        place, albedo, moved, strength = (
            (known[bindings.corners] * bindings.weights[..., None]).sum(0).split([3, 3, 3, 1], -1)
        )
        alike = torch.cat([place, COLOURS * albedo, MOVES * moved], -1).cpu().numpy()
        _, found = cKDTree(alike).query(alike, min(NEIGHBOURS + 1, len(alike)))
        away = place - face.mean[face.landmark_ids[layout.MOUTH]].mean(0)
        within = ~bindings.on_skin & (away.norm(dim=-1) < AROUND) & bool(inner_triangles(face).any())
        x, y, z = away[within].mT / DEEP
        moves = (strength / strength[within].amax().clamp(min=1e-6) if within.any() else strength)[within, 0]
        white = (albedo.amin(-1) / albedo.amax(-1).clamp(min=1e-3))[within]
        self.near = torch.from_numpy(found[:, 1:].T.copy()).to(bindings.corners)
        self.paler, self.free = albedo.mean(-1) + DARK, 1 - (1 - FREEDOM) * within.to(albedo)
        self.ids = within.nonzero()[:, 0]
        self.features = torch.stack(
            [torch.ones_like(x), z, x, x**2, y, moves, moves * z, white, white * z, white * moves]
        )

    def set_visibility(self, pixels: Float[Tensor, " N"]) -> None:
        """How much of the places, the first of N Gaussians, training shows: pixels, added up over its frames."""
        self.unseen = 1 / (1 + pixels[: len(self.unseen)] / ENOUGH)

    def shade(self, driven: Float[Tensor, " D"], count: int) -> Float[Tensor, " N"]:
        """Factor (N,) of the colours of `count` Gaussians, the first of which are the places."""
        inner = (driven @ self.values @ self.features).clamp(DARKEST, BRIGHTEST).exp()
        return inner.new_ones(count).index_copy(0, self.ids, inner)

    def losses(
        self,
        colour: Float[Tensor, "3 N"],
        offset: Float[Tensor, "3 N"],
        growth: Float[Tensor, "3 N"],
        opacity: Float[Tensor, " N"],
    ) -> Losses:
        """What it costs the places, the first of N Gaussians, to differ from a neighbour (another one every time), and
        inside the mouth from the mesh: little, so that only what hardly a frame has shown gives way.

        `growth` is the logarithm of a size over that of the start, `opacity` before the sigmoid.
        """
        other, count = self.near[int(torch.randint(len(self.near), ()))], max(len(self.ids), 1)
        ratio, shape = colour[:, : len(self.paler)] / self.paler, torch.cat([offset, growth])
        unseen, beside = self.unseen[self.ids], other[self.ids]
        apart = [
            weight
            * (unseen * (rows.index_select(1, self.ids) - rows.index_select(1, beside).detach()).square()).sum()
            / count
            for weight, rows in ((INSIDE, ratio), (SHAPES, shape), (OPACITY, opacity[None]))
        ]
        skin = SKIN * (ratio - ratio.index_select(1, other)).square().mean()
        return {
            "alike": torch.stack([*apart, skin]).sum(),
            "rigid": RIGID * shape.index_select(1, self.ids).square().sum() / count,
        }
