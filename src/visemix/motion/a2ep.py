"""GSmoothFace's Audio to Expression Prediction (arXiv 2312.07385, IV-B): sound in, one expression at a time out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.face import FaceModel
from visemix.losses.vertices import VertexLoss
from visemix.motion import published
from visemix.motion.base import MOTION, MotionModel
from visemix.motion.lm3d import CENTIMETRES
from visemix.nn.rollout import Rollout
from visemix.nn.transformer import CrossAttentionCache, Decoder, DecoderLayer, attend_all
from visemix.ops.presets import merge_preset
from visemix.ops.sequence import alibi as alibi_penalty
from visemix.ops.sequence import causal_mask, rechunk, sinusoid
from visemix.options import Count, Natural, NotNegative, Share
from visemix.types import AudioFeatures, Losses, Motion, Space, Subject, VisemixError
from visemix.values import did_you_mean

log = logging.getLogger(__name__)

WAVELENGTH = 62_832  # frames in the slowest wave of the positional encoding: 20 000 π
PERIOD = 25  # frames after which periodic positions start over (FaceFormer)
BLOCK = 256  # frames whose sound is projected together at inference

PRESETS: dict[str, dict[str, Any]] = {
    "corrected": {
        "positions": "sinusoidal", "random_start": True, "start": "zero", "context": 100, "alibi": 0, "reset": 0,
        "causal_training": True, "norm": "squared", "unit": "dm",
    },
    "paper": {
        "positions": "sinusoidal", "random_start": False, "start": "zero", "context": 0, "alibi": 0, "reset": 0,
        "causal_training": True, "norm": "l2", "unit": "dm",
    },
    "official": {
        "positions": "constant", "random_start": False, "start": "style", "context": 0, "alibi": 25, "reset": 600,
        "causal_training": False, "norm": "squared", "unit": "dm",
    },
}  # fmt: skip


@MOTION.register("a2ep")
class A2EP(MotionModel):
    """A transformer decoder that speaks expression coefficients frame by frame, each from the sound and its own past.

    An option that is None takes its value from `compat`.

    Args:
        compat: "corrected" (our default), "paper" (the text), "official" (the authors' code with its faults: positions
            that do not move, training without a causal mask, history dropped every 600 frames). All three predict every
            coefficient, eyes and brows included, and the paper's and the authors' pictures wear those. Here they do so
            with the experiment's `eyes: driven`; by default, whatever the preset, eyes and brows are the footage's.
        speakers: names whose speaking styles are learnt, as in `Subject.speaker`. None: one style for all.
        style: at inference, speak like this one of `speakers`. None: like the subject itself where it is among them,
            else like the first, which the log says.
        dim, heads, feedforward, layers, dropout: of the decoder. Dropout acts in training only.
        sigma1, sigma2: frame i hears the sound of frames i − sigma1 … i + sigma2 − 1 (eq. 4).
        positions: "sinusoidal" over time, "periodic" (sinusoidal, starting over every 25 frames, as FaceFormer), or
            "constant" (every frame gets the vector of frame 0: the official code's fault).
        random_start: in training, start counting positions anywhere, so that no later frame meets a position it has
            never seen; that is what lets a model trained on four seconds speak for an hour.
        start: what stands before the first frame: a "zero" expression, embedded like any other, or the "style" alone.
        context: frames of its own past that a frame attends to, itself included; 0 for all. The default is the length
            of the training window, so that no frame is given more past than any was trained with; memory is bounded.
        alibi: frames to a step of FaceFormer's penalty on older frames; 0 for none.
        reset: forget the past every so many frames; 0 for never.
        causal_training: False trains as the official code does: every step runs the whole prefix anew without a mask,
            and the last run's outputs, which saw the future, are scored.
        teacher_forcing: share of frames that are given the true previous expression in training. 0: free-running, as at
            inference; 1: all frames in one parallel pass; between: scheduled sampling.
        supervision: score "vertices" of the face or the "coefficients" themselves (Table IV, w/o ExpSurp).
        mouth: weight of the lower face's vertices; 1 is Table IV's w/o MouthAttn.
        template: "mean": prediction and truth wear the same shape, which then cancels; "none": the truth keeps the
            speaker's identity and the prediction has none (Table IV, w/o Template), so the expression must explain it.
        norm: "squared" or "l2", see `VertexLoss`.
        unit: in which vertices are scored: "dm", as the authors' mesh, or "cm", as landmarks are, whose squares are a
            hundred times that beside whatever else is in the sum, Adam's epsilon and the bound on gradients.
        velocity: weight of the same loss on differences between neighbouring frames.
        precision: numbers in which inference runs; "auto" is those of the weights, since a roll-out hears its own
            rounding again and float32 is already some forty times faster than speech. Training follows its trainer.
    """

    presets, published = PRESETS, published.A2EP

    def __init__(
        self,
        audio_dim: int,
        face: FaceModel,
        *,
        compat: Literal["corrected", "paper", "official"] = "corrected",
        speakers: list[str] | None = None,
        style: str | None = None,
        dim: Count = 1024,
        heads: Count = 4,
        feedforward: Count = 2048,
        layers: Count = 1,
        dropout: Share = 0.1,
        sigma1: Natural = 0,
        sigma2: Natural = 1,
        positions: Literal["sinusoidal", "periodic", "constant"] | None = None,
        random_start: bool | None = None,
        start: Literal["zero", "style"] | None = None,
        context: Natural | None = None,
        alibi: Natural | None = None,
        reset: Natural | None = None,
        causal_training: bool | None = None,
        teacher_forcing: Share = 0.0,
        supervision: Literal["vertices", "coefficients"] = "vertices",
        mouth: NotNegative = 1.8,
        template: Literal["mean", "none"] = "mean",
        norm: Literal["squared", "l2"] | None = None,
        unit: Literal["cm", "dm"] | None = None,
        velocity: NotNegative = 0.0,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ) -> None:
        super().__init__()
        preset = merge_preset(PRESETS[compat], locals())
        self.positions, self.random_start, self.start = preset["positions"], preset["random_start"], preset["start"]
        self.context, self.alibi, self.reset = preset["context"] or None, preset["alibi"] or None, preset["reset"]
        self.causal_training = preset["causal_training"]
        self.space = Space.EXPRESSION
        self.speakers, self.style = list(speakers or []), style
        self.sigma1, self.sigma2, self.dim, self.heads = sigma1, sigma2, dim, heads
        self.teacher_forcing, self.velocity, self.precision = teacher_forcing, velocity, precision
        self._warned_speakers: set[str] = set()  # speakers without a style that the log has named
        self._check()
        width = face.width(self.space)
        self.audio_map = nn.Linear(audio_dim, dim)
        self.expression_map = nn.Linear(width, dim)
        self.style_map = nn.Linear(len(self.speakers), dim, bias=False) if self.speakers else None
        self.decoder = Decoder(DecoderLayer(dim, heads, feedforward, dropout) for _ in range(layers))
        self.head = nn.Linear(dim, width)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(dropout)
        self.template = template
        basis = torch.cat([face.expression, face.identity], -1) if template == "none" else face.expression
        basis = basis * CENTIMETRES if preset["unit"] == "cm" else basis
        self.vertex_loss = VertexLoss(basis, face.lower, mouth, preset["norm"]) if supervision == "vertices" else None

    def forward(self, audio: AudioFeatures, subject: Subject) -> Motion:
        """Expression coefficients (B, T, E), each frame from the sound and the frames predicted before it."""
        style, rollout = self._style(subject), self._rollout()
        pieces = rechunk([audio.values], BLOCK, self.sigma1, self.sigma2 - 1)
        return Motion(torch.cat([self._advance(rollout, style, *piece) for piece in pieces], 1), self.space)

    def stream(self, audio: Iterable[AudioFeatures], subject: Subject) -> Iterator[Motion]:
        """Motion piece by piece, without gradients, equal to one pass over all the sound.

        Frames come out as soon as the sound they hear is there (`sigma2` − 1 frames later); what is kept between pieces
        is `context` frames of the past, however long the sound.
        """
        with torch.no_grad():
            style, rollout = self._style(subject), self._rollout()
        for piece in rechunk((a.values for a in audio), BLOCK, self.sigma1, self.sigma2 - 1):
            with torch.no_grad():
                values = self._advance(rollout, style, *piece)
            yield Motion(values, self.space)

    def loss(self, audio: AudioFeatures, subject: Subject, target: Motion) -> Losses:
        """Free-running, as at inference, except as `teacher_forcing` and `causal_training` say; not in evaluation."""
        delta = self._predict(audio.values, self._style(subject), target.values) - target.values
        losses = {"expression": self._score(delta, subject.identity)}
        if self.velocity > 0:
            losses["velocity"] = self.velocity * self._score(delta.diff(dim=1), torch.zeros_like(subject.identity))
        return losses

    def _score(self, delta: Tensor, identity: Tensor) -> Tensor:
        if self.vertex_loss is None:
            return delta.square().mean()
        if self.template == "none":
            delta = torch.cat([delta, -identity.unsqueeze(1).expand(-1, delta.shape[1], -1)], -1)
        return self.vertex_loss(delta)

    def _predict(self, audio: Tensor, style: Tensor, truth: Tensor) -> Tensor:
        batch, frames, _ = audio.shape
        offset = torch.zeros(batch, 1, device=audio.device, dtype=torch.long)
        if self.training and self.random_start:
            offset = torch.randint(WAVELENGTH, (batch, 1), device=audio.device)
        if not self.training or (self.causal_training and self.teacher_forcing < 1):
            return self._advance(self._rollout(), style, audio, 0, frames, offset, truth)
        entries, sound = self._entries(style, 0, frames, offset), self.audio_map(audio)
        memory = self.decoder.cross_attention(sound, self.sigma1, self.sigma2)
        if self.teacher_forcing == 1:
            return self._parallel_pass(entries, truth[:, :-1], memory, self._mask(frames, audio.device))
        spoken = truth[:, :0]
        for i in range(frames):  # the official training loop: the whole prefix each time, nothing masked
            predicted = self._parallel_pass(entries[:, : i + 1], spoken, memory, None)
            spoken = torch.cat([spoken, predicted[:, -1:]], 1)
        return predicted

    def _rollout(self) -> Rollout:
        return Rollout(
            self.decoder,
            self.head,
            self.expression_map.weight,
            context=self.context,
            period=self.alibi,
            reset=self.reset,
            dropout=self.dropout.p,
            dtype={"float32": torch.float32, "bfloat16": torch.bfloat16}.get(self.precision),
        )

    def _advance(
        self,
        rollout: Rollout,
        style: Tensor,
        audio: Tensor,
        first: int,
        last: int,
        offset: Tensor | int = 0,
        truth: Tensor | None = None,
    ) -> Tensor:
        """Frames `first` to `last` of this stretch of sound: (B, last − first, E)."""
        sound = self.audio_map(audio)
        entries = self._entries(style, rollout.frame, last - first, offset)
        share = self.teacher_forcing if self.training else 0.0
        return rollout.run(entries, sound, first, self.sigma1, self.sigma2, truth, share).to(style.dtype)

    def _parallel_pass(
        self, entries: Tensor, past: Tensor, memory: list[CrossAttentionCache], mask: Tensor | None
    ) -> Tensor:
        """All frames at once, each given the expression before it: (B, T, E)."""
        before = F.pad(past, (0, 0, 1, 0))
        x = self.dropout(entries + F.linear(before, self.expression_map.weight))
        attend = attend_all(mask, self.dropout.p if self.training else 0.0)
        for layer, layer_memory in zip(self.decoder.layers, memory, strict=True):
            x = layer(x, attend, layer_memory.all(x.shape[1]))
        return self.head(x)

    def _entries(self, style: Tensor, first: int, count: int, offset: Tensor | int = 0) -> Tensor:
        """What the rows of these frames hold besides the last expression: style, position and bias, (B, count, D)."""
        frames = torch.arange(first, first + count, device=style.device)
        frames = frames % self.reset if self.reset else frames
        places = {"sinusoidal": frames + offset, "periodic": (frames + offset) % PERIOD, "constant": 0 * frames}
        rows = style.unsqueeze(1) + sinusoid(places[self.positions].double(), self.dim).to(style)
        embedded = torch.ones_like(frames) if self.start == "zero" else frames > 0
        return rows + embedded.unsqueeze(-1) * self.expression_map.bias

    def _mask(self, frames: int, device: torch.device) -> Tensor:
        allowed = causal_mask(frames, self.context, device)
        if self.alibi is None:
            return allowed
        index = torch.arange(frames, device=device)
        ages = (index.unsqueeze(1) - index).clamp(min=0)
        return alibi_penalty(ages, self.heads, self.alibi).masked_fill(~allowed, -torch.inf)

    def _style(self, subject: Subject) -> Tensor:
        """Style vectors (B, D) of the speakers."""
        if self.style_map is None:
            return self.expression_map.bias.new_zeros(len(subject.speaker), self.dim)
        return self.style_map.weight.T[[self.speakers.index(self._style_of(name)) for name in subject.speaker]]

    def _style_of(self, name: str) -> str:
        """Whose style a speaker of this name is given."""
        if self.training:
            if name not in self.speakers:
                have = ", ".join(self.speakers)
                raise VisemixError(f"'{name}' is not among motion.speakers ({have}); add it before training on it")
            return name
        if self.style is not None or name in self.speakers:
            return self.style or name
        if name not in self._warned_speakers:
            self._warned_speakers.add(name)
            log.warning("'%s' has no style of its own; it speaks like '%s' (motion.style)", name, self.speakers[0])
        return self.speakers[0]

    def _check(self) -> None:
        if self.sigma1 < 0 or self.sigma2 < 1:
            raise VisemixError(f"motion.sigma1={self.sigma1}, sigma2={self.sigma2}: use sigma1 ≥ 0 and sigma2 ≥ 1")
        if self.dim % self.heads:
            raise VisemixError(f"motion.dim={self.dim} is no multiple of motion.heads={self.heads}")
        if not 0 <= self.teacher_forcing <= 1:
            raise VisemixError(f"motion.teacher_forcing={self.teacher_forcing} must lie in [0, 1]")
        if self.style is not None and self.style not in self.speakers:
            have = ", ".join(self.speakers) or "none"
            near = did_you_mean(self.style, self.speakers)
            raise VisemixError(f"motion.style='{self.style}' is not among motion.speakers{near} (have: {have})")
