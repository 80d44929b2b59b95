"""Multi-head self-attention and cross-attention (Vaswani 2017, section 3.2)."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.mechanism import Build, mechanism
from model.position import NoPosition


@dataclass(frozen=True, eq=False)
class Scoring:
    """How scores become weights: softmax(scale · q kᵀ + bias) with hidden keys.

    All layers of a stack share one object in a forward pass, so the mask is computed once.

    causal: every query hides the keys after its own position.
    padding_mask: [batch, keys], True at tokens and False at padding, or None for no padding. Keys
        at padding are hidden. The values are the opposite of `key_padding_mask` in
        `nn.MultiheadAttention`. Every query needs at least one key that is not hidden.
    bias: [heads, queries, keys] or None.
    masking: "before_softmax" sets hidden scores to -inf, so every row of weights sums to one.
        "after_softmax" sets hidden weights to zero. Then rows sum to less than one, and the
        weights of earlier keys depend on the scores of later ones: the future leaks. The two are
        equal where nothing is hidden.
    window: number of keys that a query sees, its own position included; None for no limit. Without
        `causal` the window reaches as far in both directions.
    cap: scores s become cap · tanh(s / cap); None for no cap.
    sinks: [heads], scores of a key without a value; None for no such key.
    """

    scale: float
    causal: bool = True
    padding_mask: Tensor | None = None
    bias: Tensor | None = None
    masking: str = "before_softmax"
    window: int | None = None
    cap: float | None = None
    sinks: Tensor | None = None
    _masks: dict[tuple[object, ...], Tensor | None] = field(default_factory=dict, repr=False)

    def hidden(self, queries: int, keys: int, device: torch.device) -> Tensor | None:
        """A mask that broadcasts to [batch, heads, queries, keys], True where a key is hidden from
        a query; None if nothing is hidden. The queries are at the last positions of the keys.
        """
        hidden = None
        if self.causal and queries > 1:
            ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
            hidden = ones.triu(diagonal=1 + keys - queries)
        if self.window is not None and keys > self.window:
            ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
            far = ones.tril(diagonal=keys - queries - self.window)
            if not self.causal:
                far |= ones.triu(diagonal=keys - queries + self.window)
            hidden = far if hidden is None else hidden | far
        if self.padding_mask is not None:
            padding = ~self.padding_mask[:, None, None, :]
            hidden = padding if hidden is None else hidden | padding
        return hidden

    def mask(self, queries: int, keys: int, like: Tensor) -> Tensor | None:
        """The mask that is added to the scores: the bias, and -inf at hidden keys. The mask
        broadcasts to [batch, heads, queries, keys]. None if there is neither bias nor hidden key.

        like: a tensor with the device of the scores, and their dtype if there is no bias.
        """
        key = (queries, keys, like.device, like.dtype)
        if key not in self._masks:
            hidden, mask = self.hidden(queries, keys, like.device), self.bias
            if hidden is not None:
                if mask is None:
                    mask = torch.zeros_like(hidden, dtype=like.dtype)
                mask = mask.masked_fill(hidden, -math.inf)
            self._masks[key] = mask
        return self._masks[key]


def attention_weights(q: Tensor, k: Tensor, scoring: Scoring) -> Tensor:
    """Attention weights, [batch, heads, queries, keys], exactly zero at hidden keys.

    q: [batch, heads, queries, head_dim]; k: [batch, kv_heads, keys, head_dim].
    """
    k = repeat_heads(k, q.shape[1])
    scores = (scoring.scale * q) @ k.transpose(-2, -1)  # scaling q is cheaper than scaling scores
    scores = soft_cap(scores, scoring.cap)
    if scoring.masking == "after_softmax":
        hidden = scoring.hidden(q.shape[-2], k.shape[-2], q.device)
        biased = scores if scoring.bias is None else scores + scoring.bias
        weights = biased.softmax(dim=-1)
        return weights if hidden is None else weights.masked_fill(hidden, 0.0)
    mask = scoring.mask(q.shape[-2], k.shape[-2], scores)
    # Adding a mask is cheaper than filling: it needs no mask in the backward pass.
    masked = scores if mask is None else scores + mask
    if scoring.sinks is None:
        return masked.softmax(dim=-1)
    sinks = scoring.sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:-1], 1)
    return torch.cat([masked, sinks], dim=-1).softmax(dim=-1)[..., :-1]


def soft_cap(x: Tensor, cap: float | None) -> Tensor:
    """cap · tanh(x / cap), which stays within ±cap; x itself for None."""
    return x if cap is None else cap * torch.tanh(x / cap)


def repeat_heads(x: Tensor, n_heads: int) -> Tensor:
    """Give each query head its key or value head: [batch, kv_heads, …] to [batch, n_heads, …]."""
    group = n_heads // x.shape[1]
    return x if group == 1 else x.repeat_interleave(group, dim=1)


def attend_reference(
    q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0
) -> Tensor:
    """Attention by definition: the weighted mean of the values (Vaswani 2017, equation 1).

    q: [batch, heads, queries, head_dim]; k, v: [batch, kv_heads, keys, head_dim], where query head
    i uses key and value head i // (heads / kv_heads). Returns q's shape.
    """
    weights = F.dropout(attention_weights(q, k, scoring), dropout, training=dropout > 0)
    return weights @ repeat_heads(v, q.shape[1])


def attend_fused(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0) -> Tensor:
    """Attention in one fused kernel that never stores the weights (Dao 2022).

    Arguments and result are those of `attend_reference`. The kernel masks before the softmax and
    has neither caps nor sinks, so `ModelConfig` refuses these with it.
    """
    queries, keys, mask = q.shape[-2], k.shape[-2], None
    # `is_causal` skips the hidden half of the work, but cannot be combined with another mask.
    narrow = scoring.window is not None and keys > scoring.window
    alone = scoring.bias is None and scoring.padding_mask is None and not narrow
    alone &= queries == keys
    is_causal = scoring.causal and alone
    if not is_causal:
        mask = scoring.mask(queries, keys, q)
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=None if mask is None else mask.to(q.dtype),
        dropout_p=dropout,
        is_causal=is_causal,
        scale=scoring.scale,
        enable_gqa=k.shape[1] < q.shape[1],
    )


def attend_auto(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, dropout: float = 0.0) -> Tensor:
    """The faster of `attend_reference` and `attend_fused`.

    On a processor the reference is faster for short sequences: at 128 keys the fused kernel's
    small products take five times as long in float32 and three times as long in bfloat16 (torch
    2.13, training, one core). The table `costs` has the times of both at every length.
    """
    short = q.device.type == "cpu" and k.shape[-2] <= _SHORT_KEYS
    only_written_out = scoring.cap is not None or scoring.sinks is not None
    written_out = short or only_written_out or scoring.masking == "after_softmax"
    return (attend_reference if written_out else attend_fused)(q, k, v, scoring, dropout)


_SHORT_KEYS = 512  # from 1024 keys on the fused kernel is faster (AMD EPYC, one core)

Kernel = Callable[[Tensor, Tensor, Tensor, Scoring, float], Tensor]
KERNELS: dict[str, Kernel] = {
    "auto": attend_auto,
    "reference": attend_reference,
    "fused": attend_fused,
}


class Attention(nn.Module):
    """Base class of self- and cross-attention: `n_heads` heads, concatenated.

    With fewer key and value heads than query heads, query head i uses key and value head
    i // group (grouped-query attention, Ainslie 2023; multi-query with one, Shazeer 2019).
    """

    output: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.kv_heads = config.n_heads, config.kv_heads
        self.head_dim = config.head_dim
        self.dropout = config.dropout
        self.attend: Kernel = mechanism(config.attention, KERNELS)

    def heads(self, x: Tensor) -> Tensor:
        """[batch, time, heads · head_dim] to [batch, heads, time, head_dim]."""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, scoring: Scoring) -> Tensor:
        """Attend, and project the concatenated heads: [batch, queries, d_model].

        q: [batch, n_heads, queries, head_dim]; k, v: [batch, kv_heads, keys, head_dim].
        """
        dropout = self.dropout if self.training else 0.0
        mixed = self.attend(q, k, v, scoring, dropout)
        return self.output(mixed.transpose(1, 2).flatten(-2))


class SelfAttention(Attention):
    """Every position attends to the sequence that it is in, as far as the scoring allows."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        kv_width = self.kv_heads * self.head_dim
        self.widths = [config.d_model, kv_width, kv_width]  # of queries, keys and values
        self.qkv = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.query_norm, self.key_norm = (
            nn.RMSNorm(self.head_dim, eps=1e-5) if config.qk_norm else None for _ in range(2)
        )
        self.sinks = nn.Parameter(torch.zeros(self.n_heads)) if config.sinks else None

    def forward(
        self, x: Tensor, position: NoPosition, scoring: Scoring, cache: Cache | None
    ) -> Tensor:
        """x: [batch, time, d_model], the continuation of the tokens in the cache. Returns x's
        shape.
        """
        rotated, v = self.heads(self.qkv(x)).split([self.n_heads + self.kv_heads, self.kv_heads], 1)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = rotated.split([self.n_heads, self.kv_heads], 1)
            # In the precision of the gains, and back: under autocast q and k are in bfloat16.
            gains = self.query_norm.weight
            normed = [self.query_norm(q.to(gains)), self.key_norm(k.to(gains))]
            rotated = torch.cat(normed, dim=1).to(rotated)
        # One call for queries and keys: half as many operations.
        rotated = position.rotate(rotated, start=cache.length if cache else 0)
        q, k = rotated.split([self.n_heads, self.kv_heads], 1)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        if self.sinks is not None:
            scoring = dataclasses.replace(scoring, sinks=self.sinks)  # with the masks of the others
        return self.mix(q, k, v, scoring)


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

    def forward(self, x: Tensor, memory: Tensor, scoring: Scoring, cache: Cache | None) -> Tensor:
        """x: [batch, time, d_model]; memory: [batch, keys, d_model], the same in every call with
        the same cache. Returns x's shape.
        """
        q = self.heads(self.query(x))
        if cache is not None and self in cache.kept:
            k, v = cache.kept[self]
        else:
            k, v = self.heads(self.key_value(memory)).chunk(2, dim=1)
            if cache is not None:
                cache.extend(self, k, v)
        return self.mix(q, k, v, scoring)


SELF_ATTENTIONS: dict[str, Build] = {"multi_head": SelfAttention}


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
