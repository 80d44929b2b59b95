"""What every transformer consists of, whichever family it is."""

import math

from torch import Tensor, nn

from model.attention import CrossAttention, SelfAttention
from model.cache import Cache
from model.config import ModelConfig
from model.feedforward import FEED_FORWARDS
from model.mechanism import mechanism
from model.position import POSITIONS, NoPosition
from model.sublayer import Sublayer, norm


class Layer(nn.Module):
    """Self-attention, cross-attention where there is another sequence, feed-forward; each in its
    sublayer (Vaswani 2017, section 3.1).
    """

    def __init__(self, config: ModelConfig, causal: bool, cross: bool) -> None:
        super().__init__()
        self.attention = Sublayer(config, SelfAttention(config, causal))
        self.cross_attention = Sublayer(config, CrossAttention(config)) if cross else None
        self.feed_forward = Sublayer(config, mechanism(config.activation, FEED_FORWARDS)(config))

    def forward(
        self,
        x: Tensor,
        position: NoPosition,
        real: Tensor | None = None,
        memory: Tensor | None = None,
        memory_real: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape. The rest: see `Stack.states`."""
        x = self.attention(x, position, real, cache)
        if self.cross_attention is not None:
            x = self.cross_attention(x, memory, memory_real, cache)
        y: Tensor = self.feed_forward(x)
        return y


class Stack(nn.Module):
    """Token embedding, positions, layers, final norm: from token ids to states.

    The final norm stands only in the pre-norm network, whose last residual sum has none otherwise.
    """

    def __init__(self, config: ModelConfig, causal: bool, cross: bool = False) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_scale = math.sqrt(config.d_model) if config.embedding_scale else 1.0
        self.position = mechanism(config.position, POSITIONS)(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config, causal, cross) for _ in range(config.n_layers))
        self.final_norm = norm(config) if config.norm_placement == "pre" else nn.Identity()

    def states(
        self,
        tokens: Tensor,
        real: Tensor | None = None,
        memory: Tensor | None = None,
        memory_real: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """tokens: [batch, time], the continuation of what the cache holds; memory: [batch, keys,
        d_model], the states that cross-attention looks at; real, memory_real: True for a token and
        False for padding, [batch, time] and [batch, keys], None for no padding.

        Returns [batch, time, d_model].

        Raises:
            ValueError: the sequence is longer than the positional encoding knows.
        """
        x = self.embedding(tokens) * self.embedding_scale
        x = self.dropout(self.position.embed(x, start=cache.length if cache else 0))
        for layer in self.layers:
            x = layer(x, self.position, real, memory, memory_real, cache)
        if cache is not None:
            cache.length += tokens.shape[1]
        y: Tensor = self.final_norm(x)
        return y


def head(config: ModelConfig) -> nn.Linear:
    """From states to logits: of the vocabulary, or, of a classifier, of its classes."""
    if config.n_classes is not None:
        return nn.Linear(config.d_model, config.n_classes, bias=config.bias)
    return nn.Linear(config.d_model, config.vocab_size, bias=False)
