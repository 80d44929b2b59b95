"""Multi-head causal self-attention (Vaswani 2017, section 3.2)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.position import NoPosition


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q kᵀ / sqrt(head_dim)) with the future masked out before the softmax.

    q, k: [batch, heads, time, head_dim]. Returns [batch, heads, time, time]; each row sums to one
    and is exactly zero to the right of the diagonal.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(diagonal=1)
    return scores.masked_fill(future, -math.inf).softmax(dim=-1)


def attend_reference(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """The definition: a weighted mean of the values, [batch, heads, time, head_dim]."""
    return F.dropout(attention_weights(q, k), dropout, training=dropout > 0) @ v


def attend_fused(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """The same as `attend_reference` in one kernel that never stores the weights (Dao 2022)."""
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "reference": attend_reference,
    "fused": attend_fused,
}


class CausalSelfAttention(nn.Module):
    """Every position looks at itself and what came before it, in `n_heads` subspaces at once."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.dropout = config.dropout
        self.attend = KERNELS[config.attention]
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=config.bias)
        self.output = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, position: NoPosition) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape."""
        batch, time, d_model = x.shape
        qkv = self.qkv(x).view(batch, time, 3, self.n_heads, d_model // self.n_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [batch, heads, time, head_dim]
        q, k = position.rotate(q, k)
        mixed = self.attend(q, k, v, self.dropout if self.training else 0.0)
        y: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, time, d_model))
        return y
