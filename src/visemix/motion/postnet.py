"""GeneFace's domain-adaptive post-net (arXiv 2301.13430, 3.2): any model's motion, in one person's manner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.motion import published
from visemix.motion.base import MOTION, MotionModel, stream
from visemix.motion.guide import SyncGuide
from visemix.motion.lm3d import LM3D
from visemix.nn.adapt import FrameCritic, Refiner
from visemix.nn.critic import least_squares_critic, least_squares_generator
from visemix.ops.presets import merge_preset
from visemix.ops.sequence import rechunk
from visemix.options import Count, Natural, NotNegative
from visemix.parts import SeparateWeights, Wrapper
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject

BLOCK = 512  # frames that are streamed together
MotionExample = tuple[AudioFeatures, Subject, Motion]  # sound, who speaks, and their true motion

PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {
        "identity": "subject", "norm": "row", "slope": 0.2, "widths": (128, 256), "order": "last", "kernel": 1,
        "still": True, "critic_widths": (128, 256, 256, 128),
        "adversarial_weight": 0.85, "sync_weight": 0.1, "mse_weight": 5.0,
    },
    "paper": {
        "identity": "audio", "norm": "batch", "slope": 0.0, "widths": (256, 256), "order": "before norm", "kernel": 3,
        "still": False, "critic_widths": (256, 256, 256, 256),
        "adversarial_weight": 1.0, "sync_weight": 1.0, "mse_weight": 1.0,
    },
    "official": {
        "identity": "audio", "norm": "batch", "slope": 0.2, "widths": (128, 256), "order": "before activation",
        "kernel": 1, "still": False, "critic_widths": (128, 256, 256, 128),
        "adversarial_weight": 0.85, "sync_weight": 0.1, "mse_weight": 0.05,
    },
}  # fmt: skip


@MOTION.register("postnet")
class PostNet(MotionModel, Wrapper):
    """Another model's motion, moved into one person's domain by a net that a critic of single frames trains.

    The `motion` stage trains the base by its own loss; the `postnet` stage then trains this on many speakers' sound,
    which has no true answer, and on the person's, which has. Base and sync-expert are frozen then, in eval mode.

    Args:
        base: the motion model, as under `motion` in an experiment.
        compat: "corrected" (our default; starts as the identity, no statistic over batch or time), "paper" (ReLU, norm
            last, net and critic 256 wide, eq. 5's three losses alike), "official" (the authors' code, whose batch norm
            mixes both domains). An option that is None takes its value from it.
        identity: "subject" or "audio", see `LM3D`.
        order: where a layer adds its input: "last", to act(norm(conv)); "before activation", as the authors do; "before
            norm", as the text has it: act(conv + x), then norm.
        adversarial_weight, sync_weight, mse_weight: of the losses. Without sync there is no expert. The authors' 0.05
            for the squared error goes with shapes guessed from the voice; where shape is known (`identity` "subject")
            errors are a twentieth of that, for which `corrected` makes up.
        halves, sync_dim, sync_windows: of the sync-expert, where the base brings none; see `flow_vae`.
    """

    space = Space.LANDMARKS
    separate_weights = MappingProxyType(
        {"sync": SeparateWeights(("sync_guide",)), "postnet": SeparateWeights(("postnet", "postnet_critic"))}
    )
    base: MotionModel
    presets, published = PRESETS, published.POSTNET

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        base: dict[str, Any],
        compat: Literal["corrected", "paper", "official"] = "corrected",
        identity: Literal["subject", "audio"] | None = None,
        order: Literal["last", "before activation", "before norm"] | None = None,
        adversarial_weight: NotNegative | None = None,
        sync_weight: NotNegative | None = None,
        mse_weight: NotNegative | None = None,
        halves: Natural = 1,
        sync_dim: Count = 512,
        sync_windows: Count = 1024,
    ) -> None:
        super().__init__()
        o = merge_preset(PRESETS[compat], locals())
        self.weights = {"adversarial": o["adversarial_weight"], "sync": o["sync_weight"], "mse": o["mse_weight"]}
        self.base = MOTION.build(base, audio_dim, face)
        self.face, self.lm3d = face, LM3D(face, o["identity"])
        self.sync_guide: SyncGuide | None = None
        if self.weights["sync"] and not _guides(self.base):
            about = {"halves": halves, "identity": o["identity"], "dim": sync_dim, "windows": sync_windows}
            self.sync_guide = SyncGuide(audio_dim, face, **about)
        width = face.width(self.space)
        shape = {"order": o["order"], "kernel": o["kernel"], "still": o["still"]}
        self.postnet = Refiner(width, o["widths"], o["norm"], o["slope"], **shape)
        self.postnet_critic = FrameCritic(width, o["critic_widths"], relu=compat == "paper")
        for net in (self.postnet, self.postnet_critic):
            net.requires_grad_(False)  # but for the stage that trains it

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """The base's motion as landmarks, refined."""
        return self._refined(self.base(audio, subject), subject)

    def draw(self, audio: AudioFeatures, subject: Subject, seed: int) -> Motion:
        """The motion that the base draws for this seed as landmarks, refined."""
        return self._refined(self.base.draw(audio, subject, seed), subject)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, as many frames later than the base's as a layer looks ahead; equal to one pass."""
        pieces = (self.lm3d.pack(motion, subject) for motion in stream(self.base, audio, subject))
        for rows, first, last in rechunk(pieces, BLOCK, self.postnet.reach, self.postnet.reach):
            with torch.no_grad():
                values = self.postnet(rows)[:, first:last]
            yield self.lm3d.unpack(values, subject)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """The base's losses, in the base's own space: the post-net itself learns by `adapt`."""
        return self.base.loss(audio, subject, self.face.convert(target, self.base.space, subject))

    def adapt(self, many: MotionExample, person: MotionExample) -> tuple[Losses, Float[Tensor, "B T 204"]]:
        """Losses of this net (adversarial and sync on anyone's sound, squared error on the person's), and the rows that
        it made of anyone's sound."""
        audio, subject, _ = many
        made = self._rows(audio, subject)
        losses = {
            "adversarial": least_squares_generator(self.postnet_critic(made)),
            "mse": F.mse_loss(self._rows(*person[:2]), self.lm3d.pack(person[2], person[1])),
        }
        guide = _guides(self)
        if guide:
            losses["sync"] = guide[0].loss(audio, subject, self.lm3d.unpack(made, subject))
        return {name: self.weights[name] * loss for name, loss in losses.items()}, made.detach()

    def critic_scores(
        self, made: Float[Tensor, "B T 204"], truth: Motion, person: Subject
    ) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
        """The critic's scores of the person's true frames, and of those made from the others' sound."""
        return self.postnet_critic(self.lm3d.pack(truth, person)), self.postnet_critic(made)

    def critic_loss(self, real: Tensor, fake: Tensor) -> Losses:
        """Least-squares loss of the critic: true frames at a score of 1, made ones at 0."""
        return {"critic": least_squares_critic(real, fake)}

    @torch.no_grad()
    def measure(self, many: MotionExample, person: MotionExample) -> dict[str, Tensor]:
        """Rows to judge a held-out batch by: others' own, made from others' sound, from the person's, and the person's
        own."""
        return {
            "many": self.lm3d.pack(many[2], many[1]),
            "before": self.lm3d.pack(self._base(*many[:2]), many[1]),
            "after": self._rows(*many[:2]),
            "spoken": self._rows(*person[:2]),
            "truth": self.lm3d.pack(person[2], person[1]),
        }

    def _rows(self, audio: AudioFeatures, subject: Subject) -> Float[Tensor, "B T 204"]:
        with torch.no_grad():
            rows = self.lm3d.pack(self._base(audio, subject), subject)
        return self.postnet(rows)

    def _base(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """The base's motion: in training another of those that fit every time, else always the same."""
        seed = int(torch.randint(2**31, ())) if self.training else 0
        return self.face.convert(self.base.draw(audio, subject, seed), self.space, subject)

    def _refined(self, motion: Motion, subject: Subject) -> Motion:
        return self.lm3d.unpack(self.postnet(self.lm3d.pack(motion, subject)), subject)


def _guides(model: MotionModel) -> list[SyncGuide]:
    return [module for module in model.modules() if isinstance(module, SyncGuide)]
