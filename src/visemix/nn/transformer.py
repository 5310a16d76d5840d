"""A transformer decoder that can go through a sequence in one pass or frame by frame, with the same answer.

Its parameters carry the names and the starting values of `torch.nn.TransformerDecoderLayer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from visemix.ops.sequence import alibi, local_attention_mask

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]  # queries, keys, values (B, heads, n, width) → (B, heads, n, width)
CrossAttend = Callable[[Tensor], Tensor]  # rows that ask (B, n, D) → what they hear (B, n, D)


class Attention(nn.Module):
    """Projections of multi-head attention; which rows attend to which is left to the caller."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def project(self, x: Float[Tensor, "B n D"], first: int = 0, last: int = 3) -> Float[Tensor, "B n P"]:
        """Queries, keys and values side by side; `first` and `last` pick some of the three."""
        dim = x.shape[-1]
        return F.linear(x, self.in_proj_weight[first * dim : last * dim], self.in_proj_bias[first * dim : last * dim])

    def split(self, projected: Float[Tensor, "B n P"], parts: int) -> tuple[Tensor, ...]:
        """`parts` tensors (B, heads, n, width) of what `project` laid side by side."""
        return projected.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def merge(self, attended: Float[Tensor, "B h n w"]) -> Float[Tensor, "B n D"]:
        """The heads' results side by side, through the output projection."""
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class CrossAttentionCache:
    """Keys and values of one layer's cross-attention: frame i attends to frames i − past … i + ahead − 1.

    Where that is frame i alone, the softmax over one key is 1 whatever the query, and the attention is a linear map
    of the sound, computed here once for all frames.

    `queries` is the attention that asks, in a precision of its own.
    """

    def __init__(
        self, attention: Attention, sound: Float[Tensor, "B T D"], past: int, ahead: int, queries: Attention
    ) -> None:
        self.queries, self.past, self.ahead, self.frames = queries, past, ahead, sound.shape[1]
        dtype = queries.in_proj_weight.dtype
        if (past, ahead) == (0, 1):
            self.projected = attention.out_proj(attention.project(sound, 2, 3)).to(dtype)
        else:
            self.keys, self.values = attention.split(attention.project(sound, 1, 3).to(dtype), 2)

    def at(self, frame: int) -> CrossAttend:
        """Cross-attention of a single row, that of frame `frame`."""
        if (self.past, self.ahead) == (0, 1):
            projected = self.projected[:, frame : frame + 1]
            return lambda x: projected
        near = slice(max(frame - self.past, 0), min(frame + self.ahead, self.frames))
        keys, values = self.keys[:, :, near], self.values[:, :, near]
        return lambda x: self._attend(x, keys, values, None)

    def all(self, frames: int) -> CrossAttend:
        """Cross-attention of the rows of the first `frames` frames, all at once."""
        if (self.past, self.ahead) == (0, 1):
            return lambda x: self.projected[:, :frames]
        near = local_attention_mask(self.frames, self.past, self.ahead, self.keys.device)[:frames]
        return lambda x: self._attend(x, self.keys, self.values, near)

    def _attend(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        (queries,) = self.queries.split(self.queries.project(x, 0, 1), 1)
        attended = F.scaled_dot_product_attention(queries, keys.to(queries.dtype), values.to(queries.dtype), mask)
        return self.queries.merge(attended)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each added to its input and then normalised (post-norm)."""

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.multihead_attn = Attention(dim, heads)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "B n D"], attend: Attend, cross_attend: CrossAttend, projected: Tensor | None = None
    ) -> Float[Tensor, "B n D"]:
        """`projected`: the self-attention's queries, keys and values of `x`, where the caller has them already."""
        projected = self.self_attn.project(x) if projected is None else projected
        attended = self.self_attn.merge(attend(*self.self_attn.split(projected, 3)).to(x))
        x = self.norm1(x + self.dropout(attended))
        x = self.norm2(x + self.dropout(cross_attend(x)))
        return self.norm3(x + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(x))))))


class Decoder(nn.Module):
    """Layers one after the other; no final norm."""

    def __init__(self, layers: Iterable[DecoderLayer]) -> None:
        super().__init__()
        self._layers = nn.ModuleList(layers)

    @property
    def layers(self) -> list[DecoderLayer]:
        """Its layers in their order."""
        return [layer for layer in self._layers if isinstance(layer, DecoderLayer)]

    def cross_attention(
        self, sound: Float[Tensor, "B T D"], past: int, ahead: int, queries: Decoder | None = None
    ) -> list[CrossAttentionCache]:
        """A `CrossAttentionCache` for each layer; `queries`, if not this decoder, is a copy in other precision."""
        pairs = zip(self.layers, (queries or self).layers, strict=True)
        return [
            CrossAttentionCache(ours.multihead_attn, sound, past, ahead, theirs.multihead_attn)
            for ours, theirs in pairs
        ]


def attend_all(mask: Tensor | None, dropout: float = 0.0) -> Attend:
    """Attention of every row at once, under `mask` (True or a bias where looking is allowed; None: everywhere)."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask, dropout)


class KVCache:
    """Keys and values of past frames, for one row at a time: call it as an `Attend`.

    Args:
        context: how many frames are remembered, the present one included; None for all. A bounded memory is a ring that
            is written in place; an unbounded one doubles when it is full. Under autograd the past is kept by
            concatenation instead, since what a gradient needs must not be overwritten.
        period: frames to a step of the ALiBi penalty; None for no penalty.
        dropout: share of the attention weights to drop.
    """

    def __init__(self, context: int | None, period: int | None = None, dropout: float = 0.0) -> None:
        self.context, self.period, self.dropout = context, period, dropout
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.count = 0
        self.store: Tensor | None = None  # (2, B, heads, capacity, width)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the present frame's row attends to (B, heads, 1, width), its own key and value remembered first."""
        kept = self._concatenated(k, v) if torch.is_grad_enabled() else self._written(k, v)
        self.count += 1
        mask = None if self.period is None else self._penalty(q, kept.shape[3])
        return F.scaled_dot_product_attention(q.to(kept), kept[0], kept[1], mask, self.dropout).to(q)

    def _concatenated(self, k: Tensor, v: Tensor) -> Tensor:
        new = torch.stack([k, v])
        past = new if self.store is None else torch.cat([self.store, new], 3)
        self.store = past if self.context is None else past[:, :, :, -self.context :]
        return self.store

    def _written(self, k: Tensor, v: Tensor) -> Tensor:
        if self.store is None:
            shape = (2, *k.shape[:2], self.context or 256, k.shape[3])
            self.store = k.new_empty(shape, dtype=torch.float32)  # one row against a hundred: bfloat16 only costs time
        capacity = self.store.shape[3]
        if self.context is None and self.count == capacity:
            self.store = torch.cat([self.store, torch.empty_like(self.store)], 3)
            capacity *= 2
        slot = self.count % capacity
        self.store[0, :, :, slot], self.store[1, :, :, slot] = k[:, :, 0], v[:, :, 0]
        return self.store[:, :, :, : min(self.count + 1, capacity)]

    def _penalty(self, q: Tensor, keys: int) -> Tensor:
        assert self.store is not None and self.period is not None
        slots = torch.arange(keys, device=q.device)
        ages = (self.count - 1 - slots) % self.store.shape[3] if not torch.is_grad_enabled() else keys - 1 - slots
        return alibi(ages, q.shape[1], self.period).to(self.store.dtype).unsqueeze(1)
