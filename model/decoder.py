"""The decoder-only language model (Radford 2018, 2019)."""

import math

from torch import Tensor, nn

from model.attention import CausalSelfAttention
from model.config import ModelConfig
from model.feedforward import FEED_FORWARDS
from model.initialisation import INITIALISATIONS
from model.position import POSITIONS, NoPosition
from model.sublayer import Sublayer, norm


class Layer(nn.Module):
    """Attention, then feed-forward, each in its sublayer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = Sublayer(config, CausalSelfAttention(config))
        self.feed_forward = Sublayer(config, FEED_FORWARDS[config.activation](config))

    def forward(self, x: Tensor, position: NoPosition) -> Tensor:
        """x: [batch, time, d_model]. Returns the same shape."""
        y: Tensor = self.feed_forward(self.attention(x, position))
        return y


class Decoder(nn.Module):
    """Token embedding, positions, layers, final norm, language-model head.

    The final norm stands only in the pre-norm network, whose last residual sum has none otherwise.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_scale = math.sqrt(config.d_model) if config.embedding_scale else 1.0
        self.position = POSITIONS[config.position](config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.final_norm = norm(config) if config.norm_placement == "pre" else nn.Identity()
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        INITIALISATIONS[config.initialisation](self, config)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [batch, time], at most `context_length` long. Returns [batch, time, vocab]."""
        x = self.embedding(tokens) * self.embedding_scale
        x = self.dropout(self.position.embed(x))
        for layer in self.layers:
            x = layer(x, self.position)
        logits: Tensor = self.head(self.final_norm(x))
        return logits
