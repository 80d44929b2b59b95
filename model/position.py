"""Positional encodings. Each is one class; a model owns one and every layer shares it.

An encoding can act in three places: on the token embeddings (`embed`), on the queries and keys of
every attention layer (`rotate`), and on its scores (`bias`). The base class does none of it.
"""

import math

import torch
from torch import Tensor, nn

from model.config import ModelConfig


class NoPosition(nn.Module):
    """No encoding: only the causal mask tells positions apart (Haviv 2022)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def embed(self, x: Tensor) -> Tensor:
        """Add positions to embeddings, [batch, time, d_model] to the same shape."""
        return x

    def rotate(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Turn queries and keys, each [batch, heads, time, head_dim], by their position."""
        return q, k

    def bias(self, time: int) -> Tensor | None:
        """What is added to the scores, [heads, time, time], or None for nothing."""
        return None


class Sinusoidal(NoPosition):
    """Fixed sines and cosines added to the embeddings (Vaswani 2017, section 3.5).

    The paper adds the table to embeddings of unit variance. Where embeddings start with another
    standard deviation, the table is multiplied by it, which keeps the paper's ratio of content to
    position; added to GPT-2's 0.02 as it is, the table would drown the tokens fifty to one.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        table = sinusoidal_table(config.context_length, config.d_model)
        self.table: Tensor
        scale = config.embedding_std * (math.sqrt(config.d_model) if config.embedding_scale else 1)
        self.register_buffer("table", scale * table, persistent=False)

    def embed(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[1]]


class Learned(NoPosition):
    """One trained vector for each position, added to the embeddings (Gehring 2017; GPT-2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Parameter(torch.empty(config.context_length, config.d_model))
        nn.init.normal_(self.table, std=config.embedding_std)

    def embed(self, x: Tensor) -> Tensor:
        return x + self.table[: x.shape[1]]


class Rotary(NoPosition):
    """RoPE: queries and keys turned by an angle that grows with position (Su 2021).

    Channel i is paired with channel i + head_dim/2, as in GPT-NeoX and Llama; the pair at
    position p turns by p · 10000^(-2i / head_dim), so a score depends on the distance alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        frequency = _frequencies(config.head_dim)
        angle = torch.arange(config.context_length)[:, None] * frequency  # [time, head_dim / 2]
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], -1), persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], -1), persistent=False)

    def rotate(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q), self._turn(k)

    def _turn(self, x: Tensor) -> Tensor:
        time, half = x.shape[-2], x.shape[-1] // 2
        swapped = torch.cat([x[..., half:], x[..., :half]], dim=-1)
        return x * self.cos[:time] + swapped * self.sin[:time]


class ALiBi(NoPosition):
    """Scores fall with the distance, in each head at its own slope (Press 2022)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        place = torch.arange(config.context_length)
        distance = (place[:, None] - place).clamp(min=0)  # [query, key]; the future is masked
        self.penalty: Tensor
        penalty = -alibi_slopes(config.n_heads)[:, None, None] * distance
        self.register_buffer("penalty", penalty, persistent=False)

    def bias(self, time: int) -> Tensor | None:
        return self.penalty[:, :time, :time]


def alibi_slopes(n_heads: int) -> Tensor:
    """A slope for each head: [heads].

    For a power of two, 2^(-8/n), 2^(-16/n), …; else those of the power of two below it, and then
    every other one of the power above, as the paper's own code does.
    """
    below = 2 ** int(math.log2(n_heads))
    first = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    finer = [2 ** (-4 * (i + 1) / below) for i in range(0, 2 * below, 2)]
    return torch.tensor((first + finer)[:n_heads])


def sinusoidal_table(length: int, d_model: int) -> Tensor:
    """PE(p, 2i) = sin(p / 10000^(2i/d_model)), PE(p, 2i+1) = cos of it: [length, d_model]."""
    angle = torch.arange(length)[:, None] * _frequencies(d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def _frequencies(width: int) -> Tensor:
    """10000^(-2i/width) for i below width/2: [width / 2]."""
    return torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))


POSITIONS: dict[str, type[NoPosition]] = {
    "none": NoPosition,
    "sinusoidal": Sinusoidal,
    "learned": Learned,
    "rope": Rotary,
    "alibi": ALiBi,
}
