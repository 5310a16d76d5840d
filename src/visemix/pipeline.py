"""The whole of it: sound → features → motion → pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from visemix.audio import AUDIO, AudioEncoder
from visemix.face import FACE, FaceModel
from visemix.motion import MOTION, MotionModel
from visemix.render import RENDER, Renderer
from visemix.types import AudioFeatures, Motion, Speech, Subject, Video


class TalkingFace(nn.Module):
    def __init__(self, face: FaceModel, audio: AudioEncoder, motion: MotionModel, render: Renderer) -> None:
        super().__init__()
        self.face, self.audio, self.motion, self.render = face, audio, motion, render

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any]) -> TalkingFace:
        """Widths flow from stage to stage here, so no YAML file repeats one."""
        face = FACE.build(cfg["face"])
        audio = AUDIO.build(cfg["audio"])
        motion = MOTION.build(cfg["motion"], audio.dim, face)
        render = RENDER.build(cfg["render"], face)
        return cls(face, audio, motion, render)

    def stages(self) -> dict[str, nn.Module]:
        return {"audio": self.audio, "motion": self.motion, "render": self.render}

    def forward(self, speech: Speech, subject: Subject) -> Video:
        features: AudioFeatures = self.audio(speech)  # (B, T, C)
        motion: Motion = self.motion(features, subject)  # (B, T, D)
        return self.draw(motion, subject)  # (B, T, 3, H, W)

    def draw(self, motion: Motion, subject: Subject) -> Video:
        """Also the way in for motion that did not come from sound: ground truth, or another video's."""
        return self.render(self.face.convert(motion, self.render.space, subject), subject)
