"""The stack of layers of every transformer, and its output head."""

import math

from torch import Tensor, nn

from model.attention import SELF_ATTENTIONS, CrossAttention, Scoring, soft_cap
from model.cache import Cache
from model.config import ModelConfig
from model.feedforward import FEED_FORWARDS
from model.mechanism import mechanism
from model.position import POSITIONS, NoPosition
from model.sublayer import NORM_FIRST, SUBLAYERS, norm


class Layer(nn.Module):
    """One layer: self-attention, cross-attention if `cross`, and feed-forward, each in a sublayer
    (Vaswani 2017, section 3.1).
    """

    def __init__(self, config: ModelConfig, cross: bool) -> None:
        super().__init__()
        wired = mechanism(config.sublayer, SUBLAYERS)
        self.attention = wired(config, mechanism(config.self_attention, SELF_ATTENTIONS)(config))
        self.cross_attention = wired(config, CrossAttention(config)) if cross else None
        self.feed_forward = wired(config, mechanism(config.activation, FEED_FORWARDS)(config))

    def forward(
        self,
        x: Tensor,
        position: NoPosition,
        scoring: Scoring,
        memory: Tensor | None = None,
        memory_scoring: Scoring | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """x: [batch, time, d_model]; memory and cache as in `Stack.states`. Returns x's shape."""
        x = self.attention(x, position, scoring, cache)
        if self.cross_attention is not None:
            x = self.cross_attention(x, memory, memory_scoring, cache)
        return self.feed_forward(x)


class Stack(nn.Module):
    """Token embedding, positions, layers and final norm: maps token ids to states.

    If `causal`, every position attends up to its own position, otherwise to the whole sequence.
    Without `attention_scale` the scores are not divided by sqrt(head_dim).
    Networks with a norm before each sublayer have a final norm, because their last residual sum is
    not normalised otherwise.
    """

    def __init__(self, config: ModelConfig, causal: bool, cross: bool = False) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_scale = math.sqrt(config.d_model) if config.embedding_scale else 1.0
        self.causal, self.masking = causal, config.masking
        self.window, self.score_cap = config.window, config.score_cap
        self.attention_scale = config.head_dim**-0.5 if config.attention_scale else 1.0
        self.position = mechanism(config.position, POSITIONS)(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config, cross) for _ in range(config.n_layers))
        self.final_norm = norm(config) if config.norm_placement in NORM_FIRST else nn.Identity()

    def states(
        self,
        tokens: Tensor,
        padding_mask: Tensor | None = None,
        memory: Tensor | None = None,
        memory_padding_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """The states after the last layer and the final norm: [batch, time, d_model].

        tokens: [batch, time], the continuation of the tokens in the cache.
        padding_mask: [batch, time], True at tokens and False at padding; None for no padding.
        memory: [batch, keys, d_model], the states that cross-attention attends to.
        memory_padding_mask: [batch, keys], as `padding_mask`, for the memory.

        Raises:
            ValueError: the sequence is longer than the positional encoding allows.
        """
        scale, masking, time = self.attention_scale, self.masking, tokens.shape[1]
        start = cache.length if cache else 0
        bias = self.position.bias(time, start + time)
        cap = self.score_cap
        scoring = Scoring(scale, self.causal, padding_mask, bias, masking, self.window, cap)
        memory_scoring = Scoring(scale, False, memory_padding_mask, None, masking, None, cap)
        x = self.embedding(tokens) * self.embedding_scale
        x = self.dropout(self.position.embed(x, start))
        for layer in self.layers:
            x = layer(x, self.position, scoring, memory, memory_scoring, cache)
        if cache is not None:
            cache.length += time
        return self.final_norm(x)


class LanguageModelHead(nn.Linear):
    """The linear layer from states to logits of tokens, which are capped softly if `logit_cap` is
    set.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.d_model, config.vocab_size, bias=False)
        self.cap = config.logit_cap

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., d_model]. Returns [..., vocab]."""
        return soft_cap(super().forward(x), self.cap)


def head(config: ModelConfig) -> nn.Linear:
    """The linear layer from states to logits, of classes if `n_classes` is set, else of tokens."""
    if config.n_classes is not None:
        return nn.Linear(config.d_model, config.n_classes, bias=config.bias)
    return LanguageModelHead(config)
