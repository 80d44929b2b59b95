"""The bigram language model: counts of which token follows which (Shannon 1948)."""

import torch
from torch import Tensor, nn

from model.cache import Cache
from model.config import ModelConfig


class Bigram(nn.Module):
    """P(b after a) = (count(a b) + s) / (count(a) + s · vocab), with s = `bigram_smoothing`.

    The smoothing is additive; s = 1 is Laplace's rule. The bigram is fitted by `count` and not by
    gradients. Without any counts all tokens are equally likely.
    """

    cacheable = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size, self.context_length = config.vocab_size, config.context_length
        self.smoothing = config.bigram_smoothing
        zeros = torch.zeros(config.vocab_size, config.vocab_size)
        self.counts = nn.Parameter(zeros, requires_grad=False)  # [token, following token]

    def count(self, tokens: Tensor, following: Tensor) -> None:
        """Count pairs of a token and the token that follows; both arguments are [batch, time]."""
        pairs = tokens.flatten() * len(self.counts) + following.flatten()
        ones = torch.ones_like(pairs, dtype=self.counts.dtype)
        self.counts.view(-1).index_add_(0, pairs, ones)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """tokens: [batch, time]. Returns log-probabilities as logits, [batch, time, vocab]."""
        if cache is not None:
            cache.length += tokens.shape[1]
        smoothed = self.counts + self.smoothing
        return (smoothed / smoothed.sum(dim=1, keepdim=True)).log()[tokens]
