"""Multi-head causal self-attention (Vaswani 2017, section 3.2)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.position import NoPosition


def attention_weights(
    q: Tensor, k: Tensor, scale: float, bias: Tensor | None = None, masking: str = "before_softmax"
) -> Tensor:
    """softmax(scale · q kᵀ + bias), with the future masked out.

    q, k: [batch, heads, time, head_dim]; bias: [heads, time, time] or None. Returns
    [batch, heads, time, time], exactly zero to the right of the diagonal.

    Masked "before_softmax", with -inf, each row sums to one. Masked "after_softmax", with zero, it
    does not: the weights of the past then depend on the scores of the future, which leaks it.
    """
    scores = scale * (q @ k.transpose(-2, -1))
    if bias is not None:
        scores = scores + bias
    if masking == "after_softmax":
        return scores.softmax(dim=-1).masked_fill(_future(q), 0.0)
    return scores.masked_fill(_future(q), -math.inf).softmax(dim=-1)


def attend_reference(
    q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None, masking: str, dropout: float
) -> Tensor:
    """The definition: a weighted mean of the values, [batch, heads, time, head_dim]."""
    weights = attention_weights(q, k, scale, bias, masking)
    return F.dropout(weights, dropout, training=dropout > 0) @ v


def attend_fused(
    q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None, masking: str, dropout: float
) -> Tensor:
    """The same as `attend_reference` in one kernel that never stores the weights (Dao 2022).

    It masks before the softmax: `ModelConfig` refuses the other.
    """
    mask = None if bias is None else bias.masked_fill(_future(q), -math.inf)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=bias is None, scale=scale
    )


def _future(q: Tensor) -> Tensor:
    """True to the right of the diagonal: [time, time]."""
    time = q.shape[-2]
    return torch.ones(time, time, dtype=torch.bool, device=q.device).triu(diagonal=1)


Kernel = Callable[[Tensor, Tensor, Tensor, float, Tensor | None, str, float], Tensor]
KERNELS: dict[str, Kernel] = {"reference": attend_reference, "fused": attend_fused}


class CausalSelfAttention(nn.Module):
    """Every position looks at itself and what came before it, in `n_heads` subspaces at once.

    With fewer key and value heads than query heads, query head i uses key and value head
    i // group (grouped-query attention, Ainslie 2023; multi-query with one, Shazeer 2019).
    Without `attention_scale` the scores are not divided by sqrt(head_dim).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads, self.kv_heads = config.n_heads, config.kv_heads
        self.head_dim = config.head_dim
        self.scale = self.head_dim**-0.5 if config.attention_scale else 1.0
        self.masking = config.masking
        self.dropout = config.dropout
        self.attend = KERNELS[config.attention]
        kv_width = self.kv_heads * self.head_dim
        self.widths = [config.d_model, kv_width, kv_width]  # of queries, keys and values
        self.qkv = nn.Linear(config.d_model, sum(self.widths), bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, position: NoPosition) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape."""
        batch, time, d_model = x.shape
        heads = self.qkv(x).view(batch, time, -1, self.head_dim).transpose(1, 2)
        q, k, v = heads.split([self.n_heads, self.kv_heads, self.kv_heads], dim=1)
        q, k = position.rotate(q, k)  # each [batch, its heads, time, head_dim]
        if self.kv_heads < self.n_heads:
            group = self.n_heads // self.kv_heads
            k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        dropout = self.dropout if self.training else 0.0
        mixed = self.attend(q, k, v, self.scale, position.bias(time), self.masking, dropout)
        y: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, time, d_model))
        return y
