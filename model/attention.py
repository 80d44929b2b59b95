"""Multi-head attention (Vaswani 2017, section 3.2): a sequence to itself, or to another."""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.position import NoPosition


class Scoring(NamedTuple):
    """How scores become weights: softmax(scale · q kᵀ + bias), and what a query must not look at.

    causal: a query must not look at what comes after it.
    real: [batch, keys], True for a token and False for padding, which no query looks at; None where
        there is no padding. Each query needs something to look at.
    bias: [heads, queries, keys] or None.
    masking: "before_softmax" hides with -inf, and each row of weights sums to one.
        "after_softmax" hides with zero, and it does not: the weights of the past then depend on
        the scores of the future, which leaks it. Where nothing is hidden the two are one.
    """

    scale: float
    causal: bool = True
    real: Tensor | None = None
    bias: Tensor | None = None
    masking: str = "before_softmax"

    def hidden(self, queries: int, keys: int, device: torch.device) -> Tensor | None:
        """True where a key is hidden from a query, broadcasting to [batch, heads, queries, keys];
        None where nothing is. The queries are the last of the keys' positions.
        """
        hidden = None
        if self.causal and queries > 1:
            everywhere = torch.ones(queries, keys, dtype=torch.bool, device=device)
            hidden = everywhere.triu(diagonal=1 + keys - queries)
        if self.real is not None:
            padding = ~self.real[:, None, None, :]
            hidden = padding if hidden is None else hidden | padding
        return hidden


def attention_weights(q: Tensor, k: Tensor, scoring: Scoring) -> Tensor:
    """q: [batch, heads, queries, head_dim]; k: [batch, heads, keys, head_dim]. Returns
    [batch, heads, queries, keys], exactly zero where hidden.
    """
    scores = (scoring.scale * q) @ k.transpose(-2, -1)  # fewer queries to scale than scores
    if scoring.bias is not None:
        scores = scores + scoring.bias
    hidden = scoring.hidden(q.shape[-2], k.shape[-2], q.device)
    if hidden is None:
        return scores.softmax(dim=-1)
    if scoring.masking == "after_softmax":
        return scores.softmax(dim=-1).masked_fill(hidden, 0.0)
    mask = torch.zeros_like(hidden, dtype=scores.dtype).masked_fill(hidden, -math.inf)
    return (scores + mask).softmax(dim=-1)  # added: then the backward pass has nothing to mask


def attend_reference(
    q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0
) -> Tensor:
    """The definition: a weighted mean of the values (Vaswani 2017, equation 1).

    q: [batch, heads, queries, head_dim]; k, v: [batch, heads, keys, head_dim]. Returns q's shape.
    """
    return F.dropout(attention_weights(q, k, scoring), dropout, training=dropout > 0) @ v


def attend_fused(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0) -> Tensor:
    """The same, of the same shapes, in one kernel that never stores the weights (Dao 2022).

    It masks before the softmax: `ModelConfig` refuses the other. On a processor and in bfloat16 its
    backward pass takes several times as long as in float32 (torch 2.13), and up to some length the
    definition is faster.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[-2] <= _SHORT:
        return attend_reference(q, k, v, scoring, dropout)
    queries, keys, mask = q.shape[-2], k.shape[-2], scoring.bias
    # The kernel's own causal mask spares the half that is hidden, but allows no other beside it.
    own = scoring.causal and mask is None and scoring.real is None and queries == keys
    hidden = None if own else scoring.hidden(queries, keys, q.device)
    if hidden is not None:
        mask = ~hidden if mask is None else mask.masked_fill(hidden, -math.inf)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=own, scale=scoring.scale
    )


_SHORT = 512  # keys: at 1024 forward and backward took as long with either (AMD EPYC, one core)

Kernel = Callable[[Tensor, Tensor, Tensor, Scoring, float], Tensor]
KERNELS: dict[str, Kernel] = {"reference": attend_reference, "fused": attend_fused}


class Attention(nn.Module):
    """What self- and cross-attention share: `n_heads` weighted means, put side by side.

    With fewer key and value heads than query heads, query head i uses key and value head
    i // group (grouped-query attention, Ainslie 2023; multi-query with one, Shazeer 2019).
    Without `attention_scale` the scores are not divided by sqrt(head_dim).
    """

    output: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.kv_heads = config.n_heads, config.kv_heads
        self.head_dim = config.head_dim
        self.scale = self.head_dim**-0.5 if config.attention_scale else 1.0
        self.masking = config.masking
        self.dropout = config.dropout
        self.attend = KERNELS[config.attention]

    def heads(self, x: Tensor) -> Tensor:
        """[batch, time, heads · head_dim] to [batch, heads, time, head_dim]."""
        apart: Tensor = x.unflatten(-1, (-1, self.head_dim))
        return apart.transpose(1, 2)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        causal: bool,
        real: Tensor | None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Queries, keys and values, each [batch, its heads, time, head_dim], to what the sublayer
        returns: [batch, queries, d_model].
        """
        if self.kv_heads < self.n_heads:
            group = self.n_heads // self.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        dropout = self.dropout if self.training else 0.0
        scoring = Scoring(self.scale, causal, real, bias, self.masking)
        mixed = self.attend(q, k, v, scoring, dropout)
        y: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return y


class SelfAttention(Attention):
    """Every position looks at all of its sequence, or, where `causal`, at itself and before."""

    def __init__(self, config: ModelConfig, causal: bool) -> None:
        super().__init__(config)
        self.causal = causal
        kv_width = self.kv_heads * self.head_dim
        self.widths = [config.d_model, kv_width, kv_width]  # of queries, keys and values
        self.qkv = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(
        self, x: Tensor, position: NoPosition, real: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """x: [batch, time, d_model], the continuation of what the cache holds; real: as in
        `Scoring`. Returns x's shape.
        """
        heads = [self.n_heads, self.kv_heads, self.kv_heads]
        q, k, v = self.heads(self.qkv(x)).split(heads, dim=1)
        q, k = position.rotate(q, k, start=cache.length if cache else 0)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        bias = position.bias(q.shape[-2], k.shape[-2])
        return self.mix(q, k, v, self.causal, real, bias)


class CrossAttention(Attention):
    """Every position of one sequence looks at all of another (Vaswani 2017, section 3.2.3).

    No positional encoding acts on its scores: the two sequences do not share a ruler.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.widths = [self.kv_heads * self.head_dim] * 2  # of keys and values
        self.query = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.key_value = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(
        self, x: Tensor, memory: Tensor, real: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """x: [batch, time, d_model]; memory: [batch, keys, d_model], the other sequence, the same
        as long as the cache is; real: as in `Scoring`. Returns x's shape.
        """
        q = self.heads(self.query(x))
        if cache is not None and self in cache.kept:
            k, v = cache.kept[self]
        else:
            k, v = self.heads(self.key_value(memory)).chunk(2, dim=1)
            if cache is not None:
                cache.extend(self, k, v)
        return self.mix(q, k, v, causal=False, real=real)


@contextlib.contextmanager
def recorded_attention(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Within the block, keep the attention weights of whatever `model` computes.

    Yields a dict that each forward pass fills: the module's name to its weights before dropout,
    [batch, heads, queries, keys]. Only the kernel is exchanged, for the reference; projections,
    positions and masks are the model's own path.
    """
    recorded: dict[str, Tensor] = {}
    attentions = {m: name for name, m in model.named_modules() if isinstance(m, Attention)}
    kernels = {module: module.attend for module in attentions}

    def recording(name: str) -> Kernel:
        def attend(
            q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0
        ) -> Tensor:
            recorded[name] = attention_weights(q, k, scoring).detach()
            return attend_reference(q, k, v, scoring, dropout)

        return attend

    try:
        for module, name in attentions.items():
            module.attend = recording(name)
        yield recorded
    finally:
        for module, kernel in kernels.items():
            module.attend = kernel
