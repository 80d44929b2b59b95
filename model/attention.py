"""Multi-head self-attention and cross-attention (Vaswani 2017, section 3.2)."""

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
    """How scores become weights: softmax(scale · q kᵀ + bias) with hidden keys.

    causal: every query hides the keys after its own position.
    padding_mask: [batch, keys], True at tokens and False at padding, or None for no padding. Keys
        at padding are hidden. The values are the opposite of `key_padding_mask` in
        `nn.MultiheadAttention`. Every query needs at least one key that is not hidden.
    bias: [heads, queries, keys] or None.
    masking: "before_softmax" sets hidden scores to -inf, so every row of weights sums to one.
        "after_softmax" sets hidden weights to zero. Then rows sum to less than one, and the
        weights of earlier keys depend on the scores of later ones: the future leaks. The two are
        equal where nothing is hidden.
    """

    scale: float
    causal: bool = True
    padding_mask: Tensor | None = None
    bias: Tensor | None = None
    masking: str = "before_softmax"

    def hidden(self, queries: int, keys: int, device: torch.device) -> Tensor | None:
        """A mask that broadcasts to [batch, heads, queries, keys], True where a key is hidden from
        a query; None if nothing is hidden. The queries are at the last positions of the keys.
        """
        hidden = None
        if self.causal and queries > 1:
            ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
            hidden = ones.triu(diagonal=1 + keys - queries)
        if self.padding_mask is not None:
            padding = ~self.padding_mask[:, None, None, :]
            hidden = padding if hidden is None else hidden | padding
        return hidden


def attention_weights(q: Tensor, k: Tensor, scoring: Scoring) -> Tensor:
    """Attention weights, [batch, heads, queries, keys], exactly zero at hidden keys.

    q: [batch, heads, queries, head_dim]; k: [batch, heads, keys, head_dim].
    """
    scores = (scoring.scale * q) @ k.transpose(-2, -1)  # scaling q is cheaper than scaling scores
    if scoring.bias is not None:
        scores = scores + scoring.bias
    hidden = scoring.hidden(q.shape[-2], k.shape[-2], q.device)
    if hidden is None:
        return scores.softmax(dim=-1)
    if scoring.masking == "after_softmax":
        return scores.softmax(dim=-1).masked_fill(hidden, 0.0)
    mask = torch.zeros_like(hidden, dtype=scores.dtype).masked_fill(hidden, -math.inf)
    return (scores + mask).softmax(dim=-1)  # adding needs no mask in the backward pass


def attend_reference(
    q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0
) -> Tensor:
    """Attention by definition: the weighted mean of the values (Vaswani 2017, equation 1).

    q: [batch, heads, queries, head_dim]; k, v: [batch, heads, keys, head_dim]. Returns q's shape.
    """
    return F.dropout(attention_weights(q, k, scoring), dropout, training=dropout > 0) @ v


def attend_fused(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0) -> Tensor:
    """Attention in one fused kernel that never stores the weights (Dao 2022).

    Arguments and result are those of `attend_reference`. The kernel masks before the softmax, so
    `ModelConfig` refuses the other masking. Short sequences in bfloat16 on a CPU use
    `attend_reference`, which is faster there: the kernel's backward pass takes several times as
    long as in float32 (torch 2.13).
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[-2] <= _SHORT_KEYS:
        return attend_reference(q, k, v, scoring, dropout)
    queries, keys, mask = q.shape[-2], k.shape[-2], scoring.bias
    # `is_causal` skips the hidden half of the work, but cannot be combined with another mask.
    is_causal = scoring.causal and mask is None and scoring.padding_mask is None and queries == keys
    hidden = None if is_causal else scoring.hidden(queries, keys, q.device)
    if hidden is not None:
        mask = ~hidden if mask is None else mask.masked_fill(hidden, -math.inf)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=is_causal, scale=scoring.scale
    )


_SHORT_KEYS = 512  # at 1024 keys both functions take equally long (AMD EPYC, one core)

Kernel = Callable[[Tensor, Tensor, Tensor, Scoring, float], Tensor]
KERNELS: dict[str, Kernel] = {"reference": attend_reference, "fused": attend_fused}


class Attention(nn.Module):
    """Base class of self- and cross-attention: `n_heads` heads, concatenated.

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
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        causal: bool,
        padding_mask: Tensor | None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Attend, and project the concatenated heads: [batch, queries, d_model].

        q: [batch, n_heads, queries, head_dim]; k, v: [batch, kv_heads, keys, head_dim]; the rest
        as in `Scoring`.
        """
        if self.kv_heads < self.n_heads:
            group = self.n_heads // self.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        dropout = self.dropout if self.training else 0.0
        scoring = Scoring(self.scale, causal, padding_mask, bias, self.masking)
        mixed = self.attend(q, k, v, scoring, dropout)
        return self.output(mixed.transpose(1, 2).flatten(-2))


class SelfAttention(Attention):
    """Every position attends to its whole sequence or, if `causal`, up to its own position."""

    def __init__(self, config: ModelConfig, causal: bool) -> None:
        super().__init__(config)
        self.causal = causal
        kv_width = self.kv_heads * self.head_dim
        self.widths = [config.d_model, kv_width, kv_width]  # of queries, keys and values
        self.qkv = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(
        self, x: Tensor, position: NoPosition, padding_mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """x: [batch, time, d_model], the continuation of the tokens in the cache; padding_mask: as
        in `Scoring`. Returns x's shape.
        """
        heads = [self.n_heads, self.kv_heads, self.kv_heads]
        q, k, v = self.heads(self.qkv(x)).split(heads, dim=1)
        q, k = position.rotate(q, k, start=cache.length if cache else 0)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        bias = position.bias(q.shape[-2], k.shape[-2])
        return self.mix(q, k, v, self.causal, padding_mask, bias)


class CrossAttention(Attention):
    """Every position attends to all of another sequence, the memory (Vaswani 2017, section 3.2.3).

    No positional encoding acts on the scores: positions of two sequences cannot be compared.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.widths = [self.kv_heads * self.head_dim] * 2  # of keys and values
        self.query = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.key_value = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(
        self, x: Tensor, memory: Tensor, padding_mask: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """x: [batch, time, d_model]; memory: [batch, keys, d_model], the same in every call with
        the same cache; padding_mask: of the memory, as in `Scoring`. Returns x's shape.
        """
        q = self.heads(self.query(x))
        if cache is not None and self in cache.kept:
            k, v = cache.kept[self]
        else:
            k, v = self.heads(self.key_value(memory)).chunk(2, dim=1)
            if cache is not None:
                cache.extend(self, k, v)
        return self.mix(q, k, v, causal=False, padding_mask=padding_mask)


@contextlib.contextmanager
def recorded_attention(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record the attention weights of every forward pass of `model` within the block.

    Yields a dict that each forward pass fills: from the module's name to its weights before
    dropout, [batch, heads, queries, keys]. Only the kernel is replaced, by `attend_reference`;
    projections, positions and masks stay the model's own.
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
