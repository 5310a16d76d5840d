"""Gaussians bound to the fitted face: a photo-real head of one person, trained in a minute and painted in real time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from visemix.face import FaceModel
from visemix.face.shading import landmarks_2d
from visemix.ops.camera import project
from visemix.ops.rotation import quaternions_to_matrix
from visemix.ops.splat import Splats, splat
from visemix.options import Count, Natural, NotNegative, Seed
from visemix.render.base import RENDER, FrameDataset, Paste, Renderer, empty_background, no_segmentation
from visemix.render.bindings import Bindings
from visemix.render.gaussian_init import GaussianInit, init_gaussians
from visemix.render.gaussian_parameters import GaussianParameters
from visemix.render.image_terms import differences
from visemix.render.motion_pca import POSE, MotionPCA
from visemix.render.mouth import MouthInterior
from visemix.render.occlusion import occluded_by_skin
from visemix.render.paste import paste
from visemix.render.skinning import blend_skinning, initial_skinning_logits
from visemix.types import Clip, Losses, Motion, Space, Subject, Video, VisemixError

SHARES = {"face": 0.7, "hair": 0.2, "torso": 0.1}  # of the Gaussians
AROUND = 0.1  # decimetres: the unit in which hair and torso are moved
TURNING = 0.4  # how much less than an expression a turning head may change the skin's colours
STILL = 0.01  # decimetres: skin above the nose that is no further from where it was filmed stays the footage's
VISIBILITY_FRAMES = 25  # frames, at most, that are asked what of a mouth training shows
CLEAR = 0.05  # weight of "nothing is painted where the labels see the background"
NEAR, SMALL = 1e-3, 2e-3  # weights of "on its triangle" and of "no larger than e times as at the start"


@RENDER.register("gaussians")
class Gaussians(Renderer):
    """3D Gaussians on the triangles of one person's fitted face, hair on the rigid head, a torso. Wants labels.

    `count` of them: 7 in 10 on the face model's triangles, more around mouth and eyes, each placed, turned and scaled
    in its triangle's frame; 2 in 10 are hair, the rest the torso. Hair goes with the head and the torso with its own
    motion (`Subject.torso`; unknown, it stands in the camera's space); how far each of them follows which is learnt.
    Places and colours follow expression and pose linearly, along the `components` directions in which the face mostly
    moves in training, and no further than it went there. A face model without the inside of a mouth (BFM) has a
    membrane there, on the triangles that close its lips. What is inside a mouth has less freedom (`MouthInterior`).

    `paste` says what of a picture is painted: the "face" (hair, body and place stay the footage's, and so does what is
    above the nose wherever the motion leaves it as it was filmed: eyes, brows), the "head", or the "whole" picture over
    the empty place. Training always paints the whole.

    The loss: absolute error, around the mouth `mouth_weight` times more; `ssim_weight` · (1 − SSIM) of blocks of 8²;
    `edge_weight` times how much weaker or stronger edges are in such blocks (not in the mouth), for errors alone paint
    softly what nobody can predict; nothing where the labels see background; what training hardly shows looks as its
    neighbours do. With `opaque`, what lies behind the skin is painted in random colours, so that nothing may show
    through it: a skin that is not opaque shows blotches as soon as a head turns further than it did in training.

    `backend` is that of `ops.splat`; `seed` draws the places.

    Raises:
        VisemixError: `count` below 10.
    """

    space = Space.EXPRESSION
    needs_segmentation = person_specific = True
    begun: Tensor
    places: Tensor  # (3, ·) decimetres: where hair is on the head and the torso in space
    size_start: Tensor  # (N,) decimetres, or units of a triangle

    def __init__(
        self,
        face: FaceModel,
        *,
        count: Count = 20_000,
        components: Natural = 8,
        paste: Paste = "face",
        opaque: bool = True,
        mouth_weight: NotNegative = 2.0,
        ssim_weight: NotNegative = 0.2,
        edge_weight: NotNegative = 1.0,
        backend: Literal["auto", "torch", "numba", "gsplat"] = "auto",
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if count < 10:
            raise VisemixError(f"render.count={count} Gaussians are no face; give 10 at least, 20000 for a good one")
        self.face, self.paste, self.opaque, self.backend, self.seed = face, paste, opaque, backend, seed
        self.mouth_weight, self.ssim_weight, self.edge_weight = mouth_weight, ssim_weight, edge_weight
        hair, torso = round(count * SHARES["hair"]), round(count * SHARES["torso"])
        self.counts = (count - hair - torso, hair, torso)
        self.bindings = Bindings(face, count - hair - torso, seed)
        self.drive = MotionPCA(face.width(self.space), components)
        self.mouth = MouthInterior(face, self.bindings, components + 3)
        free = 3 * (hair + torso)
        self.offset = GaussianParameters(torch.zeros(3, count), 20.0)
        self.size = GaussianParameters(torch.zeros(3, count), 10.0)  # logarithms
        self.turn = GaussianParameters(torch.eye(4)[:, :1].repeat(1, count), 5.0)  # quaternions, real part first
        self.opacity = GaussianParameters(torch.zeros(count), 50.0)  # before a sigmoid
        self.colour = GaussianParameters(torch.zeros(3, count), 8.0)
        self.face_moves = GaussianParameters(torch.zeros(components, 3 * self.counts[0]), 2.0, 1.0)
        self.face_tints = GaussianParameters(torch.zeros(components + 3, 3 * self.counts[0]), 1.5, 1.0)
        self.free_moves = GaussianParameters(torch.zeros(6, free), 2.0, 1.0)
        self.free_tints = GaussianParameters(torch.zeros(6, free), 1.5, 1.0)
        # before a sigmoid: how far it goes with the head
        self.follow = GaussianParameters(torch.zeros(free // 3), 20.0)
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        self.register_buffer("places", torch.zeros(3, hair + torso))
        self.register_buffer("size_start", torch.ones(count))
        self.register_buffer("moving", face.expression[self.bindings.vertices].flatten(0, 1), persistent=False)
        self._neutral_cache: tuple[Tensor, Tensor] | None = None  # an identity and its neutral vertices
        self.register_load_state_dict_post_hook(Gaussians._refresh_bindings)
        self._initialise(GaussianInit.untrained(face, self.bindings, hair, torso))

    def _refresh_bindings(self, _: object = None) -> None:
        """What is worked out from the bindings, for those of a checkpoint: another `seed` has others."""
        self.get_buffer("moving").copy_(self.face.expression[self.bindings.vertices].flatten(0, 1))
        self.mouth.rebuild(self.face, self.bindings)
        self._neutral_cache = None

    def _apply(self, *args: Any, **kwargs: Any) -> Gaussians:  # what moves to another device keeps nothing on the old
        self._neutral_cache = None
        super()._apply(*args, **kwargs)
        return self

    @torch.no_grad()
    def init_from_data(self, motions: Sequence[Clip], frames: FrameDataset) -> None:
        """Find how the face moves and place the Gaussians, unless that was done; count what of a mouth is ever seen."""
        if not self.begun:
            subjects = [motion.subject for motion in motions]
            expression, pose = (torch.cat([getattr(s, name)[0] for s in subjects]) for name in ("expression", "pose"))
            self.drive.fit(expression, pose)
            self._initialise(init_gaussians(self.face, self.bindings, self.counts[1:], pose, frames, self.seed))
            self.begun.fill_(True)
        picks = torch.linspace(0, len(frames) - 1, min(VISIBILITY_FRAMES, len(frames))).round().long().tolist()
        self.mouth.set_visibility(
            torch.stack([self._pixel_counts(frames[k].subject) for k in picks]).mean(0) * len(frames)
        )

    def _pixel_counts(self, subject: Subject) -> Float[Tensor, " N"]:
        """How many pixels of the first frame of a subject each Gaussian makes up."""
        expression, plate = subject.expression[0, 0], empty_background(subject)[0]
        gaussians = self._gaussians(self._mesh(expression, subject, 0, 0), expression, subject, 0, 0)
        means, factors, opacity, colour = (part.detach() for part in gaussians)
        with torch.enable_grad():
            size, colour = (plate.shape[-2], plate.shape[-1]), colour.requires_grad_()
            seen = splat(means, factors, opacity, colour, subject.camera[0], size, backend=self.backend)
            return torch.autograd.grad(seen.image.sum(), colour)[0].mean(1)

    @torch.no_grad()
    def _initialise(self, init: GaussianInit) -> None:
        self.places.copy_(init.places)
        self.size_start.copy_(init.size)
        self.colour.values.copy_(init.colour)
        flat = torch.ones_like(init.size)
        flat[: self.counts[0]] = 0.3  # across the skin
        self.size.values.copy_(torch.stack([init.size, init.size, init.size * flat]).log())
        self.opacity.values.copy_(init.opacity)
        self.follow.values.copy_(initial_skinning_logits(*self.counts[1:]))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        """Video painted frame by frame. Raises `VisemixError` without an empty background, or footage to paste over."""
        plates = empty_background(subject)
        if self.paste != "whole" and subject.footage is None:
            raise VisemixError(
                f"there is no footage of '{subject.speaker[0]}' to paste a {self.paste} over; say render.paste=whole"
            )
        frames = [
            self._frame(motion.values[b, t], subject, b, t, plates[b])
            for b in range(len(plates))
            for t in range(subject.frames)
        ]
        return Video(torch.stack(frames).clamp(0, 1).unflatten(0, (len(plates), -1)))

    def _frame(self, expression: Tensor, subject: Subject, b: int, t: int, plate: Tensor) -> Float[Tensor, "3 H W"]:
        camera, shown = subject.camera[b], sum(self.counts) if self.paste != "head" else sum(self.counts[:2])
        mesh = self._mesh(expression, subject, b, t)
        means, factors, opacity, colour = self._gaussians(mesh, expression, subject, b, t)
        gaussians = means[:shown], factors[:shown], opacity[:shown], colour[:shown]
        if self.paste == "whole":
            return self._splat_over(gaussians, camera, plate)
        assert subject.footage is not None
        if self.paste == "head":
            return self._splat_over(gaussians, camera, subject.footage[b, t])
        return self._paste_over(gaussians, mesh, subject, b, t, plate)

    def _splat_over(
        self, gaussians: tuple[Tensor, Tensor, Tensor, Tensor], camera: Tensor, behind: Tensor
    ) -> Float[Tensor, "3 H W"]:
        seen = splat(*gaussians, camera, (behind.shape[-2], behind.shape[-1]), backend=self.backend)
        return seen.image + seen.transmittance * behind

    def _paste_over(
        self,
        gaussians: tuple[Tensor, Tensor, Tensor, Tensor],
        mesh: tuple[Tensor, Tensor, Tensor],
        subject: Subject,
        b: int,
        t: int,
        plate: Tensor,
    ) -> Float[Tensor, "3 H W"]:
        assert subject.footage is not None
        camera, on_skin = subject.camera[b], self.bindings.on_skin
        with torch.autocast(plate.device.type, enabled=False):
            vertices = self._vertices(subject.expression[b, t].to(self.places), subject, b)
            filmed = self.bindings.origins(vertices, subject.pose[b, t])
        own, driven = (origin.mT[on_skin] for origin in (filmed, mesh[0]))
        lower = self.bindings.lower[on_skin]
        kept = ~lower & ((driven - own).norm(dim=-1) < STILL)

        def draw(rows: slice, columns: slice) -> Tensor:
            there = camera - camera.new_tensor([0, columns.start, rows.start])
            return self._splat_over(gaussians, there, plate[:, rows, columns])

        places = [project(skin, camera)[:, :2] for skin in (own, driven)]
        return paste(draw, subject.footage[b, t], places, lower, kept)

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """Weighted means over frames of the whole picture; in training also priors, and a skin that must be opaque.
        Raises `VisemixError` without labels or an empty background."""
        if subject.labels is None:
            raise no_segmentation(subject)
        plates, size = empty_background(subject), (target.frames.shape[-2], target.frames.shape[-1])
        found: list[Losses] = []
        for b in range(len(plates)):
            spots = landmarks_2d(self.face, subject.expression, subject)[b]
            for t in range(subject.frames):
                expression = motion.values[b, t]
                gaussians = self._gaussians(self._mesh(expression, subject, b, t), expression, subject, b, t)
                seen, plate = self._splat_opaque(gaussians, spots[t], subject.camera[b], plates[b], size)
                made, true = seen.image + seen.transmittance * plate, target.frames[b, t]
                found.append(self._losses(made, true, seen, spots[t], subject.labels[b, t]))
        priors = self._priors() if self.training else {}  # what is learnt is judged by its pictures alone
        return {name: torch.stack([losses[name] for losses in found]).mean() for name in found[0]} | priors

    def _losses(self, made: Tensor, true: Tensor, seen: Splats, spots: Tensor, labels: Tensor) -> Losses:
        found = differences(made, true, seen.transmittance, spots, labels, self.mouth_weight)
        weights = {"pixels": 1.0, "ssim": self.ssim_weight, "edges": self.edge_weight, "clear": CLEAR}
        return {name: weights[name] * value for name, value in found.items()}

    def _priors(self) -> Losses:
        growth = self.size.values - self.size_start.log()
        near = NEAR * self.offset.values[:, : self.counts[0]].square().mean()
        small = SMALL * (growth - 1).clamp(min=0).square().mean()
        alike = self.mouth.losses(self.colour.values, self.offset.values, growth, self.opacity.values)
        return {"near": near, "small": small} | alike

    def _splat_opaque(
        self, gaussians: tuple[Tensor, ...], spots: Tensor, camera: Tensor, plate: Tensor, size: tuple[int, int]
    ) -> tuple[Splats, Tensor]:
        """What is seen, and the plate; while training, all that is behind the skin has one random colour."""
        means, factors, opacity, colour = gaussians
        if self.opaque and self.training:
            behind, skin = occluded_by_skin(means.detach(), self.bindings.on_skin, spots, camera, size)
            anything = torch.rand(3).to(plate)
            colour = torch.lerp(colour, anything.expand_as(colour), behind[:, None])
            plate = torch.lerp(plate, anything[:, None, None].expand_as(plate), skin)
        return splat(means, factors, opacity, colour, camera, size, backend=self.backend), plate

    def _mesh(self, expression: Float[Tensor, " E"], subject: Subject, b: int, t: int) -> tuple[Tensor, Tensor, Tensor]:
        """Origins, axes and units of the bindings in one frame, in the camera's space."""
        with torch.autocast(expression.device.type, enabled=False):  # bfloat16 would be half a pixel off
            return self.bindings(self._vertices(expression.to(self.places), subject, b), subject.pose[b, t])

    def _gaussians(
        self, mesh: tuple[Tensor, Tensor, Tensor], expression: Float[Tensor, " E"], subject: Subject, b: int, t: int
    ) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3 3"], Float[Tensor, " N"], Float[Tensor, "N 3"]]:
        """Means, factors of the covariances, opacities and colours in one frame, in the camera's space."""
        with torch.autocast(expression.device.type, enabled=False):
            return self._deformed(mesh, expression.to(self.places), subject, b, t)

    def _deformed(
        self, mesh: tuple[Tensor, Tensor, Tensor], expression: Float[Tensor, " E"], subject: Subject, b: int, t: int
    ) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3 3"], Float[Tensor, " N"], Float[Tensor, "N 3"]]:
        bound, hair, _ = self.counts
        pose, torso = subject.pose[b, t], None if subject.torso is None else subject.torso[b, t]
        shape, turn = self.drive(expression, pose)
        lit = torch.cat([shape, TURNING * turn[:3]])
        moves = [self.face_moves.along(shape) * self.mouth.free, self.free_moves.along(turn)]
        tints = [self.face_tints.along(lit) * self.mouth.free, self.free_tints.along(turn)]
        offset = self.offset.values + torch.cat(moves, 1)
        colour = self.colour.values * self.mouth.shade(lit, sum(self.counts)) + torch.cat(tints, 1)
        local = quaternions_to_matrix(self.turn.values) * self.size.values.exp()
        origin, axes, unit = mesh
        on_skin = origin + (axes * (offset[:, :bound] * unit)).sum(1)
        around_skin = (axes[:, :, None] * (local[None, :, :, :bound] * unit)).sum(1)
        places, share, rest = self.places + AROUND * offset[:, bound:], self.follow.values.sigmoid(), self.drive.mean
        free, around = blend_skinning(places, local[:, :, bound:], share, hair, pose, rest[-POSE:], torso)
        means, factors = torch.cat([on_skin, free], 1), torch.cat([around_skin, around], 2)
        return means.mT, factors.permute(2, 0, 1), self.opacity.values.sigmoid(), colour.mT

    def _vertices(self, expression: Float[Tensor, " E"], subject: Subject, b: int) -> Float[Tensor, "V 3"]:
        """The vertices that any Gaussian needs; who it is changes seldom, so the neutral face is kept."""
        identity = subject.identity[b : b + 1]
        if self._neutral_cache is None or not torch.equal(self._neutral_cache[0], identity):
            rest = torch.zeros_like(expression)[None, None]
            self._neutral_cache = identity, self.face.vertices(identity, rest)[0, 0, self.bindings.vertices]
        return self._neutral_cache[1] + (self.get_buffer("moving") @ expression).view(-1, 3)
