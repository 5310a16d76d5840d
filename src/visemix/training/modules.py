"""The stages: what each trains, and on which losses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torchmetrics.text import CharErrorRate

from visemix.audio import CTC
from visemix.data.base import DataModule, DataRequest
from visemix.data.phonemes import VOCABULARY
from visemix.data.windows import ValidationWindows
from visemix.motion import Calibrated, FlowVAE, MotionModel
from visemix.motion.guide import SyncGuide
from visemix.pipeline import TalkingFace
from visemix.training.adaptation import PostnetModule
from visemix.training.joint import JointModule
from visemix.training.optim import StageOptions
from visemix.training.pictures import first_clips, heat_map, mouth_curves, offset_curves, render_comparison
from visemix.training.stage import STAGES, StageModule
from visemix.types import Clip, Losses, Motion, Space, VisemixError

__all__ = [
    "STAGES",
    "AdaptModule",
    "FinetuneModule",
    "JointModule",
    "MotionModule",
    "PostnetModule",
    "RecogniserModule",
    "RenderModule",
    "StageModule",
    "SyncModule",
]


class RecogniserModule(StageModule):
    """Trains the recogniser of the audio encoder `ctc` on the sounds that are spoken in clips of `visemix corpus`.

    Raises:
        VisemixError: a recogniser with another number of characters than the corpus has sounds.
    """

    name, host_part, unfreezes, opt_in = "recogniser", "audio", True, True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_rate = CharErrorRate()
        if self.stage.dim != len(VOCABULARY):
            raise VisemixError(
                f"the recogniser stage teaches {len(VOCABULARY)} characters, the blank and every sound, and this one "
                f"has {self.stage.dim}; set audio.weights=random audio.characters={len(VOCABULARY)}"
            )

    @classmethod
    def data_request(cls, model: TalkingFace, options: StageOptions, workers: int = 0) -> DataRequest:
        """What it asks of the data: also which sounds are spoken."""
        return replace(super().data_request(model, options, workers), sounds=True)

    @property
    def stage(self) -> CTC:
        """The recogniser, inside whatever wraps it."""
        return next(module for module in self.model.audio.modules() if isinstance(module, CTC))

    def losses(self, clip: Clip) -> Losses:
        """CTC loss of the sounds that are spoken in a batch."""
        assert clip.sounds is not None
        return self.stage.training_loss(clip.speech, clip.sounds)

    def measures(self, clip: Clip) -> dict[str, Any]:
        """Edits per sound between what is heard and what is said, over all of validation."""
        assert clip.sounds is not None
        predicted, target = self.stage.recognise(clip.speech), clip.sounds.tolist()
        self.error_rate.update([_text(row) for row in predicted], [_text(row) for row in target])
        return {"phoneme_error_rate": self.error_rate}

    def picture(self, clip: Clip) -> Tensor:
        """Probability of each character (rows) over time at 50 Hz in the first clip; dark is 1 (3, H, W)."""
        return heat_map(self.stage.log_probs(first_clips(clip, 1).speech)[0].exp().T)


class SyncModule(StageModule):
    """Trains the sync-expert that the motion model brings, on the clips' own motion and on mismatched windows."""

    name, host_part, unfreezes = "sync", "motion", True

    @property
    def stage(self) -> SyncGuide:
        """The sync-expert that the motion model brings."""
        return next(module for module in self.model.motion.modules() if isinstance(module, SyncGuide))

    def losses(self, clip: Clip) -> Losses:
        """The expert's loss on right and wrong pairs of windows of a batch."""
        return self.stage.training_loss(self.model.audio(clip.speech), clip.subject, clip.motion)

    def measures(self, clip: Clip) -> dict[str, Tensor]:
        """The expert's accuracy, the area under its ROC curve, and how often the true offset is found."""
        return self.stage.measure(self.model.audio(clip.speech), clip.subject, clip.motion)

    def picture(self, clip: Clip) -> Tensor:
        """Score of mouth and sound over the offset between them, of each clip and in the mean (3, H, W)."""
        return offset_curves(self.stage.offset_curves(self.model.audio(clip.speech), clip.subject, clip.motion))


class MotionStage(StageModule):
    """What trains the motion model by its own loss, on the clips' own motion."""

    @property
    def stage(self) -> MotionModel:
        """The motion model."""
        return self.model.motion

    def losses(self, clip: Clip) -> Losses:
        """The motion model's losses on a batch, in its own space."""
        return self.model.motion.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        """The losses of the motion model's critic on a batch."""
        return self.model.motion.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def measures(self, clip: Clip) -> dict[str, Tensor]:
        """Of a flow-VAE inside: the evidence lower bound, KL divergence, active units and σ (`FlowVAE.measure`)."""
        generator = next((module for module in self.stage.modules() if isinstance(module, FlowVAE)), None)
        if generator is None:
            return {}
        target = self.model.face.convert(clip.motion, generator.space, clip.subject)
        return generator.measure(self.model.audio(clip.speech), clip.subject, target)

    def picture(self, clip: Clip) -> Tensor:
        """How far the first clip's mouth opens over its frames, true and predicted from its sound (3, H, W)."""
        return mouth_curves(self.model, clip)

    def _inputs(self, clip: Clip) -> Any:
        target = self.model.face.convert(clip.motion, self.stage.space, clip.subject)
        return self.model.audio(clip.speech), clip.subject, target


class MotionModule(MotionStage):
    """Trains the motion model, and what the audio encoder leaves trainable."""

    name, parts, requires = "motion", ("audio", "motion"), ("sync",)


class FinetuneModule(MotionStage):
    """Trains the motion model on, with the clips of the person who is shown (GeneFace's Table 3, "w. fine-tune")."""

    name, retrains, opt_in, person_specific = "finetune", ("motion",), True, True
    requires = ("sync", "motion")


class AdaptModule(MotionStage):
    """Finds the person's rest and amplitude, and leaves what was learnt of speech as it is."""

    name, host_part, unfreezes, opt_in, person_specific = "adapt", "motion", True, True, True
    requires = ("motion",)

    @classmethod
    def learns_of_person(cls, model: TalkingFace) -> str:
        """What it learns of one person alone: rest and amplitude."""
        return "rest and amplitude"

    @property
    def stage(self) -> Calibrated:
        """The wrapper that holds rest and amplitude."""
        return next(module for module in self.model.motion.modules() if isinstance(module, Calibrated))

    def losses(self, clip: Clip) -> Losses:
        """How far the motion's mean, its rest and the spread of its opening are from the person's, squared."""
        return self.stage.adapt(*self._inputs(clip))


class RenderModule(StageModule):
    """Trains the renderer to repaint the clips' own frames from their own motion."""

    name, parts, person_specific, frames = "render", ("render",), True, True

    @classmethod
    def data_request(cls, model: TalkingFace, options: StageOptions, workers: int = 0) -> DataRequest:
        """What it asks of the data: whatever the lips do, sound only where that drives the renderer, and with a frame
        all of its neighbours that the renderer looks at."""
        asked = super().data_request(model, options, workers)
        window = max(asked.window, 2 * model.render.context + 1)
        return replace(asked, window=window, lips=False, uses_sound=model.audio_driven)

    @classmethod
    def learns_of_person(cls, model: TalkingFace) -> str:
        """What it learns of one person alone: looks, where the renderer keeps one person's."""
        return "looks" if model.render.person_specific else ""

    @property
    def stage(self) -> nn.Module:
        """The renderer."""
        return self.model.render

    def init_from_data(self, data: DataModule) -> None:
        """Show the renderer every training stretch's motion, and their frames one by one."""
        spans = data.train_spans
        motions = [span.clip.clip(range(span.start, span.stop), footage=False) for span in spans]
        if spans:
            self.model.render.init_from_data(motions, ValidationWindows(spans, 1, frames=True))

    def losses(self, clip: Clip) -> Losses:
        """The renderer's losses on a batch's frames, drawn from their own motion, or from sound if that drives it."""
        return self.model.render.loss(*self._inputs(clip))

    def critic_losses(self, clip: Clip) -> Losses:
        """The losses of the renderer's critic on the same frames."""
        return self.model.render.critic_loss(*self._inputs(clip))  # type: ignore[operator]

    def picture(self, clip: Clip) -> Tensor:
        """Recorded frames, and under each what is drawn from its motion, or sound if that drives it (3, H, W)."""
        return render_comparison(self.model, clip)

    def _inputs(self, clip: Clip) -> Any:
        motion = clip.motion
        if self.model.audio_driven:
            motion = Motion(self.model.audio(clip.speech).values, Space.FEATURES)
        return self.model.face.convert(motion, self.model.render.space, clip.subject), clip.subject, clip.video


def _text(numbers: list[int]) -> str:
    return "".join(VOCABULARY[number] for number in numbers if number)


STAGE_ORDER = (
    RecogniserModule,
    SyncModule,
    MotionModule,
    FinetuneModule,
    AdaptModule,
    PostnetModule,
    RenderModule,
    JointModule,
)
STAGES.update({module.name: module for module in STAGE_ORDER})
