"""The stages: what each trains, and on which losses."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from visemix.motion.guide import SyncGuide
from visemix.training.adaptation import PostnetModule
from visemix.training.joint import JointModule
from visemix.training.pictures import mouth_curves, offset_curves, repainted
from visemix.training.stage import STAGES, StageModule
from visemix.types import Clip, Losses, Motion, Space

__all__ = [
    "STAGES",
    "FinetuneModule",
    "JointModule",
    "MotionModule",
    "PostnetModule",
    "RenderModule",
    "StageModule",
    "SyncModule",
]


class SyncModule(StageModule):
    """Trains the sync-expert that the motion model brings, on the clips' own motion and on mismatched windows."""

    trains, owns, frees = "sync", ("motion.sync_guide",), True

    @property
    def stage(self) -> SyncGuide:
        return next(module for module in self.model.motion.modules() if isinstance(module, SyncGuide))

    def losses(self, clip: Clip) -> Losses:
        return self.stage.learn(self.model.audio(clip.speech), clip.subject, clip.motion)

    def measures(self, clip: Clip) -> dict[str, Tensor]:
        return self.stage.measure(self.model.audio(clip.speech), clip.subject, clip.motion)

    def picture(self, clip: Clip) -> Tensor:
        return offset_curves(self.stage.curves(self.model.audio(clip.speech), clip.subject, clip.motion))


class OnMotion(StageModule):
    """What trains the motion model by its own loss, on the clips' own motion."""

    @property
    def stage(self) -> nn.Module:
        return self.model.motion

    def losses(self, clip: Clip) -> Losses:
        return self.model.motion.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        return self.model.motion.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def picture(self, clip: Clip) -> Tensor:
        return mouth_curves(self.model, clip)

    def _inputs(self, clip: Clip) -> Any:
        target = self.model.face.convert(clip.motion, self.model.motion.space, clip.subject)
        return self.model.audio(clip.speech), clip.subject, target


class MotionModule(OnMotion):
    """Trains the motion model, and what the audio encoder leaves trainable."""

    trains, owns, needs = "motion", ("audio", "motion"), ("sync",)


class FinetuneModule(OnMotion):
    """Trains the same on, with the clips of the person who is shown (GeneFace's Table 3, "w. fine-tune")."""

    trains, again, needs, personal = "finetune", ("motion",), ("sync", "motion"), True


class RenderModule(StageModule):
    """Trains the renderer to repaint the clips' own frames from their own motion."""

    trains, owns, personal = "render", ("render",), True

    @property
    def stage(self) -> nn.Module:
        return self.model.render

    def losses(self, clip: Clip) -> Losses:
        return self.model.render.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        return self.model.render.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def picture(self, clip: Clip) -> Tensor:
        return repainted(self.model, clip)

    def _inputs(self, clip: Clip) -> Any:
        motion = clip.motion
        if self.model.listening:
            motion = Motion(self.model.audio(clip.speech).values, Space.FEATURES)
        return self.model.face.convert(motion, self.model.render.space, clip.subject), clip.subject, clip.video


IN_ORDER = (SyncModule, MotionModule, FinetuneModule, PostnetModule, RenderModule, JointModule)
STAGES.update({module.trains: module for module in IN_ORDER})
