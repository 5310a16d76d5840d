"""Autoregressive roll-out of a transformer decoder: frame by frame, with keys and values of the past in caches."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.nn.transformer import Decoder, KVCache


class Rollout:
    """State of an autoregressive decoder; input row t is entry t + W · (output at t − 1), zero before the first.

    In training the gradient flows back through every step (what was kept of the past included). In evaluation the first
    layer's queries, keys and values are one 64-wide linear map of the last output, W and the projection multiplied out
    once, which spares reading the 3 · 1024² projection at every frame.

    Args:
        decoder, head: rows → rows → output.
        feedback: W, output → rows.
        context: frames of its past that a frame attends to, itself included; None for all.
        period: frames to a step of the ALiBi penalty; None for none.
        reset: forget the past every so many frames; 0 for never.
        dropout: on rows and attention weights, in training.
        dtype: numbers to step in where no gradient is wanted; None for those of the weights. Only the decoder is
            rounded, whose weights are read anew for every frame: what is worked out for many frames at once, the
            feedback and the head stay as they are.
    """

    def __init__(
        self,
        decoder: Decoder,
        head: nn.Linear,
        feedback: Float[Tensor, "D E"],
        *,
        context: int | None,
        period: int | None = None,
        reset: int = 0,
        dropout: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.decoder, self.step_decoder, self.head, self.reset, self.frame = decoder, decoder, head, reset, 0
        self.dropout = dropout if decoder.training else 0.0
        self.fused = not decoder.training
        self.caches = [KVCache(context, period, self.dropout) for _ in decoder.layers]
        self.last: Tensor | None = None  # (B, 1, E)
        if self.fused:
            feedback = torch.cat([feedback, decoder.layers[0].self_attn.in_proj_weight @ feedback])
        self.feedback, self.dtype = feedback, feedback.dtype
        if dtype not in (None, self.dtype) and not torch.is_grad_enabled():
            self.dtype = dtype
            rounded = {id(p): nn.Parameter(p.to(dtype), requires_grad=False) for p in decoder.parameters()}
            self.step_decoder = copy.deepcopy(decoder, rounded)  # type: ignore[arg-type]

    def run(
        self,
        entries: Float[Tensor, "B n D"],
        sound: Float[Tensor, "B T D"],
        first: int,
        past: int,
        ahead: int,
        truth: Float[Tensor, "B n E"] | None = None,
        share: float = 0.0,
    ) -> Float[Tensor, "B n E"]:
        """The outputs of the next n frames.

        Args:
            entries: what the rows hold besides the last output.
            sound: what is heard; the first entry is frame `first` there, and frame i hears i − past … i + ahead − 1.
            truth: true outputs; each is fed back in place of our own with probability `share`.
        """
        batch, frames, dim = entries.shape
        memory = self.decoder.cross_attention(sound, past, ahead, self.step_decoder)
        if self.fused:
            entries = torch.cat([entries, self.decoder.layers[0].self_attn.project(entries)], -1)
        outputs = []
        for i in range(frames):
            if self.last is None or (self.reset and self.frame % self.reset == 0):
                self.last = entries.new_zeros(batch, 1, self.head.out_features)
                for cache in self.caches:
                    cache.clear()
            x, projected = entries[:, i : i + 1] + F.linear(self.last, self.feedback), None
            if self.fused:
                x, projected = x.split([dim, 3 * dim], -1)
            else:
                x = F.dropout(x, self.dropout)
            x = x.to(self.dtype)
            for layer, cache, layer_memory in zip(self.step_decoder.layers, self.caches, memory, strict=True):
                x, projected = layer(x, cache, layer_memory.at(first + i), projected), None
            self.last = self.head(x.to(self.feedback.dtype))
            outputs.append(self.last)
            if truth is not None and share > 0:
                given = torch.rand(batch, 1, 1, device=entries.device) < share
                self.last = torch.where(given, truth[:, i : i + 1].to(self.last), self.last)
            self.frame += 1
        return torch.cat(outputs, 1)
