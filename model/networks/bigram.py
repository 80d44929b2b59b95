"""The bigram: which token follows which, counted (Shannon 1948)."""

import torch
from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig


class Bigram(nn.Module):
    """P(b after a) = (count(a b) + s) / (count(a) + s · vocab), s = `bigram_smoothing` (additive;
    Laplace's rule with s = 1).

    It is fitted by `count`, not by gradients: before that every token is as likely as any other.
    """

    cacheable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.smoothing = config.bigram_smoothing
        zeros = torch.zeros(config.vocab_size, config.vocab_size)
        self.counts = nn.Parameter(zeros, requires_grad=False)  # [token, the token after it]

    def count(self, tokens: Tensor, following: Tensor) -> None:
        """Learn from pairs of a token and the one after it: two of [batch, time]."""
        pairs = tokens.flatten() * len(self.counts) + following.flatten()
        ones = torch.ones_like(pairs, dtype=self.counts.dtype)
        self.counts.view(-1).index_add_(0, pairs, ones)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time]. Returns log-probabilities as logits, [batch, time, vocab]."""
        if cache is not None:
            cache.length += tokens.shape[1]
        smoothed = self.counts + self.smoothing
        return (smoothed / smoothed.sum(dim=1, keepdim=True)).log()[tokens]
