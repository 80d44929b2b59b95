"""Positional encodings, one class each. All layers of a stack share one instance.

An encoding can act in three places: on the token embeddings (`embed`), on the queries and keys of
every attention layer (`rotate`), and on the attention scores (`bias`). The base class acts in none.
"""

import math

import torch
from torch import Tensor, nn

from model.config import ModelConfig


class NoPosition(nn.Module):
    """No encoding: only the causal mask carries information about positions (Haviv 2022)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        """Add positions `start`, `start` + 1, … to embeddings x: [batch, time, d_model]. Returns
        the same shape.
        """
        return x

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        """Rotate queries and keys x: [batch, heads, time, head_dim], by their positions `start`,
        `start` + 1, … Returns the same shape.
        """
        return x

    def bias(self, queries: int, keys: int) -> Tensor | None:
        """The bias that is added to the scores, [heads, queries, keys], or None for no bias. The
        queries are at the last positions of the keys.
        """
        return None


class Sinusoidal(NoPosition):
    """Fixed sines and cosines added to the embeddings (Vaswani 2017, section 3.5), at any length.

    The paper adds the table to embeddings of unit variance. Here the table is multiplied by the
    initial standard deviation of the embeddings, which keeps the paper's ratio of content to
    position. Unscaled, the table would be fifty times as large as GPT-2's embeddings.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table: Tensor
        self.scale = config.embedding_std * (
            math.sqrt(config.d_model) if config.embedding_scale else 1
        )
        table = self.scale * sinusoidal_table(config.context_length, config.d_model)
        self.register_buffer("table", table, persistent=False)

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        _, time, d_model = x.shape
        if start + time > len(self.table):
            with torch.inference_mode(False):  # an inference tensor could not be trained through
                self.table = (self.scale * sinusoidal_table(start + time, d_model)).to(self.table)
        return x + self.table[start : start + time]


class Learned(NoPosition):
    """One trained vector for each position, added to the embeddings (Gehring 2017; GPT-2).

    Positions beyond the training length have no vector and are refused.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = nn.Parameter(torch.empty(config.context_length, config.d_model))
        nn.init.normal_(self.table, std=config.embedding_std)

    def embed(self, x: Tensor, start: int = 0) -> Tensor:
        """As in the base class.

        Raises:
            ValueError: a position is beyond `context_length`.
        """
        end, length = start + x.shape[1], len(self.table)
        if end > length:
            raise ValueError(
                f"position='learned' knows context_length={length} positions, not {end}"
            )
        return x + self.table[start:end]


class Rotary(NoPosition):
    """RoPE: queries and keys rotated in proportion to their position (Su 2021), at any length.

    Channel i is paired with channel i + head_dim/2, as in GPT-NeoX and Llama. The pair at position
    p is rotated by the angle p · 10000^(-2i / head_dim), so a score depends on the distance alone.
    With a `rope_share` below 1 only the first features are paired and rotated, as in GPT-NeoX.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.cos: Tensor
        self.sin: Tensor
        self.width = config.rotated_dim
        cos, sin = _rotations(config.context_length, self.width)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def rotate(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[-2]
        if end > len(self.cos):
            with torch.inference_mode(False):  # inference tensors could not be trained through
                cos, sin = _rotations(end, self.width)
                self.cos, self.sin = cos.to(self.cos), sin.to(self.sin)
        cos, sin = self.cos[start:end], self.sin[start:end]
        if self.width == x.shape[-1]:
            return _turn(x, cos, sin)
        rotated, kept = x.split([self.width, x.shape[-1] - self.width], dim=-1)
        return torch.cat([_turn(rotated, cos, sin), kept], dim=-1)


class ALiBi(NoPosition):
    """ALiBi: scores decrease linearly with the distance, each head at its own slope (Press 2022).

    Works at any length. Without a causal mask the distance counts in both directions.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.slopes: Tensor
        self.register_buffer("slopes", alibi_slopes(config.n_heads), persistent=False)

    def bias(self, queries: int, keys: int) -> Tensor | None:
        positions = torch.arange(keys, device=self.slopes.device)
        distance = (positions[keys - queries :, None] - positions).abs()
        return -self.slopes[:, None, None] * distance


def alibi_slopes(n_heads: int) -> Tensor:
    """The slope of each head: [heads].

    For n heads, n a power of two, the slopes are 2^(-8/n), 2^(-16/n), … For other numbers the
    slopes are those of the next lower power of two, followed by every other slope of the next
    higher one, as in the paper's code.
    """
    below = 2 ** int(math.log2(n_heads))
    first = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    finer = [2 ** (-4 * (i + 1) / below) for i in range(0, 2 * below, 2)]
    return torch.tensor((first + finer)[:n_heads])


def sinusoidal_table(length: int, d_model: int) -> Tensor:
    """PE(p, 2i) = sin(p / 10000^(2i/d_model)), PE(p, 2i+1) = cos of the same: [length, d_model]."""
    angle = torch.arange(length)[:, None] * _frequencies(d_model)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def _rotations(length: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines, and sines with the sign of each half, for `_turn`: two of [length, head_dim]."""
    angle = torch.arange(length)[:, None] * _frequencies(head_dim)
    return torch.cat([angle.cos(), angle.cos()], -1), torch.cat([-angle.sin(), angle.sin()], -1)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x: [batch, heads, time, head_dim]; cos, sin: [time, head_dim].

    Returns x's shape and dtype: float32 here would force float32 scores under bfloat16 autocast.
    """
    partners = x.roll(x.shape[-1] // 2, dims=-1)  # channel i has i + head_dim/2, and the reverse
    return (x * cos + partners * sin).to(x.dtype)


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
