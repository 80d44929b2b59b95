"""The fixed-window neural language model (Bengio 2003)."""

import torch
from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig
from model.initialisation import initialise


class MLP(nn.Module):
    """softmax(U tanh(H x)), where x concatenates the embeddings of the last `mlp_window` tokens.

    The network of the paper without its optional direct connections. Embeddings have width d_model
    and the hidden layer has width d_ff. Before the first token x is padded with zeros.
    """

    cacheable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.window = config.mlp_window
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.hidden = nn.Linear(self.window * config.d_model, config.d_ff, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.d_ff, config.vocab_size, bias=config.bias)
        initialise(self, config)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time], the continuation of the tokens in the cache. Returns logits,
        [batch, time, vocab].
        """
        x = self.embedding(tokens)  # [batch, time, d_model]
        if cache is not None and self in cache.kept:
            (before,) = cache.kept[self]
        else:
            before = x.new_zeros(len(x), self.window - 1, x.shape[-1])
        x = torch.cat([before, x], dim=1)
        if cache is not None:
            cache.kept[self] = (x[:, x.shape[1] - (self.window - 1) :],)
            cache.length += tokens.shape[1]
        windows = x.unfold(1, self.window, 1).transpose(2, 3).flatten(2)
        return self.head(self.dropout(self.hidden(windows).tanh()))
