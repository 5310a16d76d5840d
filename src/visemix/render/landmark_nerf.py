"""GeneFace's renderer: a NeRF of the head that landmarks drive, and of a torso that follows it."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from visemix.face import FaceModel
from visemix.nn.perceptual import PerceptualLoss
from visemix.ops.device import batched_map
from visemix.ops.presets import merge_preset
from visemix.options import Count, Natural, NotNegative
from visemix.render import published
from visemix.render.base import RENDER, Renderer, empty_background, no_segmentation
from visemix.render.conditions import ConditionEncoder, RunningStats
from visemix.render.fields import GridField, make_encoding
from visemix.render.heads import GridHead, RenderOutput, VanillaHead, composite_over
from visemix.render.losses import RayBatch, head_losses, peak_opacity, torso_losses
from visemix.render.published import NERF_PRESETS
from visemix.render.rays import gather_pixels, image_size, mouth_patch, pixel_centres, repeat_per_frame
from visemix.render.torso import FlatTorso, VanillaTorso
from visemix.render.views import CameraViews
from visemix.types import Label, Losses, Motion, Space, Subject, Video, VisemixError

log = logging.getLogger(__name__)

CODE = 64  # numbers that drive a field
LEEWAY = 0.3  # radians, decimetres: a head is the same a little further round than training has shown it


@RENDER.register("landmark_nerf", local={"vgg": None})
class LandmarkNeRF(Renderer):
    """A NeRF of one person, driven by landmarks (GeneFace, sections 3.3 and 3.4). Wants clips with labels.

    An option that is None is decided by `compat`: *corrected*, *paper* or *official*, see `NERF_PRESETS`.

    The head: `field` is "grid" (feature planes and small networks, made for use) or "vanilla" (the paper's two networks
    of `vanilla_width`, `coarse` + `fine` samples a ray, 400 times as slow). For the grid, `samples` a ray are placed by
    an occupancy grid of `cells`³, walked in `steps`; `encoding` is "planes" of `levels` points a side with `channels`
    numbers each, or "hash", RAD-NeRF's volume of hashed cells (`backend` "tinycudann" where that is installed);
    `compositing` "nerfacc" lets that package add samples up.

    The driver: `condition` "landmarks" looks at `window` frames; "audio" at as many frames of the encoder's features,
    with no motion model between (AD-NeRF). `convolutions` takes the official encoder; the neighbours of a frame are
    weighed from step `attention_from` on, and before it speaks alone. The driver moves a grid's points in an
    `ambient`² plane (RAD-NeRF), and blends `shapes` sets of planes as fine. With `warp`, what is around the landmarks
    goes with them before any of that: a jaw that opens further than training has shown takes its chin along.
    `directions` tells the networks no more than how far landmarks lie along that many principal components of the
    footage's own: for people of whom there are seconds, not minutes.

    The torso lies over the head's picture; `head_aware` shows it the head's colour and opacity at each pixel (false:
    Table 3's row without).

    The losses, of `rays` pixels a frame, most of them on the head and a fifth of them around the mouth: squared
    error of head and of the whole picture (the paper has no other), `mask_weight` · cross-entropy of opacities against
    the labels, `surface_weight` · how far from the fitted skin a face is seen (a frontal video says little of depth),
    `entropy_weight` against fog, `ambient_weight` against motion outside the face. `patch_weight` · the perceptual
    loss of `patch`² pixels around the mouth needs VGG-19, whose weights `vgg` names. `learn` leaves the other part
    as it was loaded.

    In use, `steady` frames wide is the Gaussian that calms head poses; `memory` bounds, in MB, what a frame takes.
    """

    needs_segmentation = person_specific = True
    presets, published = NERF_PRESETS, published.LANDMARK_NERF

    def __init__(
        self,
        face: FaceModel,
        *,
        compat: Literal["corrected", "paper", "official"] = "corrected",
        field: Literal["grid", "vanilla"] | None = None,
        condition: Literal["landmarks", "audio"] = "landmarks",
        window: Count | None = None,
        convolutions: bool | None = None,
        attention_from: Natural | None = None,
        warp: bool = True,
        directions: Natural | None = None,
        head_aware: bool = True,
        learn: Literal["both", "head", "torso"] = "both",
        steady: NotNegative = 0.5,
        samples: Count = 8,
        steps: Count = 64,
        cells: Count = 64,
        encoding: Literal["planes", "hash"] = "planes",
        backend: Literal["auto", "torch", "tinycudann"] = "auto",
        compositing: Literal["auto", "torch", "nerfacc"] = "auto",
        levels: list[Count] = [64, 256],  # noqa: B006 — a part's defaults are its config, copied by the registry
        channels: Count = 8,
        width: Count = 64,
        ambient: Count = 64,
        shapes: Count = 8,
        torso_levels: list[Count] = [32, 128],  # noqa: B006
        torso_width: Count = 64,
        vanilla_width: Count = 256,
        coarse: Count = 64,
        fine: Count = 128,
        rays: Count = 2048,
        mask_weight: NotNegative | None = None,
        surface_weight: NotNegative | None = None,
        entropy_weight: NotNegative | None = None,
        ambient_weight: NotNegative | None = None,
        patch: Count = 32,
        patch_weight: NotNegative = 0.0,
        vgg: str | None = None,
        memory: Count = 1024,
    ) -> None:
        super().__init__()
        o = merge_preset(NERF_PRESETS[compat], locals())
        _check(o["window"], patch_weight, vgg)
        by_landmarks = condition == "landmarks"
        self.face, self.rays, self.patch, self.memory = face, rays, patch, memory
        self.space = Space.LANDMARKS if by_landmarks else Space.FEATURES
        self.context = o["window"] // 2
        self.learn, self.pose_smoothing = learn, steady
        self.warp = warp and by_landmarks and o["field"] == "grid"
        self._driver = (o["window"], o["convolutions"], directions if by_landmarks else None, o["attention_from"])
        if by_landmarks:
            self.set_feature_dim(face.width(Space.LANDMARKS))
        self.poses = RunningStats(6)
        self.head: GridHead | VanillaHead
        self.torso: FlatTorso | VanillaTorso
        if o["field"] == "grid":
            places = make_encoding(encoding, levels, channels, backend)
            grid = GridField(CODE, places, width, ambient, channels, shapes)
            self.head = GridHead(grid, samples=samples, cells=cells, steps=steps, compositing=compositing)
            self.torso = FlatTorso(levels=torso_levels, channels=channels, width=torso_width, head_aware=head_aware)
        else:
            nets: Any = dict(width=vanilla_width, coarse=coarse, fine=fine, released=o["released"])
            self.head = VanillaHead(CODE, **nets)
            self.torso = VanillaTorso(CODE, head_aware=head_aware, colour_widths=o["colour_widths"], **nets)
        if learn == "head":
            self.torso.requires_grad_(False)
        elif learn == "torso":
            self.head.requires_grad_(False)
        self.weights = {
            "head": 1.0,
            "torso": 1.0,
            "mask": o["mask_weight"],
            "torso_mask": o["mask_weight"],
            "surface": o["surface_weight"],
            "entropy": o["entropy_weight"],
            "ambient": o["ambient_weight"],
            "patch": patch_weight,
        }
        self.checkpoint_options = {"vgg": None, "patch_weight": 0.0, "learn": "both"}  # a checkpoint is not trained on
        self.perceptual = PerceptualLoss(vgg, scales=1) if vgg and patch_weight else None
        self._warned: set[str] = set()

    def set_feature_dim(self, dim: int) -> None:
        """Build the driver anew for audio features, or landmark coordinates, of this width."""
        self.driver = ConditionEncoder(dim, CODE, *self._driver)
        if self.learn == "torso":
            self.driver.requires_grad_(False)

    def forward(self, motion: Motion, subject: Subject) -> Video:
        """Torso over head over the empty background, every pixel. Raises `VisemixError` where the subject has none."""
        height, width = image_size(self._plates(subject))
        seen = self.render_pixels(motion, subject, torch.arange(height * width, device=subject.pose.device))
        return Video(seen.mT.reshape(*subject.pose.shape[:2], 3, height, width).clamp(0, 1))

    def render_pixels(self, motion: Motion, subject: Subject, at: Int[Tensor, " M"]) -> Float[Tensor, "F M 3"]:
        """Some pixels of each frame, named by their numbers, row by row."""
        plates = self._plates(subject)
        codes = self._conditions(motion, subject.frames)
        poses = self._clamp_to_range(subject.pose, self.poses, "head pose", LEEWAY).flatten(0, 1)
        views = CameraViews(codes, poses, repeat_per_frame(subject.camera, subject.frames), image_size(plates))
        places = pixel_centres(*views.size, plates.device)[at]
        frames = []
        for f in range(len(codes)):
            paint = partial(self._render_rays, places, plates[f : f + 1].flatten(2).mT[:, at], views.frame(f))
            frames.append(batched_map(paint, len(at), self._rays_per_chunk(), at.device))
        return torch.stack(frames)

    def _render_rays(
        self, places: Float[Tensor, "M 2"], plate: Float[Tensor, "1 M 3"], batch: CameraViews, some: Int[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        pixels, behind = places[None, some], plate[:, some]
        head = self.head(*batch.rays(pixels), batch.codes)[-1]
        torso = self._torso(pixels, batch, behind, head)[-1]
        return composite_over(torso, composite_over(head, behind))[0]

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """Of the frames of a window whose neighbours are in it too; of all, where it is shorter than that."""
        if motion.values.shape[1] == subject.frames > 2 * self.context:
            subject, target = self._inner_frames(subject, target)
        elif motion.values.shape[1] == 1 < self.driver.window and self.training:
            self._warn_once("a frame without its neighbours teaches nothing of how to weigh these: show training more")
        plates = self._plates(subject)
        self._require(subject)
        head_learns = self.training and self.learn != "torso"  # what the head stands on is left to it
        if head_learns:
            self.driver.update(motion.values)
            self.poses.update(subject.pose)
        codes, cameras = self._conditions(motion, subject.frames), repeat_per_frame(subject.camera, subject.frames)
        views = CameraViews(codes, subject.pose.flatten(0, 1), cameras, image_size(plates))
        if head_learns and isinstance(self.head, GridHead):
            self.head.update_occupancy(codes[:1])
        at = RayBatch.sample(self.face, subject, target.frames.flatten(0, 1), plates, self.rays)
        seen = self.head(*views.rays(at.pixels), codes)
        losses, self.opacities = {}, {}
        if self.learn != "torso":
            losses = head_losses(seen, at)
            self.opacities["head"] = peak_opacity(seen[-1], at.label == Label.HEAD)
        if self.learn != "head":
            best = RenderOutput(seen[-1].colour.detach(), seen[-1].opacity.detach())
            torsos = self._torso(at.pixels, replace(views, codes=codes.detach()), at.plate, best)
            losses |= torso_losses(torsos, best, at)
            self.opacities["torso"] = peak_opacity(torsos[-1], at.label == Label.TORSO)
        if self.perceptual is not None and self.learn != "torso":
            losses["patch"] = self._patch(views.frame(0), plates[:1], subject, target)
        return {name: self.weights[name] * value for name, value in losses.items() if self.weights[name]}

    def _require(self, subject: Subject) -> None:
        if subject.labels is None:
            raise no_segmentation(subject)
        if self.learn == "torso" and not self.poses.count:
            raise VisemixError("render.learn=torso builds on a head: name the run that trained it in load.render")

    def _inner_frames(self, subject: Subject, target: Video) -> tuple[Subject, Video]:
        inner = torch.arange(self.context, subject.frames - self.context, device=subject.pose.device)
        return subject.at(inner), Video(target.frames[:, inner])

    def _conditions(self, motion: Motion, frames: int) -> Float[Tensor, "F C"]:
        """What drives a field, frame by frame; behind it, with `warp`, what its landmarks do."""
        moments = self.driver.moments
        within = motion.values if self.training else self._clamp_to_range(motion.values, moments, "motion")
        codes = self.driver(within, frames)
        if self.warp:
            values = motion.values[:, (motion.values.shape[1] - frames) // 2 :][:, :frames]
            rest = self.face.mean[self.face.landmark_ids]
            spots = self.head.box.normalise(rest + values.unflatten(-1, (-1, 3)))
            moves = spots - self.head.box.normalise(rest + moments.mean.view(-1, 3))
            codes = torch.cat([codes, moves.flatten(2), spots.flatten(2)], -1)
        return codes.flatten(0, 1)

    def _torso(
        self, pixels: Float[Tensor, "F M 2"], views: CameraViews, plate: Float[Tensor, "F M 3"], head: RenderOutput
    ) -> list[RenderOutput]:
        # how a torso follows is learnt, and has no leeway
        centred = self.poses.clamp_to_range(views.poses) - self.poses.mean
        if isinstance(self.torso, FlatTorso):
            places = pixels / pixels.new_tensor([views.size[1], views.size[0]]) * 2 - 1
            return [self.torso(places, centred, torch.cat([head.colour, head.opacity[..., None]], -1))]
        return self.torso(pixels, views.cameras, self.poses.mean, centred, views.codes, composite_over(head, plate))

    def _patch(self, batch: CameraViews, plate: Float[Tensor, "1 3 H W"], subject: Subject, target: Video) -> Tensor:
        """The perceptual distance of a square around the first frame's mouth."""
        assert self.perceptual is not None and subject.labels is not None
        pixels, index = mouth_patch(self.face, subject, self.patch, batch.size)
        head = self.head(*batch.rays(pixels), batch.codes)[-1]
        behind, truth = gather_pixels(plate, index), gather_pixels(target.frames[:1, 0], index)
        on_head = subject.labels[:1, 0].flatten(1).gather(1, index) == Label.HEAD
        drawn, truth = composite_over(head, behind), torch.where(on_head[..., None], truth, behind)
        square = (1, self.patch, self.patch, 3)
        ours, theirs = (rows.reshape(square).permute(0, 3, 1, 2) for rows in (drawn, truth))
        return self.perceptual(ours, theirs)[0]

    def _clamp_to_range(self, values: Tensor, seen: RunningStats, what: str, leeway: float = 0.0) -> Tensor:
        """Kept inside the range that training has shown, or no further beyond it than `leeway`; said once where that
        changes anything."""
        kept = seen.clamp_to_range(values, leeway)
        if (values - kept).abs().max() > 0.2 * (seen.high - seen.low).max():
            self._warn_once(f"the {what} goes beyond what this NeRF was trained on, and is kept inside it")
        return kept

    def _warn_once(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            log.warning(what)

    def _rays_per_chunk(self) -> int:
        return max(256, self.memory * 2**20 // self.head.bytes_per_ray)

    @staticmethod
    def _plates(subject: Subject) -> Float[Tensor, "F 3 H W"]:
        return repeat_per_frame(empty_background(subject), subject.frames)


def _check(window: int, patch_weight: float, vgg: str | None) -> None:
    if window % 2 == 0 or window < 1:
        raise VisemixError(f"render.window={window} has no middle frame; give an odd number")
    if patch_weight and vgg is None:
        raise VisemixError("render.patch_weight looks through VGG-19; name its weights in render.vgg, or say 0")
