"""Joint training: image losses reach the motion model through the renderer. GSmoothFace says so; no code of it does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visemix.render import Renderer
from visemix.training.pictures import render_comparison
from visemix.training.stage import StageModule
from visemix.types import Clip, Losses, Motion, Video, VisemixError

PAINTED = 5  # consecutive frames of each window that are drawn; the motion is spoken for all of it


class JointModule(StageModule):
    """Trains motion model (with what the encoder leaves trainable) and renderer on, by the pictures that they make
    together of the clips' sound, and by the motion model's own loss.

    The motion is spoken as at inference; the renderer's losses go back through it, the blend, the rasteriser and the
    face model. Any motion model and any renderer whose pictures follow its motion smoothly.

    Raises:
        VisemixError: the renderer listens to the sound itself.
    """

    name, retrains, opt_in, person_specific, frames = "joint", ("motion", "render"), True, True, True
    requires = ("sync", "motion", "render")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flows = False  # whether gradients were seen to come back from the pictures
        if self.model.audio_driven:
            raise self._refusal("listens to the sound itself, so no motion lies under its pictures")

    @property
    def stage(self) -> Renderer:
        """The renderer."""
        return self.model.render

    def losses(self, clip: Clip) -> Losses:
        """The motion model's own losses, and the renderer's on pictures of what that model answers.

        Raises:
            VisemixError: no gradient comes back from the pictures to the motion.
        """
        audio = self.model.audio(clip.speech)
        target = self.model.face.convert(clip.motion, self.model.motion.space, clip.subject)
        motion, *seen = self._painted(clip, self.model.motion(audio, clip.subject))
        pixels = self.model.render.loss(motion, *seen)
        if torch.is_grad_enabled() and not self._flows:
            self._check(motion.values, pixels)
        return self.model.motion.loss(audio, clip.subject, target) | pixels

    def critic_losses(self, clip: Clip) -> Losses:
        """The losses of the renderer's critic on pictures of the spoken motion."""
        with torch.no_grad():
            motion = self.model.motion(self.model.audio(clip.speech), clip.subject)
        return self.model.render.critic_loss(*self._painted(clip, motion))  # type: ignore[operator]

    def picture(self, clip: Clip) -> Tensor:
        """Recorded frames, and under each what is drawn from its sound (3, H, W)."""
        return render_comparison(self.model, clip, spoken=True)

    def _painted(self, clip: Clip, motion: Motion) -> Any:
        """Arguments of the renderer's losses: a few frames of the spoken motion, and their truth. In validation the
        middle ones."""
        assert clip.video is not None
        slack = max(0, motion.values.shape[1] - PAINTED)
        start = int(torch.randint(slack + 1, ())) if self.training else slack // 2
        frames = torch.arange(start, min(start + PAINTED, motion.values.shape[1]))
        subject = clip.subject.at(frames)
        motion = self.model.apply_eyes(motion, clip.subject, made=False)
        drawn = Motion(motion.values[:, frames], motion.space)
        return self.model.face.convert(drawn, self.stage.space, subject), subject, Video(clip.video.frames[:, frames])

    def _check(self, motion: Tensor, pixels: Losses) -> None:
        total = torch.stack(list(pixels.values())).sum()
        back = None
        if motion.requires_grad and total.requires_grad:
            (back,) = torch.autograd.grad(total, motion, retain_graph=True, allow_unused=True)
        if back is None or not back.any():
            raise self._refusal("sends nothing back from its pictures to the motion under them")
        self._flows = True

    def _refusal(self, because: str) -> VisemixError:
        name = self.model.config["render"]["name"]
        return VisemixError(
            f"the joint stage cannot train through renderer '{name}', which {because}; drop it from `fit`"
        )
