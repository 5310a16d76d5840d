"""TAFT, GSmoothFace's second stage: the driven face is blended into the footage, and a network makes it real."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from jaxtyping import Float
from kornia.losses import ssim_loss
from torch import Tensor, nn

from visemix.face import FaceModel
from visemix.face.layout import MOUTH
from visemix.face.shading import landmarks_2d
from visemix.nn.critic import PatchCritic, hinge_critic, hinge_generator
from visemix.nn.perceptual import PerceptualLoss
from visemix.ops.device import inference_dtype
from visemix.ops.image import dilate
from visemix.ops.presets import merge_preset
from visemix.options import Count, NotNegative
from visemix.parts import advise
from visemix.render import published
from visemix.render.base import RENDER, Renderer
from visemix.render.blend import Blend, FaceBlend, footprint, soften
from visemix.render.generator import Generator, run_in_dtype
from visemix.render.rays import box_mask, image_size
from visemix.render.references import nearest_reference
from visemix.types import Losses, Motion, Space, Subject, Video, VisemixError

log = logging.getLogger(__name__)

# What a preset decides, and nothing else does. The official code also lets a frame be its own reference in training,
# which teaches nothing but to copy: the one thing not reproduced.
PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {
        "hole": "mesh",
        "union": True,
        "morphology": "random",
        "soft_edge": 0.5,
        "overflow": "clamp",
        "keep_eyes": True,
        "composite": True,
        "residual": True,
        "mouth_weight": 1.0,
    },
    "paper": {
        "hole": "closing",
        "union": False,
        "morphology": "random",
        "soft_edge": 0.0,
        "overflow": "clamp",
        "keep_eyes": False,
        "composite": False,
        "residual": False,
        "mouth_weight": 0.0,
    },
    "official": {
        "hole": "closing",
        "union": False,
        "morphology": "fixed",
        "soft_edge": 0.5,  # its masks go through a bicubic resize
        "overflow": "wrap",
        "keep_eyes": False,
        "composite": False,
        "residual": False,
        "mouth_weight": 0.0,
    },
}
BLENDING = ("hole", "union", "morphology", "soft_edge", "overflow", "keep_eyes")
GALLERY = 32  # pictures to choose among
EDGE, EDGE_SIGMA = (13, 13), 2.0  # composite: how far beyond the mask the generator may paint, in pixels of 224


@RENDER.register("taft", local={"vgg": None})
class TAFT(Renderer):
    """Target-adaptive face translation (GSmoothFace, section III-C): generator over a morphology-augmented blend.

    An option that is None is decided by `compat`: *corrected*, *paper* or *official*, see `PRESETS`.

    The blend: `hole`, `union`, `morphology`, `soft_edge`, `overflow` and `keep_eyes` are explained at `FaceBlend`;
    `blend: false` leaves it out, and the generator sees the rendered face alone (Table IV, w/o MAFB). `composite` keeps
    the footage wherever the face is not, in training and in use alike; without it the whole frame is the generator's.
    `residual` lets the generator paint a correction: to the blend, and to the reference where the mask has left nothing
    to see. Training then starts near the blend instead of at grey; the loss sees the sum before it is clamped. Without
    it, as in the paper, the generator paints the picture itself.

    The reference is the one picture that is `given`; or, for each frame, the `nearest` of 32 by its mouth, warped by
    the fitted mesh to the driven one.

    The losses: `photometric_weight` · mean |Î − I| over [-1, 1]; the perceptual and style terms need VGG-19, whose
    weights `vgg` names (a path, or "random"): without them they are off. `mouth_weight` · the same mean over a box
    around the mouth, which is a few hundredths of the picture and most of what matters; `structure_weight` ·
    (1 − SSIM) / 2. `critic_weight` above 0 adds a patch critic with a hinge loss.

    The work: `precision` is that of inference ("auto": bfloat16 where the hardware multiplies it), training follows the
    trainer's; `chunk` is how many frames go through the generator at once in `forward`.

    Raises:
        VisemixError: `composite` without `blend`.
    """

    space = Space.EXPRESSION
    presets, published = PRESETS, published.TAFT

    def __init__(
        self,
        face: FaceModel,
        *,
        compat: Literal["corrected", "paper", "official"] = "corrected",
        blend: bool = True,
        hole: Literal["mesh", "closing"] | None = None,
        union: bool | None = None,
        morphology: Literal["random", "fixed", "none"] | None = None,
        soft_edge: NotNegative | None = None,
        overflow: Literal["clamp", "wrap"] | None = None,
        keep_eyes: bool | None = None,
        reference: Literal["given", "nearest"] = "given",
        composite: bool | None = None,
        residual: bool | None = None,
        base: Count = 64,
        max_channels: Count = 256,
        levels: Count = 3,
        photometric_weight: NotNegative = 1.0,
        perceptual_weight: NotNegative = 4.0,
        style_weight: NotNegative = 1000.0,
        mouth_weight: NotNegative | None = None,
        structure_weight: NotNegative = 0.0,
        vgg: str | None = None,
        critic_weight: NotNegative = 0.0,
        critic_base: Count = 64,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        chunk: Count = 4,
    ) -> None:
        super().__init__()
        o = merge_preset(PRESETS[compat], locals())
        if composite and not blend:
            raise VisemixError("render.composite needs render.blend: without a blend there is no mask to paste by")
        self.face, self.blend = face, blend
        self.composite, self.residual = o["composite"] and blend, o["residual"]
        self.paste = "face" if self.composite else "whole"
        self.precision, self.chunk = precision, chunk
        self.gallery = GALLERY if reference == "nearest" else 0
        self.blending = FaceBlend(face, **{name: o[name] for name in BLENDING})
        self.generator = Generator(base, max_channels, levels)
        self.weights = {
            "photometric": photometric_weight,
            "perceptual": perceptual_weight,
            "style": style_weight,
            "mouth": o["mouth_weight"],
            "structure": structure_weight,
            "adversarial": critic_weight,
        }
        self.checkpoint_options = {"vgg": None}  # a checkpoint paints without what the losses looked through
        looks = bool(perceptual_weight or style_weight)
        self.perceptual = PerceptualLoss(vgg) if vgg and looks else None
        if looks and not vgg:
            advise(log, "TAFT trains without its perceptual and style terms: render.vgg names no VGG-19 weights")
        elif vgg == "random":
            advise(log, "TAFT's perceptual and style terms look through a random VGG-19 (render.vgg=random)")
        self.critic: nn.Module | None = PatchCritic(6, critic_base) if critic_weight else None

    def forward(self, motion: Motion, subject: Subject) -> Video:
        """Video painted `chunk` frames at a time. Raises `VisemixError` where the subject has no footage."""
        given = self._reference(subject)
        frames = [
            self._draw(Motion(motion.values[:, at], motion.space), subject.at(at), given)[0]
            for at in torch.arange(motion.values.shape[1], device=motion.values.device).split(self.chunk)
        ]
        return Video(torch.cat(frames, 1).clamp(0, 1))

    def loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """Weighted terms of the frames before they are clamped; what weighs 0 is left out."""
        frames, blend = self._draw(motion, subject, self._reference(subject))
        ours, theirs = frames.flatten(0, 1), target.frames.flatten(0, 1)
        error = 2 * (ours - theirs).abs()  # pictures in [-1, 1]
        losses = {"photometric": error.mean()}
        if self.weights["mouth"]:
            mouth = landmarks_2d(self.face, motion.values, subject)[..., MOUTH, :].flatten(0, 1)
            box = box_mask(mouth, image_size(ours), 0.3)[:, None].to(ours.dtype)
            losses["mouth"] = (error * box).sum() / (3 * box.sum()).clamp(min=1)
        if self.weights["structure"]:
            losses["structure"] = ssim_loss(ours, theirs, window_size=7)
        if self.perceptual is not None:
            losses["perceptual"], losses["style"] = self.perceptual(ours, theirs)
        if self.critic is not None:
            losses["adversarial"] = hinge_generator(self.critic(torch.cat([blend.image.flatten(0, 1), ours], 1)))
        return {name: self.weights[name] * value for name, value in losses.items() if self.weights[name]}

    def critic_loss(self, motion: Motion, subject: Subject, target: Video) -> Losses:
        """Hinge loss of the critic, which sees true and painted frames beside their blend; nothing without a critic."""
        if self.critic is None:
            return {}
        with torch.no_grad():
            frames, blend = self._draw(motion, subject, self._reference(subject))
        seen = blend.image.flatten(0, 1)
        real = self.critic(torch.cat([seen, target.frames.flatten(0, 1)], 1))
        fake = self.critic(torch.cat([seen, frames.flatten(0, 1)], 1))
        return {"critic": hinge_critic(real, fake)}

    def _draw(self, motion: Motion, subject: Subject, given: Tensor) -> tuple[Float[Tensor, "B T 3 H W"], Blend]:
        footage = subject.footage
        assert footage is not None
        blend = self.blending(motion.values, subject, footage)
        seen = blend.image if self.blend else blend.face
        if self.gallery and subject.gallery is not None:
            with torch.no_grad():
                reference = nearest_reference(self.face, motion.values, subject, subject.gallery)
        else:
            reference = given.unsqueeze(1).expand_as(seen)
        pair = (reference, seen)
        made = self._generate(*(2 * picture.flatten(0, 1) - 1 for picture in pair)).unflatten(0, seen.shape[:2])
        if self.residual:
            frames = seen + pair[0] * blend.missing + made if self.blend else seen + made
        else:
            frames = (made + 1) / 2
        if self.composite:
            mask = blend.mask.flatten(0, 1)
            edge = soften(dilate(mask, *footprint(EDGE, mask)).view_as(blend.mask), EDGE_SIGMA)
            frames = footage + (frames - footage) * edge
        return frames, blend

    def _generate(self, reference: Tensor, blended: Tensor) -> Tensor:
        if self.training or torch.is_grad_enabled():
            return self.generator(reference, blended)
        return run_in_dtype(inference_dtype(self.precision, blended.device), self.generator, reference, blended)

    @staticmethod
    def _reference(subject: Subject) -> Float[Tensor, "B 3 H W"]:
        if subject.footage is None:
            raise VisemixError(f"TAFT paints over footage, and '{subject.speaker[0]}' has none; prepare a clip of them")
        return subject.footage[:, 0] if subject.reference is None else subject.reference
