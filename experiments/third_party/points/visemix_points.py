"""A renderer that grows and prunes its primitives, in one file: points of colour that go with one person's head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from visemix.data import Label
from visemix.face import FaceModel
from visemix.ops.resize import resize_parameter
from visemix.ops.rotation import pose_points
from visemix.ops.splat import splat
from visemix.render import RENDER, Renderer
from visemix.types import Losses, Motion, Space, Subject, Video

NEAR = 0.05  # decimetres: the unit in which points leave their vertices


@RENDER.register("points")
class Points(Renderer):
    """Round Gaussians on the face's vertices, which learn place, size, colour and opacity (Kerbl et al. 2023, 5).

    Every `every` steps until step `until`, what is hardly seen is dropped, and the `share` of the points whose places
    the loss pulls at most get a twin beside them; never more than `most`. Where the labels see no head, the footage
    stays. `seed` draws the first `count` vertices.
    """

    space = Space.EXPRESSION
    needs_segmentation = person_specific = grows = True
    vertex: Tensor  # (N,) that each point goes with
    pull: Tensor  # (N,) how hard the loss has pulled at its place since it last grew

    def __init__(
        self,
        face: FaceModel,
        *,
        count: int = 400,
        most: int = 4000,
        every: int = 20,
        until: int = 1000,
        share: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.face, self.most, self.every, self.until, self.share = face, most, every, until, share
        g = torch.Generator().manual_seed(seed)
        self.register_buffer("vertex", torch.randint(len(face.mean), (count,), generator=g))
        self.offset = nn.Parameter(torch.zeros(count, 3))
        self.size = nn.Parameter(torch.full((count, 1), -2.5))  # logarithm of decimetres
        self.colour = nn.Parameter(face.albedo[self.vertex].clamp(0.01, 0.99).logit())
        self.opacity = nn.Parameter(torch.zeros(count, 1))  # before a sigmoid
        self.register_buffer("pull", torch.zeros(count))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        assert subject.footage is not None and subject.labels is not None and subject.background is not None
        head = (subject.labels == Label.HEAD).unsqueeze(2)
        behind = torch.where(head, subject.background.unsqueeze(1), subject.footage)
        ids, basis = self.vertex, self.face.expression[self.vertex]
        rest = self.face.mean[ids] + torch.einsum("nci,bi->bnc", self.face.identity[ids], subject.identity)
        moved = torch.einsum("nce,bte->btnc", basis, motion.values) + rest.unsqueeze(1) + NEAR * self.offset
        posed = pose_points(moved, subject.pose)
        factors = self.size.exp().unsqueeze(-1) * torch.eye(3).to(posed)
        looks = factors, self.opacity[:, 0].sigmoid(), self.colour.sigmoid()
        frames = []
        for b, t in torch.cartesian_prod(*map(torch.arange, posed.shape[:2])).tolist():
            seen = splat(posed[b, t], *looks, subject.camera[b], (behind.shape[-2], behind.shape[-1]))
            frames.append(seen.image + seen.transmittance * behind[b, t])
        return Video(torch.stack(frames).clamp(0, 1).unflatten(0, posed.shape[:2]))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        return {"image": F.l1_loss(self(motion, subject).frames, target.frames)}

    def before_step(self, optimiser: Optimizer, step: int) -> None:
        assert self.offset.grad is not None
        self.pull += self.offset.grad.norm(dim=1)

    @torch.no_grad()
    def after_step(self, optimiser: Optimizer, step: int) -> None:
        if (step + 1) % self.every or step >= self.until:
            return
        kept = (self.opacity[:, 0].sigmoid() > 0.05).nonzero()[:, 0]
        room = min(round(self.share * len(kept)), self.most - len(kept))
        twins = kept[self.pull[kept].argsort(descending=True)[: max(room, 0)]]
        born = {
            "offset": self.offset[twins] + torch.randn(len(twins), 3).to(self.offset),
            "size": self.size[twins] - 0.3,
        }
        for name, parameter in self.named_parameters():
            resize_parameter(optimiser, parameter, kept, born.get(name, parameter[twins]))
        self.vertex = self.vertex[torch.cat([kept, twins])]
        self.pull = torch.zeros_like(self.opacity[:, 0])
