"""GeneFace's renderer: a head in three dimensions that landmarks drive, and a torso that follows it."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.ops.volume import camera_rays, entropy
from visemix.render.base import RENDER, Renderer
from visemix.render.conditions import LandmarkEncoder, Moments, Neighbours, surrounded
from visemix.render.fields import Grid, Planes
from visemix.render.heads import GridHead, Seen, VanillaHead
from visemix.render.rays import Regions, draw_pixels, pixel_centres
from visemix.render.torso import FlatTorso, VanillaTorso
from visemix.types import Losses, Motion, Space, Subject, Video, VisemixError

log = logging.getLogger(__name__)

PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {"field": "grid", "window": 3, "convolutions": False},
    "paper": {"field": "vanilla", "window": 3, "convolutions": False},
    "official": {"field": "vanilla", "window": 5, "convolutions": True},
}
CODE = 64  # numbers that drive a field
REFRESH = 16  # steps between looks at all of the box


@RENDER.register("landmark_nerf")
class LandmarkNeRF(Renderer):
    """Landmark-conditioned NeRF of one person (GeneFace, sections 3.3 and 3.4). Wants clips with labels.

    An option that is None is decided by `compat`: *corrected*, *paper* or *official*, see `PRESETS`.
    """

    space = Space.LANDMARKS

    def __init__(
        self,
        face: FaceModel,
        *,
        compat: Literal["corrected", "paper", "official"] = "corrected",
        field: Literal["grid", "vanilla"] | None = None,
        head_aware: bool = True,
        window: int | None = None,
        convolutions: bool | None = None,
        samples: int = 8,
        steps: int = 64,
        cells: int = 64,
        levels: list[int] = [64, 256],  # noqa: B006 — a part's defaults are its config, copied by the registry
        channels: int = 8,
        width: int = 64,
        ambient_levels: int = 64,
        vanilla_width: int = 256,
        coarse: int = 64,
        fine: int = 128,
        torso_levels: list[int] = [32, 128],  # noqa: B006
        torso_width: int = 64,
        rays: int = 2048,
        mask_weight: float = 0.1,
        entropy_weight: float = 1e-4,
        ambient_weight: float = 1e-3,
        chunk: int = 32768,
    ) -> None:
        super().__init__()
        options = PRESETS[compat] | {
            k: v for k, v in {"field": field, "window": window, "convolutions": convolutions}.items() if v is not None
        }
        self.face, self.rays, self.chunk = face, rays, chunk
        self.context = options["window"] // 2
        self.encoder = LandmarkEncoder(204, CODE, convolutions=options["convolutions"])
        self.neighbours = Neighbours(CODE, options["window"]) if options["window"] > 1 else None
        self.landmarks, self.poses = Moments(204), Moments(6)
        self.head: GridHead | VanillaHead
        self.torso: FlatTorso | VanillaTorso
        if options["field"] == "grid":
            grid = Grid(CODE, Planes(levels, channels), width=width, ambient=ambient_levels, channels=channels)
            self.head = GridHead(grid, samples=samples, cells=cells, steps=steps)
            self.torso = FlatTorso(levels=torso_levels, channels=channels, width=torso_width, head_aware=head_aware)
        else:
            self.head = VanillaHead(CODE, width=vanilla_width, coarse=coarse, fine=fine)
            self.torso = VanillaTorso(CODE, width=vanilla_width, coarse=coarse, fine=fine, head_aware=head_aware)
        self.weights = {"mask": mask_weight, "entropy": entropy_weight, "ambient": ambient_weight}
        self.register_buffer("seen_steps", torch.zeros((), dtype=torch.long))

    def forward(self, motion: Motion, subject: Subject) -> Video:
        background = self._background(subject)
        codes = self._codes(motion, subject).flatten(0, 1)
        poses, cameras, plates = self._views(subject, background)
        height, width = background.shape[-2:]
        pixels = pixel_centres(height, width, background.device)
        frames = []
        for f in range(len(codes)):
            one = slice(f, f + 1)
            plate = plates[one].flatten(2).mT
            pieces = [
                self._paint(pixels[None, at], codes[one], poses[one], cameras[one], plate[:, at], (height, width))
                for at in torch.arange(len(pixels), device=pixels.device).split(self.chunk)
            ]
            frames.append(torch.cat(pieces, 1)[0].mT.reshape(3, height, width))
        return Video(torch.stack(frames).unflatten(0, subject.pose.shape[:2]).clamp(0, 1))

    def _paint(
        self, pixels: Tensor, code: Tensor, pose: Tensor, camera: Tensor, plate: Tensor, size: tuple[int, int]
    ) -> Float[Tensor, "F M 3"]:
        head = self._head(pixels, code, pose, camera)[-1]
        torso = self._torso(pixels, code, pose, camera, plate, head, size)[-1]
        return over(head, over(torso, plate))

    def _head(self, pixels: Tensor, code: Tensor, pose: Tensor, camera: Tensor) -> list[Seen]:
        return self.head(*camera_rays(pixels, pose, camera), code)

    def _torso(
        self,
        pixels: Tensor,
        code: Tensor,
        pose: Tensor,
        camera: Tensor,
        plate: Tensor,
        head: Seen,
        size: tuple[int, int],
    ) -> list[Seen]:
        centred = pose - self.poses.mean
        if isinstance(self.torso, FlatTorso):
            places = pixels / pixels.new_tensor([size[1], size[0]]) * 2 - 1
            return [self.torso(places, centred, torch.cat([head.colour, head.opacity[..., None]], -1))]
        return self.torso(pixels, camera, self.poses.mean, centred, code, over(head, plate))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        background = self._background(subject)
        if subject.labels is None:
            raise no_masks(subject)
        own = centre(motion, subject.frames)
        if self.training:
            self.landmarks.see(own.values)
            self.poses.see(subject.pose)
        codes = self._codes(motion, subject).flatten(0, 1)
        poses, cameras, plates = self._views(subject, background)
        size = (background.shape[-2], background.shape[-1])
        self._refresh(codes)
        regions = Regions.of(self.face, own, subject, subject.labels)
        pixels, index = draw_pixels(regions, max(1, self.rays // len(codes)))

        def at(picture: Tensor) -> Tensor:
            return picture.flatten(2).gather(2, index[:, None].expand(-1, picture.shape[1], -1)).mT

        truth, plate = at(target.frames.flatten(0, 1)), at(plates)
        label = subject.labels.flatten(0, 1).flatten(1).gather(1, index)
        on_head, on_torso = (label == 2).float(), (label == 1).float()
        seen = self._head(pixels, codes, poses, cameras)
        wanted = torch.lerp(plate, truth, on_head[..., None])
        losses = {
            "head": sum((over(head, plate) - wanted).square().mean() for head in seen),
            "mask": sum(bce(head.opacity, on_head) for head in seen),
            "entropy": entropy(seen[-1].opacity).mean(),
        }
        if seen[-1].ambient is not None:
            quiet = 1 - regions.face.flatten(1).gather(1, index).float()
            losses["ambient"] = (seen[-1].ambient * quiet).mean()
        best = Seen(seen[-1].colour.detach(), seen[-1].opacity.detach())
        torsos = self._torso(pixels, codes.detach(), poses, cameras, plate, best, size)
        losses["torso"] = sum((over(best, over(torso, plate)) - truth).square().mean() for torso in torsos)
        visible = 1 - on_head
        losses["torso_mask"] = sum(bce(torso.opacity, on_torso, visible) for torso in torsos)
        weigh = {"head": 1.0, "torso": 1.0, "torso_mask": self.weights["mask"]} | self.weights
        return {name: weigh[name] * value for name, value in losses.items() if weigh[name]}

    @torch.no_grad()
    def _refresh(self, codes: Tensor) -> None:
        if self.training and isinstance(self.head, GridHead):
            if self.seen_steps % REFRESH == 0:
                share = 1.0 if self.seen_steps < 16 * REFRESH else 0.25
                self.head.occupancy.refresh(self.head.field, codes[:1], share, 0.7)
            self.seen_steps += 1

    def _codes(self, motion: Motion, subject: Subject) -> Float[Tensor, "B T D"]:
        normed = (motion.values - self.landmarks.mean) / (self.landmarks.spread + 1e-3)
        around = surrounded(normed, subject.frames, self.context)
        codes = self.encoder(around)
        return codes if self.neighbours is None else self.neighbours(codes)

    def _views(self, subject: Subject, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        frames = subject.frames
        cameras = subject.camera[:, None].expand(-1, frames, -1).flatten(0, 1)
        plates = background[:, None].expand(-1, frames, -1, -1, -1).flatten(0, 1)
        return subject.pose.flatten(0, 1), cameras, plates

    @staticmethod
    def _background(subject: Subject) -> Float[Tensor, "B 3 H W"]:
        if subject.background is None:
            raise no_masks(subject)
        return subject.background


def no_masks(subject: Subject) -> VisemixError:
    return VisemixError(
        f"the clip of '{subject.speaker[0]}' has no masks of head and torso, which a NeRF is trained and shown with; "
        "prepare it again with --scene mediapipe --overwrite"
    )


def centre(motion: Motion, frames: int) -> Motion:
    """The motion of the frames themselves, without what surrounds them."""
    context = (motion.values.shape[1] - frames) // 2
    return Motion(motion.values[:, context : context + frames], motion.space)


def over(seen: Seen, behind: Float[Tensor, "F M 3"]) -> Float[Tensor, "F M 3"]:
    return seen.colour + (1 - seen.opacity)[..., None] * behind


def bce(opacity: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    with torch.autocast(opacity.device.type, enabled=False):
        return F.binary_cross_entropy(opacity.float().clamp(1e-4, 1 - 1e-4), wanted, weight)
